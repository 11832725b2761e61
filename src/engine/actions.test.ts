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
