import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { completed, errorOf, fakeClock, makeJob, problem, sendJson, startFakeServer } from '../client/fake-server.mjs'
import { fakeIo, screen } from './fake-io.mjs'
import { buildProgram, run } from './program.js'
import { widthOf } from './text.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
let cwd: string
beforeEach(async () => {
  fake = await startFakeServer()
  cwd = mkdtempSync(join(tmpdir(), 'untildone-cli-'))
})
afterEach(async () => {
  await fake.close()
  rmSync(cwd, { recursive: true })
})

type Options = Parameters<typeof fakeIo>[0]
async function ud(line: string | string[], options: Options = {}) {
  const io = fakeIo({ cwd, ...options, env: { UNTILDONE_URL: fake.url, ...options?.env } })
  const exit = await run(typeof line === 'string' ? line.split(' ') : line, io, { clock: fakeClock() })
  expect(io.listeners(), 'listeners left behind').toBe(0)
  return { exit, out: io.stdout, err: io.stderr }
}
const put = (id: string, more: object) => void fake.jobs.set(id, makeJob({ id, ...more }))
const body = () => JSON.parse(fake.requests.find((r) => r.method === 'POST')!.body)
/** Ends the job as soon as somebody asks for it a second time. */
const endOnWatch = (change: object) =>
  fake.faults.push(function fault(request: any) {
    if (request.method !== 'GET' || !request.path.endsWith('/events/stream')) return false
    fake.faults.splice(fake.faults.indexOf(fault), 1)
    fake.change('job-1', change)
    return false
  })

describe('submit', () => {
  it('prints one line with id and address', async () => {
    const { exit, out, err } = await ud('submit greet name=Ada')
    expect([exit, out]).toEqual([0, `accepted  job-1  ${fake.url}/v1/jobs/job-1\n`])
    expect(err).toBe('Watch it: untildone jobs watch job-1\n')
    expect(body()).toEqual({ type: 'greet', input: { name: 'Ada' } })
  })

  it('puts the address on a line of its own where the terminal is narrow', async () => {
    const { out } = await ud('submit greet --no-color', { columns: 40 })
    expect(out).toBe(`accepted  job-1\n  ${fake.url}/v1/jobs/job-1\n`)
  })

  it('--quiet prints the id only, --json the job', async () => {
    expect(await ud('submit greet --quiet')).toEqual({ exit: 0, out: 'job-1\n', err: '' })
    expect(JSON.parse((await ud('submit greet --json')).out)).toMatchObject({ id: 'job-2', status: 'accepted' })
  })

  it('reads pairs by the schema of the type, and merges them over --file', async () => {
    fake.routes['GET /v1/job-types/greet'] = (_, response) =>
      sendJson(response, 200, { inputSchema: { properties: { n: { type: 'number' } } } })
    writeFileSync(join(cwd, 'in.json'), '{"n":1,"name":"Ada"}')
    await ud('submit greet --file in.json n=2 x:=true')
    expect(body().input).toEqual({ n: 2, name: 'Ada', x: true })
  })

  it('reads standard input, and passes the options on', async () => {
    const line =
      'submit greet --file - --key k1 --group g --operation op --on-duplicate reject --priority 5 --tag a --tag b --meta t=1 --at 2030-01-01T00:00:00Z'
    await ud(line, { input: '{"a":1}' })
    expect(body()).toEqual({
      type: 'greet',
      input: { a: 1 },
      groupId: 'g',
      operationKey: 'op',
      onDuplicate: 'reject',
      priority: 5,
      tags: ['a', 'b'],
      metadata: { t: '1' },
      runAt: '2030-01-01T00:00:00.000Z',
    })
    expect(fake.requests.at(-1)!.headers['idempotency-key']).toBe('"k1"')
  })

  it('says that a job of the same operation was there before', async () => {
    fake.routes['POST /v1/jobs'] = (_, response) =>
      sendJson(response, 202, makeJob({ id: 'job-9' }), { 'duplicate-of': 'job-9' })
    expect((await ud('submit greet')).out).toContain(
      '(a job of the same operation was there before: nothing was stored)',
    )
    const wrong = await ud('submit greet --on-duplicate ignore')
    expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining('one of return, reject, replace')])
  })

  it('uploads name=@path and sends its id', async () => {
    fake.routes['POST /v1/files'] = (_, response) => sendJson(response, 201, { file: 'file_x' })
    writeFileSync(join(cwd, 'scan.pdf'), 'PDF')
    const { err } = await ud('submit ocr file=@scan.pdf')
    const [upload, submit] = fake.requests.filter((r) => r.method === 'POST')
    expect([upload!.body, upload!.headers['content-type'], JSON.parse(submit!.body).input]).toEqual([
      'PDF',
      'application/pdf',
      { file: 'file_x' },
    ])
    expect(err).toContain('uploaded  scan.pdf  file_x')
    expect((await ud('submit ocr file=@nothing.pdf')).exit).toBe(2)
  })

  it('takes the API key from --api-key and the environment, and never as the idempotency key', async () => {
    await ud('submit greet --api-key ud_dev_a')
    await ud('submit greet', { env: { UNTILDONE_KEY: 'ud_dev_b' } })
    await ud('--key ud_dev_c submit greet')
    expect(fake.requests.filter((r) => r.method === 'POST').map((r) => r.headers.authorization)).toEqual([
      'Bearer ud_dev_a',
      'Bearer ud_dev_b',
      'Bearer ud_dev_c',
    ])
    const { exit, err } = await ud('submit greet --key ud_live_12345678_secret')
    expect([exit, err]).toEqual([2, expect.stringContaining('--api-key')])
    expect(fake.jobs.size).toBe(3)
  })

  it.each([
    ['input-invalid', 422, 2],
    ['unauthenticated', 401, 4],
    ['unknown-job-type', 422, 5],
    ['idempotency-key-reused', 422, 6],
  ])('%s is exit code %3$i', async (code, status, exit) => {
    fake.routes['POST /v1/jobs'] = (_, response) => problem(response, status, code)
    const answer = await ud('submit greet')
    expect([answer.exit, answer.out]).toEqual([exit, ''])
    expect(answer.err).toMatch(new RegExp(`^✕ Detail of ${code}\\.\n[^]*\n  ${code}\n$`))
  })

  it('exit code 3 when there is no server, said as JSON with --json', async () => {
    const url = fake.url.replace(/\d+$/, '1')
    const { exit, err } = await ud(`submit greet --json --url ${url}`)
    expect([exit, JSON.parse(err).error.code]).toEqual([3, 'server-unreachable'])
  })
})

it('says of each group of commands what it is for', async () => {
  const { out } = await ud('--help')
  const listed = out.slice(out.indexOf('Commands:'), out.indexOf('Exit codes')).split('\n').slice(1)
  expect(listed.filter((line) => /^ {2}\S/.test(line)).length).toBeGreaterThan(14)
  expect(listed.filter((line) => /^ {2}\S+( \[options\])?\s*$/.test(line))).toEqual([])
})

describe('--wait', () => {
  it.each([
    ['completed', completed({ text: 'Hello' }), 0],
    ['failed', { status: 'failed', done: true, error: errorOf('exhausted', 'Gave up.') }, 10],
    ['cancelled', { status: 'cancelled', done: true, error: errorOf('cancelled-by-caller', 'Stopped.') }, 11],
  ])('%s is exit code %3$i', async (status, change, exit) => {
    endOnWatch(change)
    const answer = await ud('submit greet --wait name=Ada')
    expect(answer.exit).toBe(exit)
    expect(body().input).toEqual({ name: 'Ada' })
    if (status === 'completed') expect(JSON.parse(answer.out)).toEqual({ text: 'Hello' })
    else expect([answer.out, answer.err]).toEqual(['', expect.stringContaining((change as any).error.code)])
  })

  it('prints the job itself with --json', async () => {
    endOnWatch(completed(1))
    expect(JSON.parse((await ud('submit greet --wait --json')).out)).toMatchObject({
      id: 'job-1',
      done: true,
      result: 1,
    })
  })

  it('exit code 13 when the time is over, and says that this is not a failure, also with --quiet', async () => {
    const { exit, err } = await ud('submit greet --wait=20ms --quiet')
    expect([exit, err]).toEqual([
      13,
      'Still processing. This is not a failure.\nWatch it: untildone jobs watch job-1\n',
    ])
  })

  it('exit code 12 for a blocked job, only with --fail-on-blocked', async () => {
    const change = { status: 'blocked', blockedOn: [{ kind: 'review', title: 'Two addresses', id: 'x' }] }
    endOnWatch(change)
    const { exit, err } = await ud('submit greet --wait --fail-on-blocked')
    expect([exit, err]).toEqual([12, expect.stringContaining('Action required: Two addresses')])
    endOnWatch({ ...change, status: 'blocked' })
    expect((await ud('jobs watch job-1 --timeout 20ms')).exit).toBe(13)
  })

  it('exit code 130 after Ctrl-C, with the command to go on', async () => {
    const io = fakeIo({ cwd, env: { UNTILDONE_URL: fake.url } })
    const ended = run(['submit', 'greet', '--wait'], io, { clock: fakeClock() })
    await io.saw(/^accepted/m)
    await io.saw(/\d\d:\d\d:\d\d {2}accepted/)
    io.interrupt()
    expect(await ended).toBe(130)
    expect(io.stderr).toContain('the job carries on. Watch it again: untildone jobs watch job-1')
  })

  it('prints a line per change and per try where there is no terminal', async () => {
    put('job-1', { status: 'processing', version: 2 })
    fake.routes['GET /v1/jobs/job-1/attempts'] = (_, response) =>
      sendJson(response, 200, {
        items: [
          {
            attempt: 1,
            outcome: 'error',
            verdict: 'transient',
            error: errorOf('x', 'engine crashed'),
            durationMs: 1200,
          },
        ],
      })
    endOnWatch(completed('ok'))
    const { err } = await ud('jobs watch job-1')
    expect(err.replace(/\d\d:\d\d:\d\d/g, 'T')).toBe(
      'T  ↻ try 1  1.2 s  engine crashed, transient\nT  processing, try 2  Accepted\nT  completed  4.0 s, 2 tries\n',
    )
  })

  it('draws in place on a terminal, and leaves the last picture', async () => {
    put('job-1', { status: 'processing', version: 2 })
    endOnWatch(completed('ok'))
    const { err } = await ud('jobs watch job-1', { columns: 80 })
    expect(screen(err)).toBe('✓ Completed  4.0 s\n')
    expect(err).toContain('\u001b[?25h')
  })

  it('draws nothing with TERM=dumb, CI or --quiet', async () => {
    put('job-1', completed('ok'))
    for (const env of [{ TERM: 'dumb' }, { CI: '1' }])
      expect((await ud('jobs watch job-1', { columns: 80, env })).err).not.toContain('\u001b')
    expect(await ud('jobs watch job-1 --quiet', { columns: 80 })).toEqual({ exit: 0, out: '"ok"\n', err: '' })
  })
})

describe('lists and details', () => {
  const jobs = () => [
    makeJob({ id: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10', statusText: 'x'.repeat(100) }),
    makeJob({ id: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a11' }),
  ]
  beforeEach(() => {
    fake.routes['GET /v1/jobs'] = (_, response) => sendJson(response, 200, { items: jobs(), nextCursor: null })
  })

  it.each([80, 40])('fits %i columns', async (columns) => {
    const { out } = await ud('jobs list', { columns })
    for (const line of out.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(columns)
    for (const { id } of jobs()) expect(out).toContain(id)
  })

  it('has no colour without a terminal, with NO_COLOR and with --no-color', async () => {
    fake.routes['GET /v1/jobs'] = (_, response) =>
      sendJson(response, 200, { items: [makeJob({ status: 'failed' })], nextCursor: null })
    expect((await ud('jobs list', { columns: 80 })).out).toContain('\u001b[31mfailed')
    for (const [line, options] of [
      ['jobs list', {}],
      ['jobs list', { columns: 80, env: { NO_COLOR: '1' } }],
      ['jobs list --no-color', { columns: 80 }],
      ['--no-color jobs list', { columns: 80 }],
    ] as const) {
      expect((await ud(line, options)).out).not.toContain('\u001b')
    }
  })

  it('gives JSON, JSON lines and bare ids', async () => {
    const ids = jobs().map((job) => job.id)
    expect(JSON.parse((await ud('jobs list --json')).out).items.map((job: any) => job.id)).toEqual(ids)
    expect(
      (await ud('jobs list --ndjson')).out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(ids)
    expect((await ud('jobs list --quiet')).out).toBe(`${ids.join('\n')}\n`)
  })

  it('passes filters on, and knows other words for a status', async () => {
    await ud('jobs list --status failed,blocked --type ocr.* --late --limit 7')
    expect(Object.fromEntries(fake.requests.at(-1)!.query)).toEqual({
      status: 'failed,blocked',
      type: 'ocr.*',
      late: 'true',
      limit: '7',
    })
    expect((await ud('jobs list --status running')).err).toContain('It is called processing here.')
  })

  it('finds a job by the end of its id, and refuses to guess', async () => {
    const [first, second] = jobs()
    put(first!.id, {})
    expect((await ud('jobs get 1b7e4a10')).out).toContain(first!.id)
    expect(await ud('jobs get 019a7c31')).toMatchObject({ exit: 2, err: expect.stringContaining(second!.id) })
    expect((await ud('jobs get 12345678')).exit).toBe(5)
  })

  it('shows a job without what only operators may see', async () => {
    put('job-x', { ...completed({ a: 1 }), warnings: [{ code: 'icc', message: 'profile\u001b[2J ignored' }] })
    fake.faults.push((request: any, response: any) => {
      if (request.query.get('include') !== 'ops') return false
      problem(response, 403, 'forbidden')
      return true
    })
    const { exit, out } = await ud('jobs get job-x')
    expect(exit).toBe(0)
    expect(out).toContain('notes     icc: profile[2J ignored')
    expect(out).toContain('"a": 1')
    expect(out).not.toContain('phase')
  })

  it('explains a job in the voice that is asked for, wrapped to the terminal', async () => {
    const story = {
      ...{
        jobId: 'job-x',
        type: 'ocr',
        asOf: '2026-11-22T09:00:31.120Z',
        status: 'failed',
        done: true,
        voice: 'support',
      },
      headline: 'Failed for good (input): the file\u001b[2J is locked',
      happened: [
        { at: '2026-11-22T09:00:00.004Z', text: 'Accepted from crm.', seq: 1, kind: 'accepted' },
        {
          at: '2026-11-22T09:00:31.000Z',
          text: `Try 1 did not work: ${'word '.repeat(20).trim()}.`,
          seq: 2,
          kind: 'try',
        },
      ],
      why: 'The file is locked.',
      next: { text: 'Nothing; this is final.', at: null, giveUpAt: null },
      act: { who: 'submitter', text: 'Send another file.', href: '/v1/jobs/job-x' },
      effects: [{ step: 'pay', state: 'not-happened', text: '"pay" has not happened.' }],
      resume: { from: 'It has ended and does not go on.', reusedSteps: [], stage: 'read', queue: null },
      voices: { caller: 'Could not be completed', endUser: 'Please send another file.', support: 'x', operator: null },
    }
    fake.routes['GET /v1/jobs/job-x/story'] = (_, response) => sendJson(response, 200, story)
    const { exit, out } = await ud('jobs explain job-x --voice end-user --no-color', { columns: 60 })
    expect(exit).toBe(0)
    expect(fake.requests.at(-1)!.query.get('voice')).toBe('endUser')
    expect(out).toBe(`failed  Failed for good (input): the file[2J is locked
ocr job-x

What happened
  22 09:00:00  Accepted from crm.
  22 09:00:31  Try 1 did not work: word word word word word
               word word word word word word word word word
               word word word word word word.

Why
  The file is locked.

What happens next
  Nothing; this is final.

Who must act
  submitter: Send another file.
  /v1/jobs/job-x

What must happen once
  "pay" has not happened.

Where it would go on
  It has ended and does not go on.
  stage read

In other words
  caller    Could not be completed
  endUser   Please send another file.
`)
    expect(JSON.parse((await ud('jobs explain job-x --json')).out)).toEqual(story)
    expect(await ud('jobs explain job-x --voice boss')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('support'),
    })
  })

  it('will not make a first key that locks everybody out', async () => {
    fake.routes['GET /v1/api-keys'] = (_, response) => sendJson(response, 200, { items: [] })
    fake.routes['POST /v1/api-keys'] = (_, response) =>
      sendJson(response, 201, { id: 'key_1', name: 'crm', scopes: ['admin'], key: 'ud_live_secret' })
    expect((await ud('keys create --name crm --role submitter')).exit).toBe(2)
    expect(fake.requests.every((r) => r.method === 'GET')).toBe(true)
    const { out, err } = await ud('keys create --name crm --role admin')
    expect(out).toBe('ud_live_secret\n')
    expect(err).not.toContain('ud_live_secret')
  })

  it('writes a download whole or not at all, and never over a file', async () => {
    fake.routes['GET /v1/files/file_1'] = (_, response) =>
      response.writeHead(200, { 'content-type': 'application/pdf' }).end('bytes')
    expect((await ud('files get file_1 --out a.pdf')).exit).toBe(0)
    expect(readFileSync(join(cwd, 'a.pdf'), 'utf8')).toBe('bytes')
    expect((await ud('files get file_1 --out a.pdf')).exit).toBe(6)
    expect((await ud('files get file_1')).out).toBe('bytes')
    expect((await ud('files get file_1', { columns: 80 })).exit).toBe(2)
  })
})

describe('usage', () => {
  it.each([
    ['sbmit', 'Did you mean submit?'],
    ['jobs lst', 'Did you mean list?'],
    ['jobs list --jsn', 'Did you mean --json?'],
    ['submit', "Missing required argument 'type'."],
    ['jobs list --limit many', 'whole number'],
    ['submit x --wait=soon', 'is not a duration'],
    ['submit x y', 'is not of the form name=value'],
  ])('%s', async (line, says) => {
    const { exit, out, err } = await ud(line)
    expect([exit, out]).toEqual([2, ''])
    expect(err).toContain(says)
    expect(err).toMatch(/\n {2}usage\n$/)
  })

  it('shows help on stdout, for every command with an example', async () => {
    expect(await ud([])).toMatchObject({ exit: 0, out: expect.stringContaining('Exit codes') })
    expect(await ud('jobs list --help')).toMatchObject({
      exit: 0,
      out: expect.stringContaining('Examples\n  untildone jobs list'),
      err: '',
    })
  })

  it('uses none of the words that are not ours', async () => {
    const helps: string[] = []
    const visit = (command: Command) => {
      let text = ''
      command.configureOutput({ writeOut: (part) => void (text += part) })
      command.outputHelp()
      helps.push(text)
      command.commands.forEach(visit)
    }
    visit(buildProgram(fakeIo(), async () => {}))
    expect(helps.length).toBeGreaterThan(25)
    const forbidden =
      /\b(success(ful)?|succeeded|stuck|dead|zombie|pending|in progress|aborted|terminated|discarded|attempts?)\b/i
    for (const help of helps) expect(help.match(forbidden)?.[0], help).toBeUndefined()
    const { out, err } = await ud('version')
    expect(out + err).not.toMatch(forbidden)
  })
})

describe('types and queues', () => {
  const type = {
    type: 'ocr',
    queue: 'q',
    title: 'OCR',
    description: null,
    stages: [],
    version: null,
    retentionMs: 1000,
  }
  const retry = { withinMs: 60_000, maxAttempts: null, backoff: { fromMs: 1, toMs: 2, factor: 2 }, onExhausted: 'fail' }
  const more = {
    retry,
    expected: { samples: 0, p50Ms: null, p95Ms: null },
    inputSchema: {},
    requireIdempotencyKey: false,
  }
  const limits = { concurrency: 2, ordered: true, rate: { limit: 5, perMs: 60_000, burst: 1 } }
  const unique = { windowMs: 600_000, onDuplicate: 'replace' }

  it('show what is paused, limited and unique', async () => {
    const paused = { ...type, ...more, limits, unique, paused: true }
    fake.routes['GET /v1/job-types'] = (_, response) => sendJson(response, 200, { items: [paused], nextCursor: null })
    fake.routes['GET /v1/job-types/ocr'] = (_, response) => sendJson(response, 200, paused)
    expect((await ud('types list')).out).toMatch(/ocr +q +after 1 m +paused +OCR/)
    const { out } = await ud('types show ocr')
    expect(out).toContain('paused: accepted, not started')
    expect(out).toContain('2 at once per key, one after the other per key, 5 in 1 m per key')
    expect(out).toContain('within 10 m: replace what has not begun')
  })

  it('are paused and resumed, with a reason', async () => {
    fake.routes['POST /v1/job-types/ocr/pause'] = (_, response) =>
      sendJson(response, 200, { type: 'ocr', paused: true })
    fake.routes['POST /v1/job-types/ocr/resume'] = (_, response) =>
      sendJson(response, 200, { type: 'ocr', paused: false })
    const pause = {
      actor: { kind: 'apiKey', id: 'key_1', name: 'ann' },
      reason: 'bank is down',
      at: '2026-11-22T09:00:00.000Z',
    }
    const counts = { depth: 3, held: 1, oldestAgeMs: 65_000, running: 2, concurrency: null }
    const queue = { name: 'q', paused: true, pause, ...counts }
    fake.routes['POST /v1/queues/q/pause'] = (_, response) => sendJson(response, 200, queue)
    fake.routes['POST /v1/queues/q/resume'] = (_, response) => sendJson(response, 200, { ...queue, paused: false })
    fake.routes['GET /v1/queues'] = (_, response) => sendJson(response, 200, { items: [queue], nextCursor: null })
    const said = async (line: string[]) => (await ud(line)).err
    expect(await said(['types', 'pause', 'ocr', '--reason', 'engine is broken'])).toBe(
      'Type ocr is paused: its jobs are accepted and not started.\n',
    )
    expect(body()).toEqual({ reason: 'engine is broken' })
    expect(await said(['types', 'resume', 'ocr'])).toBe('Type ocr goes on.\n')
    expect(await said(['queues', 'pause', 'q'])).toBe('Queue q is paused: 3 waiting, 2 running.\n')
    expect(await said(['queues', 'resume', 'q'])).toBe('Queue q goes on: 3 waiting.\n')
    expect((await ud('queues list')).out).toMatch(/q +paused by ann +3 +1 +1 m 5 s +2 +bank is down/)
    expect(JSON.parse((await ud('queues pause q --json')).out)).toEqual(queue)
  })
})

describe('--quiet', () => {
  it.each<[string, string, object]>([
    ['workers list', 'w-1', { id: 'w-1', host: 'h', state: 'up', jobs: [], queues: null, types: null }],
    ['queues list', 'mail', { name: 'mail', paused: true, depth: 1, held: 0, oldestAgeMs: null, concurrency: null }],
    ['types list', 'ocr', { type: 'ocr', queue: 'q', title: 'T', retry: { withinMs: 1 }, expected: { samples: 0 } }],
    [
      'webhooks list',
      'wh_1',
      { ...{ id: 'wh_1', url: 'https://x', events: ['job.failed'], filter: {}, enabled: true }, health: {} },
    ],
    [
      'schedules list',
      'nightly',
      { id: 'nightly', type: 'ocr', pace: null, cron: '* * * * *', timezone: 'UTC', statusText: '' },
    ],
    [
      'failures list',
      'f1',
      { fingerprint: 'f1', type: 'ocr', count: 1, jobs: 1, inputs: 1, words: 'broken', taught: null },
    ],
    ['keys list', 'key_1', { id: 'key_1', name: 'me', scopes: ['admin'], types: null, person: null }],
    ['audit list', '7', { seq: 7, actor: { kind: 'system', id: 'x' }, action: 'job.cancel', target: 'job/1' }],
  ])('%s prints what names each, and nothing else', async (line, name, item) => {
    const path = { types: 'job-types', keys: 'api-keys' }[line.split(' ')[0]!] ?? line.split(' ')[0]
    const at = '2026-11-22T08:00:00.000Z'
    const more = { at, lastSeenAt: at, startedAt: at, createdAt: at, lastSuccessAt: null, previousAt: null, pid: 1 }
    const whole = { ...more, running: 0, ...item }
    fake.routes[`GET /v1/${path}`] = (_, response) => sendJson(response, 200, { items: [whole], nextCursor: null })
    expect(await ud(`${line} --quiet`)).toEqual({ exit: 0, out: `${name}\n`, err: '' })
    expect(JSON.parse((await ud(`${line} --quiet --json`)).out)).toEqual({ items: [whole] })
    fake.routes[`GET /v1/${path}`] = (_, response) => sendJson(response, 200, { items: [], nextCursor: null })
    expect(await ud(`${line} --quiet`)).toEqual({ exit: 0, out: '', err: '' })
  })
})

describe('workers', () => {
  const worker = {
    ...{ id: 'w-1', host: 'web-3', pid: 4127, state: 'up', startedAt: '2026-11-22T09:00:00.000Z' },
    ...{ lastSeenAt: '2026-11-22T09:59:58.000Z', leaseUntil: '2026-11-22T10:00:28.000Z' },
    types: [{ name: 'ocr', version: null }],
    queues: ['scans', 'mail'],
    running: 3,
    jobs: [
      { type: 'ocr', running: 2, oldestAgeMs: 65_000 },
      { type: 'mail', running: 1, oldestAgeMs: 10 },
    ],
  }

  it('are listed with what they run, and on request with those that have ended', async () => {
    fake.routes['GET /v1/workers'] = (_, response) => sendJson(response, 200, { items: [worker], nextCursor: null })
    expect((await ud('workers list')).out).toMatch(/w-1 +up +web-3 +4127 +3: ocr 2, mail 1 +1 m 5 s .* scans mail +ocr/)
    expect(JSON.parse((await ud('workers list --all --json')).out)).toEqual({ items: [worker] })
    expect(fake.requests.map(({ query }) => query.get('all'))).toEqual([null, 'true'])
    fake.routes['GET /v1/workers'] = (_, response) => sendJson(response, 200, { items: [], nextCursor: null })
    expect((await ud('workers list')).err).toContain('untildone serve --roles worker')
  })

  it('drain, with a reason; what is said fits what the worker is', async () => {
    const said = async (state: string, running = 3) => {
      fake.routes['POST /v1/workers/w-1/drain'] = (_, response) =>
        sendJson(response, 200, { ...worker, state, running })
      return (await ud(['workers', 'drain', 'w-1', '--reason', 'new host'])).err
    }
    expect(await said('draining')).toContain('takes no more jobs from its next heartbeat on; 3 jobs may end')
    expect(body()).toEqual({ reason: 'new host' })
    expect(await said('draining', 0)).toContain('nothing runs now')
    expect(await said('lost')).toContain('not been heard of')
    expect(await said('gone')).toBe('Worker w-1 has ended already.\n')
    expect(JSON.parse((await ud('workers drain w-1 --json')).out)).toMatchObject({ id: 'w-1', state: 'gone' })
  })

  it('that are not there are told as such, with the command that lists them', async () => {
    fake.routes['POST /v1/workers/w-9/drain'] = (_, response) =>
      problem(response, 404, 'not-found', { params: { worker: 'w-9' } })
    const { exit, err } = await ud('workers drain w-9')
    expect([exit, err]).toEqual([5, expect.stringContaining('untildone workers list')])
  })
})

describe('what is not there', () => {
  it('is looked for with a command of the same kind', async () => {
    const fix = 'GET /v1 lists what there is; /docs explains it.'
    fake.faults.push((_: any, response: any) => {
      problem(response, 404, 'not-found', { fix })
      return true
    })
    for (const [line, list] of [
      ['queues pause nosuch', 'untildone queues list'],
      ['schedules show nosuch', 'untildone schedules list'],
      ['webhooks get wh_9', 'untildone webhooks list'],
      ['inbox show nosuch', 'untildone inbox list --state all'],
    ]) {
      const { exit, err } = await ud(line!)
      expect([exit, err]).toEqual([5, expect.stringContaining(`→ See which there are: ${list}\n`)])
    }
  })
})

describe('serve', () => {
  it.each(['api', 'worker,maintenance'])(
    'on SQLite refuses --roles %s: nobody else could do the rest',
    async (roles) => {
      const { exit, err } = await ud(`serve --roles ${roles} --json`)
      expect(exit).toBe(2)
      expect(JSON.parse(err).error).toMatchObject({
        ...{ what: 'With SQLite one process does everything.', fix: expect.stringContaining('--database postgres://') },
      })
    },
  )

  it.each([
    ['--pooler transaction', '--pooler is of PostgreSQL, and no database is named.', '--database postgres://'],
    ['--schema jobs', '--schema is of PostgreSQL, and no database is named.', '--database postgres://'],
    [
      '--database postgres://127.0.0.1:1/none --roles worker --port 4885',
      '--port is for requests, which this process does not answer.',
      'add api to --roles',
    ],
    [
      '--database postgres://127.0.0.1:1/none --roles worker,maintenance --host 0.0.0.0',
      '--host is for requests, which this process does not answer.',
      'add api to --roles',
    ],
  ])('refuses what would have no effect: %s', async (options, what, fix) => {
    const { exit, err } = await ud(`serve ${options} --json`, { env: { UNTILDONE_POOLER: 'transaction' } })
    expect(exit).toBe(2)
    expect(JSON.parse(err).error).toMatchObject({ code: 'usage', what, fix: expect.stringContaining(fix) })
  })

  it('a pooler that only the environment names says nothing about SQLite', async () => {
    const { err } = await ud('serve --json', { env: { UNTILDONE_POOLER: 'transaction' } })
    expect(JSON.parse(err).error.code).toBe('no-jobs-found')
  })

  it('takes the name of a schema, and refuses one that is none', async () => {
    const { exit, err } = await ud('serve --database postgres://127.0.0.1:1/none --schema Not-One')
    expect([exit, err]).toEqual([2, expect.stringContaining('"Not-One" is no name of a schema.')])
  })

  it.each([
    ['serve --redis redis://127.0.0.1:1 --json', {}],
    ['serve --json', { UNTILDONE_REDIS: 'redis://127.0.0.1:1' }],
  ])('on SQLite refuses a Redis, which would have nobody to tell: %s', async (line, env) => {
    const { exit, err } = await ud(line, { env })
    expect(exit).toBe(2)
    expect(JSON.parse(err).error).toMatchObject({
      code: 'usage',
      what: expect.stringMatching(/SQLite.* needs no word from others/),
      fix: expect.stringMatching(/--redis.*UNTILDONE_REDIS.*--database postgres:/),
    })
  })
})

describe('doctor', () => {
  const redis = async (url: string, line = 'doctor --json') => {
    const { exit, out, err } = await ud(line, { env: { UNTILDONE_REDIS: url } })
    return { exit, err, check: out && JSON.parse(out).checks.find(({ what }: { what: string }) => what === 'Redis') }
  }

  it('looks at the Redis that the environment names, as serve would use it', async () => {
    expect((await redis('redis://127.0.0.1:1')).check).toMatchObject({ state: 'bad' })
    expect((await redis('')).check).toBeUndefined()
  })

  it('refuses an address that is none, like serve', async () => {
    for (const line of ['doctor --json', 'serve --json'])
      expect(await redis('http://127.0.0.1:1', line)).toMatchObject({
        ...{ exit: 2, err: expect.stringContaining('begins with redis://') },
      })
  })

  it.each([
    ['redis://127.0.0.1:port/0', 'whole address'],
    ['redis://:se/cret@127.0.0.1', 'whole address'],
    ['redis://:50%@127.0.0.1', '%25'],
    ['redis://127.0.0.1/main', 'number'],
  ])('refuses %s, and says what is wrong with it and not the password', async (url, part) => {
    for (const line of ['doctor --json', 'serve --json']) {
      const { exit, err } = await redis(url, line)
      expect({ exit, err }).toEqual({ exit: 2, err: expect.stringContaining(part) })
      expect(JSON.parse(err).error.code).toBe('usage')
      expect(err).not.toMatch(/se\/cret|50%@/)
    }
  })
})
