import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, until } from '../define/index.js'
import { systemEntropy } from '../system/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL, type Scope } from './api.js'

const open = rigs()
const quick = until({ attempts: 2, backoff: { from: '10ms', to: '10ms' } })
const scan = defineJob('scan', { input: z.object({ dpi: z.number().default(150) }), stages: ['convert'] })
const caller = (id: string, ...scopes: Scope[]): Caller => ({
  tenant: 'default',
  actor: { kind: 'apiKey', id },
  scopes,
  types: null,
})
const why = { reason: 'low scan quality' }

/** Fetches, converts two pages in a stage, charges once, writes; writing fails while `broken`. */
function scanning(log: string[], state: { broken: boolean }): JobHandler {
  return scan.handler({ retry: quick }, async (job) => {
    const did = (what: string) => {
      log.push(what)
      return what
    }
    const page = await job.step('fetch', () => did(`fetch@${job.input.dpi}`))
    await job.stage('convert', async () => {
      await job.step('p1', () => did('p1'))
      await job.step('p2', () => did('p2'))
    })
    const receipt = await job.step('charge', ({ key }) => did(`charge ${key.slice(0, 4)}`), { effect: 'once' })
    await job.step('write', () => {
      if (state.broken) throw new Permanent('disk is read-only')
      return did('write')
    })
    return { page, receipt }
  }) as never
}

async function failed(): Promise<{ rig: TestRig; id: string; log: string[]; state: { broken: boolean } }> {
  const log: string[] = []
  const state = { broken: true }
  const rig = await open(scanning(log, state))
  const { id } = await rig.submit(scan, { dpi: 150 }, { group: 'g', tags: ['eu'], metadata: { ticket: 'OPS-1' } })
  expect((await rig.untilDone(id)).status).toBe('failed')
  state.broken = false
  log.length = 0
  return { rig, id, log, state }
}

describe('replay from a step', () => {
  it('takes over what was recorded before it, and does the rest', async () => {
    const { rig, id, log } = await failed()
    await rig.advance('1h')
    const { job, replayed } = await rig.engine.replay(LOCAL, id, { fromStep: 'convert', ...why })
    expect(replayed).toBe(false)
    expect(job).toMatchObject({
      replayOf: id,
      status: 'accepted',
      groupId: 'g',
      tags: ['eu'],
      metadata: { ticket: 'OPS-1' },
    })
    expect(job.replay).toEqual({
      fromStep: 'convert',
      input: 'same',
      reused: [{ step: 'fetch', kind: 'step', ageMs: 3_600_000, attempt: 1 }],
      again: [
        { step: 'convert/p1', effect: 'idempotent', protectedByKey: expect.stringMatching(/^[0-9a-f]{40}$/) },
        { step: 'convert/p2', effect: 'idempotent', protectedByKey: expect.any(String) },
        { step: 'convert', effect: null, protectedByKey: null },
        { step: 'charge', effect: 'once', protectedByKey: expect.any(String) },
      ],
      newEffects: false,
    })
    const done = await rig.untilDone(job.id)
    // Charged before under the same key: its result is used again.
    expect(done).toMatchObject({ status: 'completed', result: { page: 'fetch@150' } })
    expect(log).toEqual(['p1', 'p2', 'write'])
    expect((await rig.engine.steps(LOCAL, job.id)).map(({ name, undo }) => `${name} ${undo}`)).toEqual([
      ...['fetch reused', 'convert/p1 null', 'convert/p2 null', 'convert null', 'charge null', 'write null'],
    ])
  })

  it('links both, and notes the old one when the new one completes', async () => {
    const { rig, id } = await failed()
    const before = await rig.get(id)
    const { job } = await rig.engine.replay(caller('ops', 'jobs:operate', 'jobs:read'), id, {
      fromStep: 'write',
      ...why,
    })
    const between = await rig.get(id)
    expect(between).toMatchObject({ status: 'failed', supersededBy: job.id, resolution: null, version: before.version })
    expect(between.revision).toBeGreaterThan(before.revision)
    await rig.untilDone(job.id)
    expect(await rig.get(id)).toMatchObject({
      status: 'failed',
      error: before.error,
      resolution: { kind: 'superseded', jobId: job.id, by: { kind: 'apiKey', id: 'ops' } },
    })
    const attention = await rig.engine.list(LOCAL, { needsAttention: true })
    expect(attention.items).toEqual([])
  })

  it('that failed is one although it was never recorded', async () => {
    const { rig, id, log } = await failed()
    const { job } = await rig.engine.replay(LOCAL, id, { fromStep: 'write', ...why })
    expect(job.replay.reused.map(({ step }) => step)).toEqual([
      'fetch',
      'convert/p1',
      'convert/p2',
      'convert',
      'charge',
    ])
    expect(job.replay.again).toEqual([{ step: 'write', effect: null, protectedByKey: expect.any(String) }])
    await rig.untilDone(job.id)
    expect(log).toEqual(['write'])
  })

  it('of a replay: what that one took over can be taken over again', async () => {
    const { rig, id, log, state } = await failed()
    state.broken = true
    const first = await rig.engine.replay(LOCAL, id, { fromStep: 'charge', ...why })
    await rig.untilDone(first.job.id)
    state.broken = false
    log.length = 0
    const second = await rig.engine.replay(LOCAL, first.job.id, { fromStep: 'write', ...why })
    expect(second.job.replay.reused.map(({ step }) => step)).toEqual([
      ...['fetch', 'convert/p1', 'convert/p2', 'convert', 'charge'],
    ])
    expect(await rig.untilDone(second.job.id)).toMatchObject({ status: 'completed', replayOf: first.job.id })
    expect(log).toEqual(['write'])
  })

  it('with unknown steps is refused, and says which there are', async () => {
    const { rig, id } = await failed()
    await expect(rig.engine.replay(LOCAL, id, { fromStep: 'print', ...why })).rejects.toMatchObject({
      code: 'step-not-replayable',
      params: { steps: ['fetch', 'convert/p1', 'convert/p2', 'convert', 'charge'] },
    })
    expect((await rig.engine.list(LOCAL, {})).items).toHaveLength(1)
  })
})

describe('replay from the start', () => {
  it('takes over nothing, and still charges once', async () => {
    const { rig, id, log } = await failed()
    const { job } = await rig.engine.replay(LOCAL, id, why)
    expect(job.replay.reused).toEqual([])
    await rig.untilDone(job.id)
    expect(log).toEqual(['fetch@150', 'p1', 'p2', 'write'])
    const same = await rig.engine.replay(LOCAL, job.id, { fromStep: 'charge', reuseSteps: false, ...why })
    expect(same.job.replay.reused).toEqual([])
    log.length = 0
    await rig.untilDone(same.job.id)
    expect(log).toEqual(['fetch@150', 'p1', 'p2', 'write'])
  })

  it('with new effects charges again, says why in the audit trail, and its own replays charge no third time', async () => {
    const { rig, id, log } = await failed()
    const request = { ...why, newEffects: { reason: 'first charge was reversed by the bank' } }
    await expect(rig.engine.replay(LOCAL, id, { ...why, newEffects: { reason: '' } })).rejects.toMatchObject({
      errors: [{ pointer: '/newEffects/reason' }],
    })
    const { job } = await rig.engine.replay(LOCAL, id, request)
    expect(job.replay).toMatchObject({
      newEffects: true,
      again: expect.arrayContaining([{ step: 'charge', effect: 'once', protectedByKey: null }]),
    })
    await rig.untilDone(job.id)
    expect(log.filter((line) => line.startsWith('charge'))).toHaveLength(1)
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'job.replay', details: { newEffects: 'first charge was reversed by the bank', job: job.id } },
    ])
    const next = await rig.engine.replay(LOCAL, job.id, why)
    expect(await rig.untilDone(next.job.id)).toMatchObject({ status: 'completed' })
    expect(log.filter((line) => line.startsWith('charge'))).toHaveLength(1)
  })

  it('with another input that must pass the schema', async () => {
    const { rig, id, log } = await failed()
    await expect(rig.engine.replay(LOCAL, id, { input: { dpi: 'high' }, ...why })).rejects.toMatchObject({
      code: 'input-invalid',
      errors: [{ pointer: '/input/dpi' }],
    })
    const { job } = await rig.engine.replay(LOCAL, id, { input: {}, ...why })
    expect(job.replay.input).toBe('changed')
    await rig.untilDone(job.id)
    expect(log[0]).toBe('fetch@150')
    expect((await rig.engine.get(LOCAL, job.id, ['input'])).input).toEqual({ dpi: 150 })
  })

  it('under a newer definition upgrades the input, and refuses one that does not fit', async () => {
    const old = defineJob('greet', { input: z.object({ name: z.string() }) })
    const rig = await open(old.handler({ version: '1' }, async () => {}) as never)
    const { id } = await rig.submit(old, { name: 'Ada' })
    await rig.untilDone(id)
    const newer = defineJob('greet', { input: z.object({ names: z.array(z.string()) }) })
    await rig.restart([newer.handler({ version: '2' }, async () => {}) as never])
    await expect(rig.engine.replay(LOCAL, id, why)).rejects.toMatchObject({ code: 'input-invalid' })
    const upgrade = (input: unknown) => ({ names: [(input as { name: string }).name] })
    await rig.restart([newer.handler({ version: '2', upgrade }, async (job) => job.input.names as never) as never])
    const { job } = await rig.engine.replay(LOCAL, id, why)
    expect(job.typeVersion).toBe('2')
    expect((await rig.untilDone(job.id)).result).toEqual(['Ada'])
  })
})

describe('a dry run', () => {
  it('gives the same lists and stores nothing', async () => {
    const { rig, id } = await failed()
    const plan = await rig.engine.planReplay(LOCAL, id, { fromStep: 'charge', ...why })
    expect(plan.reused.map(({ step }) => step)).toEqual(['fetch', 'convert/p1', 'convert/p2', 'convert'])
    await expect(rig.engine.planReplay(LOCAL, id, { input: { dpi: 'x' }, ...why })).rejects.toMatchObject({
      code: 'input-invalid',
    })
    expect((await rig.engine.list(LOCAL, {})).items).toHaveLength(1)
    expect(await rig.store.audit('default', 0, 10)).toEqual([])
    const { job } = await rig.engine.replay(LOCAL, id, { fromStep: 'charge', ...why })
    expect(job.replay).toEqual(plan)
  })
})

describe('who may, and when', () => {
  it('operators any job, submitters their own; it stays the submitter’s, and the history says who asked', async () => {
    const { rig } = await failed()
    const owner = caller('key_a', 'jobs:submit')
    const { job: made } = await rig.engine.submit(owner, { type: 'scan', input: {} }, null)
    await expect(rig.engine.replay(owner, made.id, why)).rejects.toMatchObject({ code: 'job-not-done' })
    await rig.untilDone(made.id)
    await expect(rig.engine.replay(caller('key_b', 'jobs:submit', 'jobs:read'), made.id, why)).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(rig.engine.replay(caller('key_b', 'jobs:submit'), made.id, why)).rejects.toMatchObject({
      code: 'job-not-found',
    })
    expect((await rig.engine.replay(owner, made.id, why)).job.createdBy.id).toBe('key_a')
    const { job } = await rig.engine.replay(caller('ops', 'jobs:operate', 'jobs:read'), made.id, why)
    expect(job.createdBy.id).toBe('key_a')
    expect(await rig.engine.get(owner, job.id)).toMatchObject({ replayOf: made.id })
    expect((await rig.engine.history(LOCAL, job.id, {})).items[0]).toMatchObject({
      event: 'submitted',
      actor: { id: 'ops' },
      reason: 'low scan quality',
      context: { replayOf: made.id, fromStep: null },
      hash: expect.any(String),
    })
  })
})

describe('races', () => {
  it('twice with one key is one job, with another content a refusal', async () => {
    const { rig, id } = await failed()
    const request = { fromStep: 'write', key: 'k', ...why }
    const both = await Promise.all([rig.engine.replay(LOCAL, id, request), rig.engine.replay(LOCAL, id, request)])
    expect(both[0].job.id).toBe(both[1].job.id)
    expect(both.map(({ replayed }) => replayed).sort()).toEqual([false, true])
    await rig.untilDone(both[0].job.id)
    expect(await rig.engine.replay(LOCAL, id, request)).toMatchObject({ replayed: true, job: { status: 'completed' } })
    await expect(rig.engine.replay(LOCAL, id, { ...request, fromStep: 'charge' })).rejects.toMatchObject({
      code: 'idempotency-key-reused',
    })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('two operators without keys make two jobs, and the old one names the latest', async () => {
    const { rig, id } = await failed()
    const [a, b] = await Promise.all([rig.engine.replay(LOCAL, id, why), rig.engine.replay(LOCAL, id, why)])
    expect(a.job.id).not.toBe(b.job.id)
    expect((await rig.get(id)).supersededBy).toBe([a.job.id, b.job.id].sort().at(-1))
  })
})

const trip = defineJob('trip', { input: z.object({}) })

/** Books two things that can be undone and sends a mail that cannot; completes. */
function booking(log: string[], car: () => unknown = () => {}): JobHandler {
  return trip.handler({ retry: quick }, async (job) => {
    await job.step('flight', () => 'F1', {
      effect: 'once',
      undo: (value, { key }) => void log.push(`undo ${value} ${key}`),
    })
    await job.step('mail', () => void log.push('mail'))
    await job.step('car', () => 'C1', {
      undo: async (value) => {
        await car()
        log.push(`undo ${value}`)
      },
    })
    return 'booked'
  }) as never
}

async function booked(car?: () => unknown): Promise<{ rig: TestRig; id: string; log: string[] }> {
  const log: string[] = []
  const rig = await open(booking(log, car))
  const { id } = await rig.submit(trip, {}, { operationKey: 'trip:1' })
  expect((await rig.untilDone(id)).status).toBe('completed')
  log.length = 0
  return { rig, id, log }
}

describe('compensation of a finished job', () => {
  const asked = { reason: 'customer cancelled the trip' }

  it('undoes in reverse order as a job of its own, and notes the old one', async () => {
    const { rig, id, log } = await booked()
    const before = await rig.get(id)
    const { job, replayed } = await rig.engine.compensate(caller('ops', 'jobs:operate', 'jobs:read'), id, asked)
    expect(replayed).toBe(false)
    expect(job).toMatchObject({ type: 'trip', status: 'processing', compensates: id, operationKey: 'trip:1' })
    expect(await rig.get(id)).toMatchObject({ status: 'completed', compensatedBy: job.id, resolution: null })
    expect(await rig.untilDone(job.id)).toMatchObject({
      status: 'completed',
      result: { undone: ['flight', 'car'], notUndone: [] },
    })
    const key = systemEntropy.sha256('default\ntrip\ntrip:1\nflight').slice(0, 40)
    expect(log).toEqual(['undo C1', `undo F1 ${key}`])
    expect(await rig.get(id)).toMatchObject({
      status: 'completed',
      result: 'booked',
      finishedAt: before.finishedAt,
      resolution: { kind: 'compensated', jobId: job.id, by: { id: 'ops' } },
    })
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'job.compensate', target: `job/${id}`, details: { job: job.id, steps: ['flight', 'car'] } },
    ])
  })

  it('of chosen steps leaves the others', async () => {
    const { rig, id, log } = await booked()
    const { job } = await rig.engine.compensate(LOCAL, id, { ...asked, steps: ['car'] })
    expect(await rig.untilDone(job.id)).toMatchObject({ result: { undone: ['car'], notUndone: [] } })
    expect(log).toEqual(['undo C1'])
  })

  it('asked again is the same one, also by two at once', async () => {
    const { rig, id } = await booked()
    const both = await Promise.all([rig.engine.compensate(LOCAL, id, asked), rig.engine.compensate(LOCAL, id, asked)])
    expect(both[0].job.id).toBe(both[1].job.id)
    await rig.untilDone(both[0].job.id)
    expect(await rig.engine.compensate(LOCAL, id, { ...asked, steps: ['car'] })).toMatchObject({
      replayed: true,
      job: { id: both[0].job.id, status: 'completed' },
    })
  })

  it('waits for a person when an undo does not work, and tells what was left', async () => {
    const { rig, id, log } = await booked(() => {
      throw new Permanent('unknown booking')
    })
    const { job } = await rig.engine.compensate(LOCAL, id, asked)
    await rig.advance('1s')
    expect(await rig.get(job.id)).toMatchObject({ status: 'blocked', error: { code: 'undo-failed' } })
    await expect(rig.engine.cancel(LOCAL, job.id, {})).rejects.toMatchObject({ code: 'invalid-transition' })
    await rig.engine.answer(LOCAL, job.id, { step: 'car', answer: 'undone', reason: 'called the rental' })
    expect(await rig.untilDone(job.id)).toMatchObject({
      status: 'completed',
      result: { undone: ['flight'], notUndone: ['car'] },
    })
    expect(log).toHaveLength(1)
  })

  it('is not possible before the end, without undos, with unknown steps', async () => {
    const { rig, id } = await booked()
    await expect(rig.engine.compensate(LOCAL, id, { ...asked, steps: ['mail'] })).rejects.toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/steps/0' }],
      params: { due: ['flight', 'car'] },
    })
    await expect(rig.engine.compensate(LOCAL, id, { ...asked, steps: [] })).rejects.toMatchObject({
      code: 'nothing-to-compensate',
    })
    const { id: later } = await rig.submit(trip, {}, { runAt: new Date(rig.clock.now() + 9000) })
    await expect(rig.engine.compensate(LOCAL, later, asked)).rejects.toMatchObject({ code: 'job-not-done' })
    const plain = await failed()
    await expect(plain.rig.engine.compensate(LOCAL, plain.id, asked)).rejects.toMatchObject({
      code: 'nothing-to-compensate',
    })
  })

  it('goes on after a crash where it was', async () => {
    const { rig, id, log } = await booked()
    const dying = rig.crashAt({ op: 'record', when: 'after' })
    const { job } = await rig.engine.compensate(LOCAL, id, asked)
    await dying
    await rig.restart()
    await rig.untilDone(job.id)
    expect(log.map((line) => line.slice(0, 7))).toEqual(['undo C1', 'undo F1'])
  })

  it('cannot be replayed: the job that it undid can', async () => {
    const { rig, id } = await booked()
    const { job } = await rig.engine.compensate(LOCAL, id, asked)
    await rig.untilDone(job.id)
    await expect(rig.engine.replay(LOCAL, job.id, why)).rejects.toMatchObject({
      code: 'invalid-transition',
      params: { compensates: id },
    })
  })
})

describe('what was undone', () => {
  /** Books, tells and pays; paying fails while `broken`. What is booked is undone, what was told is not. */
  function ordering(log: string[], state: { broken: boolean }): JobHandler {
    const keyed = (what: string) => (context: { key: string }) => {
      log.push(`${what} ${context.key}`)
      return what
    }
    return trip.handler({ retry: quick }, async (job) => {
      await job.step('price', keyed('price'))
      await job.step('book', keyed('book'), { effect: 'once', undo: (_, { key }) => void log.push(`undo ${key}`) })
      await job.step('tell', keyed('tell'), { effect: 'once' })
      await job.step('pay', () => {
        if (state.broken) throw new Permanent('declined')
      })
      return 'ordered'
    }) as never
  }
  const doings = (log: string[]) => log.map((line) => line.split(' ')[0])

  it('by the job itself is done again by a replay, under another key; what was not undone is not', async () => {
    const log: string[] = []
    const state = { broken: true }
    const rig = await open(ordering(log, state))
    const { id } = await rig.submit(trip, {})
    expect((await rig.untilDone(id)).status).toBe('failed')
    expect(doings(log)).toEqual(['price', 'book', 'tell', 'undo'])
    const [, booked, , undone] = log.map((line) => line.split(' ')[1])
    expect(undone).toBe(booked)
    state.broken = false
    log.length = 0
    const { job } = await rig.engine.replay(LOCAL, id, { fromStep: 'pay', ...why })
    expect(job.replay.reused.map(({ step }) => step)).toEqual(['price', 'tell'])
    expect(job.replay.again).toEqual([
      { step: 'book', effect: 'once', protectedByKey: null },
      { step: 'pay', effect: null, protectedByKey: expect.any(String) },
    ])
    expect((await rig.untilDone(job.id)).status).toBe('completed')
    expect(doings(log)).toEqual(['book'])
    expect(log[0]!.split(' ')[1]).not.toBe(booked)
    // From the start as well: told once, and booked once more only after it was undone.
    log.length = 0
    const again = await rig.engine.replay(LOCAL, job.id, why)
    await rig.untilDone(again.job.id)
    expect(doings(log)).toEqual(['price'])
  })

  it('by a compensation counts for replays and for other jobs of the operation', async () => {
    const log: string[] = []
    const rig = await open(ordering(log, { broken: false }))
    const { id } = await rig.submit(trip, {}, { operationKey: 'trip:7' })
    await rig.untilDone(id)
    const { job } = await rig.engine.compensate(LOCAL, id, { reason: 'sent back' })
    await expect(rig.engine.replay(LOCAL, id, why)).rejects.toMatchObject({ code: 'invalid-transition' })
    await rig.untilDone(job.id)
    log.length = 0
    const replay = await rig.engine.replay(LOCAL, id, { fromStep: 'pay', ...why })
    expect(replay.job.replay.reused.map(({ step }) => step)).toEqual(['price', 'tell'])
    await rig.untilDone(replay.job.id)
    expect(doings(log)).toEqual(['book'])
    log.length = 0
    await rig.untilDone((await rig.submit(trip, {}, { operationKey: 'trip:7' })).id)
    expect(doings(log)).toEqual(['price'])
  })

  it('by hand counts as well', async () => {
    let tries = 0
    const rig = await open(
      trip.handler({ retry: quick }, async (job) => {
        await job.step('book', () => ++tries, {
          effect: 'once',
          undo: () => {
            throw new Permanent('no such booking')
          },
        })
        if (tries === 1) throw new Permanent('declined')
        return tries
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    await rig.advance('1s')
    await rig.engine.answer(LOCAL, id, { step: 'book', answer: 'undone', reason: 'by phone' })
    await rig.untilDone(id)
    const { job } = await rig.engine.replay(LOCAL, id, why)
    expect((await rig.untilDone(job.id)).result).toBe(2)
  })
})
