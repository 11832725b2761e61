import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeClock, makeJob, problem, sendJson, startFakeServer } from '../client/fake-server.mjs'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
beforeEach(async () => {
  fake = await startFakeServer()
})
afterEach(() => fake.close())

async function ud(line: string | string[], input = '') {
  const io = fakeIo({ input, env: { UNTILDONE_URL: fake.url } })
  const exit = await run(typeof line === 'string' ? line.split(' ') : line, io, { clock: fakeClock() })
  return { exit, out: io.stdout, err: io.stderr }
}
const put = (id: string, more: object = {}) => void fake.jobs.set(id, makeJob({ id, ...more }))
/** A route that answers with the job, or with `more` of it. */
const act = (id: string, verb: string, status = 200, more: object = {}) => {
  fake.routes[`POST /v1/jobs/${id}/${verb}`] = (_, response) =>
    sendJson(response, status, { ...makeJob({ id }), ...more })
}
const bodies = () => fake.requests.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body))
const QUESTION = {
  status: 'blocked',
  version: 7,
  blockedOn: [
    {
      ...{
        kind: 'review',
        id: 'x',
        title: 'Did "pay" happen?',
        since: '2026-11-22T09:00:00.000Z',
        dueAt: null,
        href: null,
      },
      question: { step: 'pay', text: 'Did "pay" happen?', answers: ['happened', 'did-not-happen', 'stop'] },
    },
  ],
}

describe('jobs pause and resume', () => {
  it('send reason and version, and say when a running job will stop', async () => {
    act('job-1', 'pause', 200, { status: 'processing' })
    act('job-1', 'resume')
    const paused = await ud(['jobs', 'pause', 'job-1', '--reason', 'vendor is down', '--if-version', '3'])
    expect([paused.exit, paused.err]).toEqual([0, 'It stops at its next step.\n'])
    expect(paused.out).toContain('processing  job-1')
    expect((await ud('jobs resume job-1 --json')).out).toContain('"id": "job-1"')
    expect(bodies()).toEqual([{ reason: 'vendor is down', ifVersion: 3 }, {}])
  })
})

describe('jobs answer', () => {
  it('without an answer shows the question, and how to answer it', async () => {
    put('job-1', QUESTION)
    const { exit, out, err } = await ud('jobs answer job-1')
    expect([exit, out]).toEqual([0, 'Did "pay" happen?\n'])
    expect(err).toContain('untildone jobs answer job-1 happened|did-not-happen|stop')
    put('job-2', { status: 'processing' })
    expect((await ud('jobs answer job-2')).exit).toBe(6)
  })

  it('answers about the step and the version that it has read', async () => {
    put('job-1', QUESTION)
    act('job-1', 'answer')
    const line = ['jobs', 'answer', 'job-1', 'happened', '--result', '{"r":1}', '--reason', 'seen']
    expect((await ud(line)).exit).toBe(0)
    await ud(['jobs', 'answer', 'job-1', 'happened', '--file', '-', '--reason', 'seen', '--step', 'other'], '[2]')
    expect(bodies()).toEqual([
      { answer: 'happened', reason: 'seen', step: 'pay', result: { r: 1 }, ifVersion: 7 },
      { answer: 'happened', reason: 'seen', step: 'other', result: [2], ifVersion: 7 },
    ])
  })

  it('sends nothing without a reason, or with an answer that there is not', async () => {
    put('job-1', QUESTION)
    const none = await ud('jobs answer job-1 stop')
    expect([none.exit, none.err]).toEqual([2, expect.stringContaining('--reason')])
    expect((await ud('jobs answer job-1 yes --reason x')).err).toContain('Answers are happened, did-not-happen, stop.')
    expect((await ud('jobs answer job-1 happened --result nope --reason x')).err).toContain('--result is not JSON')
    expect(bodies()).toEqual([])
  })
})

describe('jobs replay and compensate', () => {
  const plan = {
    ...{ fromStep: 'convert', input: 'same', newEffects: false },
    reused: [{ step: 'fetch', kind: 'step', ageMs: 3_600_000, attempt: 1 }],
    again: [
      { step: 'convert', effect: null, protectedByKey: null },
      { step: 'charge', effect: 'once', protectedByKey: 'k' },
    ],
  }

  it('--dry-run says what is taken over and what is done again', async () => {
    fake.routes['POST /v1/jobs/job-1/replay'] = (_, response) => sendJson(response, 200, plan)
    const { exit, out, err } = await ud('jobs replay job-1 --from convert --dry-run')
    expect(exit).toBe(0)
    expect(out.split('\n')).toEqual([
      ...['takes over', '  fetch  1 h old', 'does again', '  convert', '  charge  once, and will not happen twice', ''],
    ])
    expect(err).toBe('Nothing was stored.\n')
    expect(fake.requests[0]!.query.get('dryRun')).toBe('true')
  })

  it('sends input, step and reasons, and prints the new job', async () => {
    act('job-1', 'replay', 202, { id: 'job-2', replay: { ...plan, newEffects: true } })
    const line = ['jobs', 'replay', 'job-1', '--from', 'convert', '--input', '{"dpi":300}', '--reason', 'low quality']
    const { out, err } = await ud([...line, '--new-effects', 'reversed by the bank'])
    expect(out).toContain('job-2')
    expect(err).toContain('effects get new keys')
    expect(bodies()).toEqual([
      {
        ...{ fromStep: 'convert', input: { dpi: 300 }, reason: 'low quality' },
        newEffects: { reason: 'reversed by the bank' },
      },
    ])
    expect((await ud('jobs replay job-1')).err).toContain('This needs a reason')
  })

  it('names the steps to begin from where the server knows none of that name', async () => {
    fake.routes['POST /v1/jobs/job-1/replay'] = (_, response) =>
      problem(response, 409, 'step-not-replayable', { params: { steps: ['fetch', 'convert'] } })
    const { exit, err } = await ud('jobs replay job-1 --from print --reason x')
    expect([exit, err]).toEqual([6, expect.stringContaining('Begin from one of: fetch, convert')])
  })

  it('compensates, all or chosen steps', async () => {
    act('job-1', 'compensate', 202, { id: 'job-2', status: 'processing' })
    expect((await ud('jobs compensate job-1 --reason x --steps car,hotel')).out).toContain('processing  job-2')
    expect(bodies()).toEqual([{ reason: 'x', steps: ['car', 'hotel'] }])
  })
})

describe('jobs override and resolve', () => {
  it('sends the end, the version and the evidence', async () => {
    act('job-1', 'override', 200, { status: 'completed' })
    const line = ['jobs', 'override', 'job-1', 'completed', '--if-version', '7', '--reason', 'typed from paper']
    expect((await ud([...line, '--result', '{"p":2}', '--evidence', 'OPS-1', '--evidence', 'OPS-2'])).exit).toBe(0)
    expect(bodies()).toEqual([
      {
        ...{ status: 'completed', reason: 'typed from paper', ifVersion: 7, result: { p: 2 } },
        evidence: ['OPS-1', 'OPS-2'],
      },
    ])
    expect((await ud('jobs override job-1 done --reason x')).err).toContain('Use completed, failed or cancelled.')
  })

  it('says which version there is when none was given', async () => {
    fake.routes['POST /v1/jobs/job-1/override'] = (_, response) =>
      problem(response, 428, 'precondition-required', { params: { version: 7 } })
    const { exit, err } = await ud(['jobs', 'override', 'job-1', 'failed', '--reason', 'nobody has a copy'])
    expect([exit, err]).toEqual([6, expect.stringContaining('--if-version 7')])
  })

  it('resolves by hand unless told otherwise', async () => {
    act('job-1', 'resolve', 200, { status: 'failed' })
    await ud(['jobs', 'resolve', 'job-1', '--reason', 'by post'])
    await ud(['jobs', 'resolve', 'job-1', '--reason', 'by post', '--kind', 'acceptedAsIs'])
    expect(bodies().map(({ kind }) => kind)).toEqual(['resolvedManually', 'acceptedAsIs'])
  })
})

describe('jobs signal and decisions', () => {
  it('takes pairs or JSON, and says what became of it', async () => {
    fake.routes['POST /v1/jobs/job-1/signals/paid'] = (_, response) => sendJson(response, 202, { delivered: true })
    expect((await ud('jobs signal job-1 paid amount:=12.5 currency=EUR --signal-id evt')).out).toBe('delivered\n')
    fake.routes['POST /v1/jobs/job-1/signals/paid'] = (_, response) => sendJson(response, 202, { delivered: false })
    expect((await ud('jobs signal job-1 paid --payload [1]')).out).toBe('kept until the job waits for it\n')
    expect(bodies()[0]).toEqual({ payload: { amount: 12.5, currency: 'EUR' }, signalId: 'evt' })
    expect(bodies()[1].payload).toEqual([1])
  })

  it('shows the decision log', async () => {
    const at = '2026-11-22T09:00:00.000Z'
    const one = { at, attempt: 1, model: 'm-1', modelVersion: '2026-01', tools: ['crm'], path: 'propose', fields: null }
    fake.routes['GET /v1/jobs/job-1/decisions'] = (_, response) =>
      sendJson(response, 200, { items: [one], nextCursor: null })
    expect((await ud('jobs decisions job-1')).out).toMatch(/1 +m-1 +2026-01 +crm +propose/)
  })
})

describe('jobs bulk and groups cancel', () => {
  it('shows what it would do, and does nothing, unless told to', async () => {
    const jobs = [{ id: 'job-9', type: 'ocr', status: 'blocked', statusText: 'Action required: look' }]
    const plan = { action: 'retry', count: 3, more: false, jobs, excluded: { 'job-already-done': 2 }, excludedJobs: [] }
    fake.routes['POST /v1/operations/bulk'] = (_, response) => sendJson(response, 200, plan)
    const { exit, out, err } = await ud('jobs bulk retry --status blocked --type ocr --since 1h')
    expect(exit).toBe(0)
    expect(out.split('\n')).toEqual([
      'would retry 3 jobs',
      '  job-9  ocr  blocked  Action required: look',
      '  and 2 others',
      'left out  2  job-already-done',
      '',
    ])
    expect(err).toContain('--yes')
    expect(bodies()).toEqual([
      {
        ...{ action: 'retry', reason: 'dry run', dryRun: true },
        filter: { status: ['blocked'], type: ['ocr'], updatedAfter: expect.any(String) },
      },
    ])
  })

  it('with --yes does it, by a job that can be watched', async () => {
    fake.routes['POST /v1/operations/bulk'] = (_, response) => sendJson(response, 202, makeJob({ id: 'job-5' }))
    const { out, err } = await ud('jobs bulk cancel --tag eu --reason over --rate 60 --force --exclude a,b --yes')
    expect(out).toContain('job-5')
    expect(err).toContain('untildone jobs cancel job-5')
    expect(bodies()).toEqual([
      { action: 'cancel', reason: 'over', rate: 60, mode: 'force', exclude: ['a', 'b'], filter: { tag: 'eu' } },
    ])
    expect((await ud('jobs bulk cancel --tag eu --yes')).err).toContain('This needs a reason')
    expect((await ud('jobs bulk delete --tag eu')).err).toContain('Use one of retry, cancel')
  })

  it.each([
    'jobs bulk retry --status blocked --reason over --yes --wait',
    'jobs replay job-1 --reason over --wait',
    'jobs compensate job-1 --wait --reason over',
  ])('%s follows the job that does it to its end', async (line) => {
    const job = { id: 'job-5', replay: { fromStep: null, input: 'same', reused: [], again: [], newEffects: false } }
    fake.routes['POST /v1/operations/bulk'] = (_, response) => sendJson(response, 202, makeJob(job))
    act('job-1', 'replay', 202, job)
    act('job-1', 'compensate', 202, job)
    put('job-5', { status: 'completed', done: true, result: { done: 3 } })
    const { exit, out, err } = await ud(line)
    expect([exit, JSON.parse(out)]).toEqual([0, { done: 3 }])
    expect(err).toContain('job-5')
  })

  it('cancels a group and says what became of it', async () => {
    const refused = [{ id: 'job-1', code: 'invalid-transition', message: 'It is being undone.' }]
    fake.routes['POST /v1/groups/g/cancel'] = (_, response) =>
      sendJson(response, 202, { groupId: 'g', cancelled: 2, stopping: 1, refused })
    const { out, err } = await ud('groups cancel g --reason over')
    expect(out).toBe('cancelled 2, stopping 1, refused 1\n')
    expect(err).toContain('It is being undone.')
  })
})

describe('audit', () => {
  const entry = (seq: number) => ({
    ...{ seq, at: '2026-11-22T09:00:00.000Z', tenant: 'default', actor: { kind: 'user', id: 'u-1', name: 'Eve' } },
    ...{ action: 'job.override', target: 'job/1', reason: 'typed', details: null, prevHash: 'a', hash: 'b' },
  })

  it('lists newest first, or all of it oldest first for exports', async () => {
    fake.routes['GET /v1/audit'] = (request, response) =>
      sendJson(response, 200, { items: [entry(Number(request.query.get('after') ?? 0) + 1)], nextCursor: null })
    expect((await ud('audit list --actor u-1 --action job.* --since 1d')).out).toMatch(
      /user Eve +job.override +job\/1 +typed/,
    )
    const { query } = fake.requests[0]!
    expect([query.get('order'), query.get('actor'), query.get('action')]).toEqual(['newest', 'u-1', 'job.*'])
    expect(JSON.parse((await ud('audit list --oldest --ndjson')).out)).toMatchObject({ seq: 1 })
    expect(fake.requests[1]!.query.get('order')).toBe('oldest')
  })

  it('verify: 0 when it holds, 6 and the place when it does not', async () => {
    const answer = (value: object) => {
      fake.routes['GET /v1/audit'] = (_, response) => sendJson(response, 200, value)
    }
    answer({ intact: true, entries: 4, head: { seq: 4, hash: 'ff' }, firstBreak: null })
    expect(await ud('audit verify')).toMatchObject({ exit: 0, out: 'intact  4 entries  head 4 ff\n' })
    answer({ intact: false, entries: 4, head: null, firstBreak: entry(2) })
    const broken = await ud('audit verify')
    expect([broken.exit, broken.err]).toEqual([6, expect.stringContaining('Entry 2 (job.override on job/1)')])
    expect((await ud('audit verify --json')).exit).toBe(6)
  })
})

describe('jobs get', () => {
  it('shows the version, the question, and what is linked to it', async () => {
    put('job-1', { ...QUESTION, replayOf: 'job-0' })
    const { out } = await ud('jobs get job-1')
    expect(out).toMatch(/version +7/)
    expect(out).toMatch(/answer +untildone jobs answer job-1 happened\|did-not-happen\|stop/)
    expect(out).toMatch(/replay of +job-0/)
  })
})
