import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { firstBreak } from '../core/history.js'
import { defineJob, type JobHandler, Review, Transient } from '../define/index.js'
import { systemEntropy } from '../system/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL, type Scope } from './api.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ how: z.enum(['review', 'wait', 'hold', 'ok']) }) })
const handler = work.handler(async (job) => {
  if (job.attempt === 1 && job.input.how === 'review') throw new Review('look', { code: 'odd' })
  if (job.attempt === 1 && job.input.how === 'wait') throw new Transient('busy', { retryAfterMs: 600_000 })
  if (job.input.how === 'hold') await new Promise(() => {})
  return 'ok' as never
}) as unknown as JobHandler
const person = (...scopes: Scope[]): Caller => ({
  tenant: 'default',
  actor: { kind: 'user', id: 'oidc:42', name: 'Eve' },
  scopes,
  types: null,
  requestId: 'req_1',
})

async function begun(how: 'review' | 'wait' | 'hold' | 'ok') {
  const rig = await open(handler)
  const { id } = await rig.submit(work, { how })
  await rig.settle()
  return { rig, id, engine: rig.engine }
}

describe('retry', () => {
  it('resumes a review with a new budget, and keeps who asked and why', async () => {
    const { rig, id, engine } = await begun('review')
    const job = await engine.retry(person('jobs:operate', 'jobs:read'), id, { reason: 'looked at it' })
    expect(job).toMatchObject({ status: 'processing', error: null, blockedOn: [] })
    await rig.untilDone(id)
    const { items } = await engine.history(LOCAL, id, {})
    expect(items.map(({ event, to }) => `${event} ${to.status}/${to.phase}`)).toEqual([
      'submitted accepted/queued',
      'claimed processing/running',
      'errored blocked/review',
      'retryRequested processing/running',
      'claimed processing/running',
      'succeeded completed/clean',
    ])
    expect(items[2]).toMatchObject({
      from: { status: 'processing' },
      cause: { kind: 'error', class: 'review', code: 'odd' },
      decision: { rule: 'thrown Review' },
    })
    expect(items[3]).toMatchObject({
      actor: { kind: 'user', id: 'oidc:42', name: 'Eve' },
      reason: 'looked at it',
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'job.retry', target: `job/${id}`, reason: 'looked at it', details: { requestId: 'req_1' } },
    ])
  })

  it('is refused where it makes no sense, and changes nothing', async () => {
    const scheduled = await begun('ok')
    const { id } = await scheduled.rig.submit(
      work,
      { how: 'ok' },
      { runAt: new Date(scheduled.rig.clock.now() + 5000) },
    )
    await expect(scheduled.engine.retry(LOCAL, id, {})).rejects.toMatchObject({
      code: 'invalid-transition',
      params: { status: 'accepted' },
    })
    const running = await begun('hold')
    await expect(running.engine.retry(LOCAL, running.id, {})).rejects.toMatchObject({
      code: 'invalid-transition',
      params: { status: 'processing' },
    })
    await expect(scheduled.engine.retry(LOCAL, scheduled.id, {})).rejects.toMatchObject({
      code: 'job-already-done',
      params: { status: 'completed', next: expect.any(String) },
    })
    await expect(scheduled.engine.retry(LOCAL, '01a00000-0000-7000-8000-000000000000', {})).rejects.toMatchObject({
      code: 'job-not-found',
    })
    expect(await scheduled.rig.store.audit('default', 0, 10)).toEqual([])
  })
})

describe('what every action may carry', () => {
  it('ifVersion: refused with the present version when the job has moved on', async () => {
    const { id, engine } = await begun('review')
    await expect(engine.retry(LOCAL, id, { ifVersion: 2 })).rejects.toMatchObject({
      code: 'version-mismatch',
      params: { version: 3, ifVersion: 2 },
    })
    await expect(engine.cancel(LOCAL, id, { ifVersion: 99 })).rejects.toMatchObject({ code: 'version-mismatch' })
    expect((await engine.cancel(LOCAL, id, { ifVersion: 3 })).job.status).toBe('cancelled')
  })

  it('key: a repeat changes nothing and answers the job as it is', async () => {
    const { rig, id, engine } = await begun('wait')
    await engine.retry(LOCAL, id, { key: 'r1' })
    const done = await rig.untilDone(id)
    expect(await engine.retry(LOCAL, id, { key: 'r1' })).toMatchObject({
      id,
      status: 'completed',
      version: done.version,
    })
    await expect(engine.retry(LOCAL, id, { key: 'r2' })).rejects.toMatchObject({ code: 'job-already-done' })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('key: of another job or another action it is another key', async () => {
    const { rig, id, engine } = await begun('review')
    const second = await rig.submit(work, { how: 'review' })
    await rig.settle()
    await engine.retry(LOCAL, id, { key: 'k' })
    expect((await engine.retry(LOCAL, second.id, { key: 'k' })).status).toBe('processing')
    const third = await rig.submit(work, { how: 'review' })
    await rig.settle()
    await engine.retry(LOCAL, third.id, { key: 'k' }).catch(() => undefined)
    const held = await rig.submit(work, { how: 'hold' })
    await rig.settle()
    expect((await engine.cancel(LOCAL, held.id, { key: 'k' })).pending).toBe(true)
    expect((await engine.cancel(LOCAL, held.id, { key: 'k', mode: 'force' })).pending).toBe(true)
    expect(await rig.get(held)).toMatchObject({ ops: { phase: 'cancelling' } })
  })
})

describe('the audit chain', () => {
  it('holds over everything people did, whatever they wrote', async () => {
    const { rig, id, engine } = await begun('review')
    await engine.retry(person('jobs:operate', 'jobs:read'), id, { reason: 'a\u0000b "q" é😀' })
    const held = await rig.submit(work, { how: 'hold' })
    await engine.cancel(LOCAL, held.id, { reason: 'x'.repeat(5000) })
    await engine.createKey(
      { ...LOCAL, actor: { kind: 'user', id: 'a:b', name: '' } },
      { name: 'crm: main', scopes: ['jobs:submit'] },
    )
    const chain = await rig.store.audit('default', 0, 10)
    expect(chain.map(({ action }) => action)).toEqual(['job.retry', 'job.cancel', 'key.create'])
    expect(firstBreak(chain, systemEntropy.sha256)).toBeNull()
  })
})

describe('who may', () => {
  it('cancel: the submitter with jobs:submit, or an operator; it shows who it was', async () => {
    const { rig, engine } = await begun('ok')
    const key = (id: string, ...scopes: Scope[]): Caller => ({
      tenant: 'default',
      actor: { kind: 'apiKey', id },
      scopes,
      types: null,
    })
    const submit = async () =>
      (
        await engine.submit(
          key('key_a', 'jobs:submit'),
          { type: 'work', input: { how: 'hold' }, runAt: new Date(rig.clock.now() + 9000).toISOString() },
          null,
        )
      ).job.id
    await expect(engine.cancel(key('key_b', 'jobs:submit'), await submit(), {})).rejects.toMatchObject({
      code: 'job-not-found',
    })
    await expect(engine.cancel(key('key_b', 'jobs:submit', 'jobs:read'), await submit(), {})).rejects.toMatchObject({
      code: 'forbidden',
      params: { requiredScope: 'jobs:operate' },
    })
    await expect(engine.cancel(key('key_a', 'jobs:read'), await submit(), {})).rejects.toMatchObject({
      code: 'forbidden',
    })
    expect((await engine.cancel(key('key_a', 'jobs:submit'), await submit(), {})).job.error!.code).toBe(
      'cancelled-by-caller',
    )
    expect((await engine.cancel(key('key_b', 'jobs:operate', 'jobs:read'), await submit(), {})).job.error!.code).toBe(
      'cancelled-by-operator',
    )
    await expect(engine.retry(key('key_a', 'jobs:submit'), await submit(), {})).rejects.toMatchObject({
      code: 'forbidden',
    })
  })
})

describe('pause and resume', () => {
  it('a job that waits its turn stands still until it is resumed, and the pause costs no budget', async () => {
    const { rig, id, engine } = await begun('wait')
    const paused = await engine.pause(person('jobs:operate', 'jobs:read'), id, { reason: 'vendor is down' })
    expect(paused).toMatchObject({
      status: 'blocked',
      blockedOn: [{ kind: 'pause', title: 'Paused by Eve: vendor is down', question: null }],
    })
    await rig.advance('2d')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', ops: { attempt: 1 } })
    expect(await engine.resume(LOCAL, id, {})).toMatchObject({ status: 'processing', blockedOn: [] })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', ops: { attempt: 2 } })
    expect((await rig.store.audit('default', 0, 10)).map(({ action, reason }) => [action, reason])).toEqual([
      ['job.pause', 'vendor is down'],
      ['job.resume', null],
    ])
  })

  it('a running job stops at its next step, uncounted, and goes on there', async () => {
    const log: string[] = []
    let go = () => {}
    const rig = await open(
      work.handler(async (job) => {
        await job.step('one', async () => {
          await new Promise<void>((resolve) => {
            go = resolve
          })
          log.push('one')
        })
        await job.step('two', () => log.push('two'))
        return 'ok' as never
      }) as unknown as JobHandler,
    )
    const { id } = await rig.submit(work, { how: 'ok' })
    await rig.settle()
    expect(await rig.engine.pause(LOCAL, id, {})).toMatchObject({ status: 'processing' })
    // Asked again, it is the same answer.
    expect(await rig.engine.pause(LOCAL, id, {})).toMatchObject({ status: 'processing' })
    go()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', ops: { phase: 'paused' } })
    expect(await rig.engine.pause(LOCAL, id, {})).toMatchObject({ status: 'blocked' })
    await rig.engine.resume(LOCAL, id, {})
    await rig.untilDone(id)
    expect(log).toEqual(['one', 'two'])
    expect((await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['released', 'ok'])
  })

  it('a job that waits stands still at once, takes in what it waits for, and goes on when it is resumed', async () => {
    const patient = defineJob('patient', { input: z.object({}), signals: { go: z.object({}) } })
    const rig = await open(
      patient.handler(async (job) => {
        await job.sleep('nap', '1h')
        await job.waitFor('go', { timeout: '1d' })
        return 'rested' as never
      }) as unknown as JobHandler,
    )
    const { id } = await rig.submit(patient, {})
    await rig.settle()
    expect(await rig.engine.pause(LOCAL, id, { reason: 'audit' })).toMatchObject({
      status: 'blocked',
      blockedOn: [{ kind: 'pause' }],
    })
    // Its time comes meanwhile, and nothing begins.
    await rig.advance('2h')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', ops: { phase: 'paused', attempt: 1 } })
    expect(await rig.engine.resume(LOCAL, id, {})).toMatchObject({ status: 'processing', blockedOn: [] })
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ ops: { phase: 'signal', attempt: 2 } })
    // Paused and resumed before the signal: it waits on as before, with the time limit that it had.
    const { blockedOn } = await rig.engine.pause(LOCAL, id, {})
    expect(blockedOn.map(({ kind }) => kind)).toEqual(['pause', 'signal'])
    expect(await rig.engine.resume(LOCAL, id, {})).toMatchObject({
      blockedOn: [{ kind: 'signal', dueAt: blockedOn[1]!.dueAt, since: blockedOn[1]!.since }],
    })
    await rig.engine.pause(LOCAL, id, {})
    await rig.signal(id, 'go', {})
    await rig.advance('2d')
    expect((await rig.get(id)).blockedOn.map(({ kind }) => kind)).toEqual(['pause'])
    await rig.engine.resume(LOCAL, id, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'rested' })
    const { happened } = await rig.engine.story(LOCAL, id, 'support')
    expect(happened.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        'Stays paused, but its time had come.',
        expect.stringMatching(/^Stays paused, but the signal "go" came/),
      ]),
    )
  })

  it('is refused for what is not there to pause or resume', async () => {
    const review = await begun('review')
    await expect(review.engine.pause(LOCAL, review.id, {})).rejects.toMatchObject({
      code: 'invalid-transition',
      message: 'That is not possible now: it waits for a person to look at it, and does not move before that.',
    })
    await expect(review.engine.resume(LOCAL, review.id, {})).rejects.toMatchObject({ code: 'invalid-transition' })
    const done = await begun('ok')
    await expect(done.engine.pause(LOCAL, done.id, {})).rejects.toMatchObject({ code: 'job-already-done' })
    await expect(review.engine.pause(person('jobs:read'), review.id, {})).rejects.toMatchObject({ code: 'forbidden' })
    await expect(review.engine.pause(LOCAL, review.id, { ifVersion: 1 })).rejects.toMatchObject({
      code: 'version-mismatch',
    })
  })
})

describe('cancelling a group', () => {
  it('ends what is unfinished, asks what runs to stop, and leaves what is done', async () => {
    const { rig, engine } = await begun('ok')
    const group = { group: 'g' }
    const [done, held, review] = [
      await rig.submit(work, { how: 'ok' }, group),
      await rig.submit(work, { how: 'hold' }, group),
      await rig.submit(work, { how: 'review' }, group),
    ]
    const elsewhere = await rig.submit(work, { how: 'review' }, { group: 'other' })
    await rig.settle()
    const later = await rig.submit(work, { how: 'ok' }, { ...group, runAt: new Date(rig.clock.now() + 9000) })
    const told = await engine.cancelGroup(LOCAL, 'g', { reason: 'session ended', key: 'k' })
    expect(told).toEqual({ groupId: 'g', cancelled: 2, stopping: 1, refused: [] })
    const statuses = [done, held, review, later, elsewhere].map(async ({ id }) => (await rig.get(id)).ops!.phase)
    expect(await Promise.all(statuses)).toEqual(['clean', 'cancelling', 'byCaller', 'byCaller', 'review'])
    expect((await rig.store.audit('default', 0, 10)).map(({ action, reason }) => `${action} ${reason}`)).toEqual(
      Array.from({ length: 3 }, () => 'job.cancel session ended'),
    )
    // Repeated: what still stops is told again, and nothing else is done.
    expect(await engine.cancelGroup(LOCAL, 'g', { key: 'k' })).toMatchObject({ cancelled: 0, stopping: 1 })
  })

  it('of hundreds takes them all', async () => {
    const { rig, engine } = await begun('ok')
    const runAt = new Date(rig.clock.now() + 9000)
    await Promise.all(Array.from({ length: 450 }, () => rig.submit(work, { how: 'ok' }, { group: 'g', runAt })))
    expect(await engine.cancelGroup(LOCAL, 'g', {})).toMatchObject({ cancelled: 450 })
  })

  it('by a submitter takes its own jobs; an unknown group is not found', async () => {
    const { rig, engine } = await begun('ok')
    const mine: Caller = { ...person('jobs:submit'), actor: { kind: 'apiKey', id: 'key_a' } }
    const runAt = new Date(rig.clock.now() + 9000).toISOString()
    const body = { type: 'work', input: { how: 'ok' }, groupId: 'g', runAt }
    await engine.submit(mine, body, null)
    await engine.submit(LOCAL, body, null)
    expect(await engine.cancelGroup(mine, 'g', {})).toMatchObject({ cancelled: 1, refused: [] })
    expect((await engine.group(LOCAL, 'g')).counts).toMatchObject({ accepted: 1, cancelled: 1 })
    await expect(engine.cancelGroup(LOCAL, 'nobody', {})).rejects.toMatchObject({ code: 'not-found' })
    await expect(engine.cancelGroup(person('jobs:read'), 'g', {})).rejects.toMatchObject({ code: 'forbidden' })
  })
})
