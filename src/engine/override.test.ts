import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Review, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL, type Scope } from './api.js'
import type { OverrideRequest } from './operator-api.js'

const open = rigs()
const quick = until({ attempts: 1 })
const work = defineJob('work', {
  input: z.object({ how: z.enum(['review', 'hold', 'fail', 'ok']) }),
  output: z.object({ pages: z.number().int() }),
})
const caller = (...scopes: Scope[]): Caller => ({
  tenant: 'default',
  actor: { kind: 'user', id: 'u-1', name: 'M. Kern' },
  scopes,
  types: null,
})
const BOSS = caller('jobs:override', 'jobs:operate', 'jobs:read')
const why = 'the paper copy was scanned by hand'

/** Notes when its signal fires, and what its code does afterwards. */
function working(log: string[]): JobHandler {
  return work.handler({ retry: quick }, async (job) => {
    if (job.input.how === 'review') throw new Review('look', { code: 'odd' })
    if (job.input.how === 'fail') throw new Permanent('broken', { code: 'broken' })
    if (job.input.how === 'hold') {
      job.signal.addEventListener('abort', () => log.push(`aborted: ${(job.signal.reason as Error).message}`))
      await new Promise<void>((resolve) => job.signal.addEventListener('abort', () => resolve()))
      await job.step('late', () => log.push('late'))
    }
    return { pages: 1 }
  }) as never
}

async function begun(how: 'review' | 'hold' | 'fail' | 'ok') {
  const log: string[] = []
  const rig = await open(working(log))
  const { id } = await rig.submit(work, { how })
  await rig.settle()
  const { version } = await rig.get(id)
  return { rig, id, log, version, engine: rig.engine }
}

describe('override', () => {
  it('completes with a result of the type, and says for ever who did it', async () => {
    const { engine, rig, id, version } = await begun('review')
    const evidence = [{ ticket: 'OPS-7' }]
    const job = await engine.override(BOSS, id, {
      status: 'completed',
      result: { pages: 3 },
      reason: why,
      evidence,
      ifVersion: version,
    })
    expect(job).toMatchObject({
      status: 'completed',
      done: true,
      statusText: 'Set to completed by hand by M. Kern.',
      result: { pages: 3 },
      error: null,
      warnings: [{ code: 'overridden', message: 'Set to completed by hand by M. Kern.' }],
    })
    expect((await rig.get(id)).ops!.phase).toBe('overridden')
    expect(await engine.result(LOCAL, id)).toMatchObject({ json: '{"pages":3}' })
    expect((await engine.history(LOCAL, id, {})).items.at(-1)).toMatchObject({
      event: 'overridden',
      reason: why,
      context: { status: 'completed', evidence },
      hash: expect.any(String),
    })
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'job.override', reason: why, details: { status: 'completed', evidence } },
    ])
  })

  it('fails or cancels with an error of its own', async () => {
    const { engine, id, version } = await begun('review')
    expect(await engine.override(BOSS, id, { status: 'failed', reason: why, ifVersion: version })).toMatchObject({
      status: 'failed',
      error: { code: 'overridden', class: 'permanent', message: why },
      statusText: `Set to failed by hand by M. Kern. ${why}.`,
    })
    const second = await begun('review')
    const error = { code: 'lost-in-post', message: 'The letter never came.' }
    expect(
      await second.engine.override(BOSS, second.id, {
        status: 'cancelled',
        error,
        reason: why,
        ifVersion: second.version,
      }),
    ).toMatchObject({ status: 'cancelled', error: { ...error, class: null } })
  })

  it('ends a running attempt: its signal fires at once, and nothing it still does counts', async () => {
    const { engine, rig, id, log, version } = await begun('hold')
    await engine.override(BOSS, id, { status: 'completed', result: { pages: 9 }, reason: why, ifVersion: version })
    await rig.settle()
    expect(log).toEqual(['aborted: The job was ended by somebody else.'])
    expect(rig.app.running).toBe(0)
    expect(await rig.get(id)).toMatchObject({ status: 'completed', result: { pages: 9 } })
    expect(await engine.steps(LOCAL, id)).toEqual([])
    expect(await engine.attempts(LOCAL, id)).toMatchObject([{ attempt: 1, outcome: 'cancelled' }])
  })

  it('does not disturb an attempt that ends by itself', async () => {
    const { engine, rig, id, version } = await begun('hold')
    const { id: other } = await rig.submit(work, { how: 'ok' })
    expect(await rig.untilDone(other)).toMatchObject({ status: 'completed', result: { pages: 1 } })
    expect(await engine.attempts(LOCAL, other)).toMatchObject([{ outcome: 'ok' }])
    await engine.override(BOSS, id, { status: 'cancelled', reason: why, ifVersion: version })
  })

  it('is refused without version, reason or right, and with what does not fit', async () => {
    const { engine, rig, id, version } = await begun('review')
    const good: OverrideRequest = { status: 'completed', result: { pages: 1 }, reason: why, ifVersion: version }
    const refusals: [Partial<OverrideRequest>, object][] = [
      [{ ifVersion: undefined }, { code: 'precondition-required', params: { version } }],
      [{ ifVersion: version - 1 }, { code: 'version-mismatch', params: { version } }],
      [{ reason: 'too short' }, { code: 'validation-failed', errors: [{ pointer: '/reason', code: 'too-short' }] }],
      [{ result: { pages: 'many' } }, { code: 'result-invalid', errors: [{ pointer: '/result/pages' }] }],
      [{ result: undefined }, { code: 'result-invalid' }],
      [{ status: 'failed' }, { code: 'validation-failed', errors: [{ pointer: '/result' }] }],
      [{ error: { code: 'x' } }, { code: 'validation-failed', errors: [{ pointer: '/error' }] }],
      [{ evidence: ['x'.repeat(70_000)] }, { code: 'payload-too-large' }],
    ]
    for (const [change, refusal] of refusals)
      await expect(
        engine.override(BOSS, id, { ...good, ...change }),
        JSON.stringify(change).slice(0, 80),
      ).rejects.toMatchObject(refusal)
    await expect(engine.override(caller('jobs:operate', 'jobs:read'), id, good)).rejects.toMatchObject({
      code: 'forbidden',
      params: { requiredScope: 'jobs:override' },
    })
    expect((await rig.get(id)).version).toBe(version)
    expect(await rig.store.audit('default', 0, 10)).toEqual([])
  })

  it('of a job that has just finished says what can be done instead', async () => {
    const { engine, rig, id } = await begun('fail')
    const refusal = {
      code: 'job-already-done',
      params: { status: 'failed', next: expect.stringContaining('/resolve') },
    }
    await expect(
      engine.override(BOSS, id, { status: 'completed', result: { pages: 1 }, reason: why, ifVersion: 3 }),
    ).rejects.toMatchObject(refusal)
    // Finished between reading and writing: the same words, and the end stands.
    const late = await begun('hold')
    const cancelled = late.engine.cancel(LOCAL, late.id, { mode: 'force' })
    await cancelled
    await late.rig.advance('1s')
    const request: OverrideRequest = {
      status: 'completed',
      result: { pages: 1 },
      reason: why,
      ifVersion: late.version,
      key: 'k',
    }
    await expect(late.engine.override(BOSS, late.id, request)).rejects.toMatchObject({ code: 'job-already-done' })
    expect((await late.rig.get(late.id)).status).toBe('cancelled')
    expect(await rig.store.audit('default', 0, 10)).toEqual([])
  })

  it('by two at once: one end counts', async () => {
    const { engine, rig, id, version } = await begun('review')
    const both = await Promise.allSettled([
      engine.override(BOSS, id, { status: 'cancelled', reason: why, ifVersion: version }),
      engine.override(BOSS, id, { status: 'failed', reason: why, ifVersion: version }),
    ])
    const won = both.find((one) => one.status === 'fulfilled')!
    expect(both.find((one) => one.status === 'rejected')).toMatchObject({ reason: { code: 'job-already-done' } })
    expect((await rig.get(id)).status).toBe(won.value.status)
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('repeated with its key answers the job as it is', async () => {
    const { engine, rig, id, version } = await begun('review')
    const request: OverrideRequest = {
      status: 'completed',
      result: { pages: 1 },
      reason: why,
      ifVersion: version,
      key: 'k',
    }
    await engine.override(BOSS, id, request)
    expect(await engine.override(BOSS, id, request)).toMatchObject({ status: 'completed', result: { pages: 1 } })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })
})

describe('resolve', () => {
  it('is a note on a finished job: the end stays, and nobody needs to look any more', async () => {
    const { engine, rig, id } = await begun('fail')
    const before = await rig.get(id)
    expect((await engine.list(LOCAL, { needsAttention: true })).items.map((job) => job.id)).toEqual([id])
    const job = await engine.resolve(BOSS, id, {
      kind: 'resolvedManually',
      reason: 'sent by post',
      evidence: ['OPS-7'],
    })
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'broken' },
      version: before.version,
      finishedAt: before.finishedAt,
      resolution: { kind: 'resolvedManually', reason: 'sent by post', by: { id: 'u-1' }, jobId: null },
    })
    expect(job.revision).toBe(before.revision + 1)
    expect((await engine.list(LOCAL, { needsAttention: true })).items).toEqual([])
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      {
        action: 'job.resolve',
        target: `job/${id}`,
        reason: 'sent by post',
        details: { kind: 'resolvedManually', evidence: ['OPS-7'] },
      },
    ])
  })

  it('shows the latest note, and a repeat with its key adds none', async () => {
    const { engine, rig, id } = await begun('fail')
    await engine.resolve(BOSS, id, { kind: 'acceptedAsIs', reason: 'not worth it', key: 'k' })
    await engine.resolve(BOSS, id, { kind: 'acceptedAsIs', reason: 'not worth it', key: 'k' })
    await rig.advance('1s')
    const job = await engine.resolve(BOSS, id, { kind: 'resolvedManually', reason: 'done after all' })
    expect(job.resolution).toMatchObject({ kind: 'resolvedManually' })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(2)
  })

  it('of an unfinished job, without reason or right, or of another version is refused', async () => {
    const { engine, id } = await begun('review')
    await expect(engine.resolve(BOSS, id, { kind: 'acceptedAsIs', reason: 'x' })).rejects.toMatchObject({
      code: 'job-not-done',
    })
    const done = await begun('fail')
    await expect(done.engine.resolve(BOSS, done.id, { kind: 'acceptedAsIs', reason: '' })).rejects.toMatchObject({
      code: 'validation-failed',
    })
    await expect(
      done.engine.resolve(caller('jobs:read'), done.id, { kind: 'acceptedAsIs', reason: 'x' }),
    ).rejects.toMatchObject({ code: 'forbidden' })
    await expect(
      done.engine.resolve(BOSS, done.id, { kind: 'acceptedAsIs', reason: 'x', ifVersion: 1 }),
    ).rejects.toMatchObject({ code: 'version-mismatch' })
  })
})
