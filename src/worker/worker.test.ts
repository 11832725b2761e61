import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { UntildoneError } from '../core/errors.js'
import { defineJob, type HandlerOptions, type JobContext, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig, TestRigOptions } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ n: z.number().default(0) }) })
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
type Fn = (job: JobContext<{ n: number }>) => unknown
const of = (fn: Fn, options: HandlerOptions<any, any> = {}) =>
  work.handler({ retry: quick, ...options }, fn as never) as unknown as JobHandler
const aborted = (job: JobContext<any>) =>
  new Promise<never>((_, reject) => job.signal.addEventListener('abort', () => reject(job.signal.reason)))
const forever = () => new Promise<never>(() => {})

async function started(fn: Fn, options: HandlerOptions<any, any> = {}, rigOptions: TestRigOptions = {}) {
  const rig = await open(of(fn, options), rigOptions)
  const { id } = await rig.submit(work, {})
  await rig.settle()
  return { rig, id }
}
const endsOf = async (rig: TestRig, id: string) => (await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)
const eventsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.history(LOCAL, id, {})).items.map(({ event }) => event)

describe('cancel', () => {
  it('of a job that has not started ends it at once, and nothing of it ever runs', async () => {
    let runs = 0
    const rig = await open(of(() => runs++))
    const { id } = await rig.submit(work, {}, { runAt: new Date(rig.clock.now() + 1000) })
    const { job, pending } = await rig.engine.cancel(LOCAL, id, { reason: 'wrong file' })
    expect(pending).toBe(false)
    expect(job).toMatchObject({ status: 'cancelled', done: true, error: { code: 'cancelled-by-caller', class: null } })
    expect(job.statusText).toBe('Cancelled: wrong file')
    await rig.advance('5s')
    expect(runs).toBe(0)
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'cancelRequested'])
  })

  it('of a running job aborts its signal; it is cancelled when the handler has settled', async () => {
    let settle = () => {}
    let seen: AbortSignal | undefined
    const { rig, id } = await started(async (job) => {
      seen = job.signal
      await new Promise<void>((resolve) => {
        settle = resolve
      })
      throw new Error('stopped half way')
    })
    const { job, pending } = await rig.engine.cancel(LOCAL, id, {})
    expect(pending).toBe(true)
    expect(job).toMatchObject({
      status: 'processing',
      cancelRequestedAt: expect.any(String),
      statusText: 'Stopping on request.',
    })
    expect(seen!.aborted).toBe(true)
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({ status: 'processing', ops: { phase: 'cancelling' } })
    settle()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'cancelled', ops: { phase: 'byCaller' }, warnings: [] })
    expect(await endsOf(rig, id)).toEqual(['cancelled'])
  })

  it('loses against a handler that finishes: completed is what happened, so that is what is said', async () => {
    let settle = () => {}
    const { rig, id } = await started(async () => {
      await new Promise<void>((resolve) => {
        settle = resolve
      })
      return 'done after all'
    })
    await rig.engine.cancel(LOCAL, id, {})
    settle()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'completed', result: 'done after all' })
    expect(await endsOf(rig, id)).toEqual(['ok'])
    await expect(rig.engine.cancel(LOCAL, id, {})).rejects.toMatchObject({
      code: 'job-already-done',
      params: { status: 'completed', next: expect.stringContaining('/result') },
    })
  })

  it('keeps the next step from starting, and what was recorded stays', async () => {
    const ran: string[] = []
    let go = () => {}
    const { rig, id } = await started(async (job) => {
      await job.step('one', async () => {
        ran.push('one')
        await new Promise<void>((resolve) => {
          go = resolve
        })
      })
      await job.step('two', () => ran.push('two'))
    })
    await rig.engine.cancel(LOCAL, id, {})
    go()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'cancelled' })
    expect(ran).toEqual(['one'])
    expect((await rig.store.steps(id)).map(({ key }) => key)).toEqual(['one'])
  })

  it('force does not wait for inline code, and says that it still runs', async () => {
    const { rig, id } = await started(forever)
    expect((await rig.engine.cancel(LOCAL, id, { mode: 'force' })).pending).toBe(true)
    await rig.advance(249)
    expect((await rig.get(id)).done).toBe(false)
    await rig.advance(1)
    expect(await rig.get(id)).toMatchObject({ status: 'cancelled', warnings: [{ code: 'handler-still-running' }] })
  })

  it('force after graceful is stronger; graceful after graceful answers the same', async () => {
    const { rig, id } = await started(forever)
    await rig.engine.cancel(LOCAL, id, {})
    expect((await rig.engine.cancel(LOCAL, id, {})).pending).toBe(true)
    await rig.advance('30s')
    expect((await rig.get(id)).done).toBe(false)
    await rig.engine.cancel(LOCAL, id, { mode: 'force' })
    await rig.advance(250)
    expect((await rig.get(id)).status).toBe('cancelled')
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'cancelRequested', 'cancelRequested', 'errored'])
  })

  it('twice at once of a queued job answers cancelled twice', async () => {
    const rig = await open(of(() => null))
    const { id } = await rig.submit(work, {}, { runAt: new Date(rig.clock.now() + 1000) })
    const both = await Promise.all([rig.engine.cancel(LOCAL, id, {}), rig.engine.cancel(LOCAL, id, {})])
    expect(both.map(({ job }) => job.status)).toEqual(['cancelled', 'cancelled'])
    expect((await rig.engine.cancel(LOCAL, id, {})).job.status).toBe('cancelled')
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('of a job whose worker dies while it stops ends as cancelled, not as another attempt', async () => {
    let runs = 0
    const { rig, id } = await started(() => {
      runs++
      return forever()
    })
    await rig.engine.cancel(LOCAL, id, {})
    await rig.crash()
    await rig.restart()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'cancelled' })
    expect(await endsOf(rig, id)).toEqual(['lost'])
    expect(runs).toBe(1)
  })
})

describe('drain', () => {
  it('stops at the next step, burns no attempt, and the next process goes on from there', async () => {
    const ran: string[] = []
    let go = () => {}
    const handler = of(async (job) => {
      await job.step('one', async () => {
        ran.push('one')
        await new Promise<void>((resolve) => {
          go = resolve
        })
      })
      try {
        await job.step('two', () => ran.push('two'))
      } catch {
        ran.push('a catch block saw the shutdown')
      }
      return 'done'
    })
    const rig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.settle()
    const stopping = rig.app.stop()
    await rig.settle()
    go()
    await stopping
    expect((await rig.store.find(id)) as object).toMatchObject({ live: { state: 'queued', errors: 0, losses: 0 } })
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'done' })
    expect(ran).toEqual(['one', 'two'])
    expect(await endsOf(rig, id)).toEqual(['released', 'ok'])
  })

  it('lets a handler that finishes in time finish', async () => {
    let go = () => {}
    const { rig, id } = await started(
      () =>
        new Promise((resolve) => {
          go = () => resolve('in time')
        }),
    )
    const stopping = rig.app.stop()
    await rig.advance('19s')
    go()
    await stopping
    expect((await rig.store.find(id)) as object).toMatchObject({
      outcome: { status: 'completed', result: '"in time"' },
    })
  })

  it('after drainMs the signal aborts; a handler that does not heed it is left behind, released', async () => {
    let reason: unknown
    const { rig, id } = await started((job) => {
      job.signal.addEventListener('abort', () => {
        reason = (job.signal.reason as { code: string }).code
      })
      return forever()
    })
    let stopped = false
    const stopping = rig.app.stop().then(() => {
      stopped = true
    })
    await rig.advance('19s')
    expect(reason).toBeUndefined()
    await rig.advance('1s')
    expect(reason).toBe('draining')
    await rig.advance('7s')
    expect(stopped).toBe(false)
    await rig.advance('1s')
    await stopping
    expect((await rig.store.find(id)) as object).toMatchObject({ live: { state: 'queued', errors: 0 }, warnings: [] })
    expect((await rig.store.attempts(id)).map(({ outcome }) => outcome)).toEqual(['released'])
  })

  it('a second signal aborts now', async () => {
    const { rig, id } = await started(forever)
    const stopping = rig.app.stop()
    rig.app.abort()
    await rig.advance(0)
    await stopping
    expect((await rig.store.attempts(id)).map(({ outcome }) => outcome)).toEqual(['released'])
  })

  it('claims nothing more, and a stop right after a submit leaves nothing half begun', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const rig = await open(of((job) => job.step('one', () => turns)))
      const { id } = await rig.submit(work, {})
      for (let i = 0; i < turns; i++) await Promise.resolve()
      await rig.stop()
      const before = await rig.store.attempts(id)
      expect(before.map(({ outcome }) => outcome)).not.toContain('lost')
      await rig.restart()
      expect((await rig.untilDone(id)).result).toBe(turns)
      expect(await endsOf(rig, id)).not.toContain('lost')
    }
  })

  it('the worker’s row says gone afterwards, so that nobody waits for its lease', async () => {
    const { rig } = await started(() => null)
    await rig.stop()
    expect((await rig.store.workers.list()).map(({ state }) => state)).toEqual(['gone'])
  })
})

describe('lease', () => {
  it('is renewed every 5 s for 30 s', async () => {
    const { rig } = await started(() => null)
    const lease = async () => (await rig.store.workers.list())[0]!.leaseUntil - rig.clock.now()
    expect(await lease()).toBe(30_000)
    await rig.advance(4999)
    expect(await lease()).toBe(25_001)
    await rig.advance(1)
    expect(await lease()).toBe(30_000)
  })

  it('declared gone: attempts are aborted, write nothing, and the worker begins anew', async () => {
    const late: string[] = []
    const handler = of(async (job) => {
      if (job.attempt > 1) return 'second'
      await aborted(job).catch((error) => late.push(error.code))
      await job.step('late', () => late.push('a step ran')).catch(() => late.push('a catch block saw it'))
      late.push('went on after a step')
      return 'first'
    })
    const rig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.settle()
    const [row] = await rig.store.workers.list()
    await rig.store.workers.beat({ ...row!, state: 'gone' })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 'second', warnings: [] })
    expect(late).toEqual(['lease-lost'])
    expect(await endsOf(rig, id)).toEqual(['lost', 'ok'])
    expect(await rig.store.steps(id)).toEqual([])
    const workers = await rig.store.workers.list()
    expect(workers.map(({ state }) => state).sort()).toEqual(['gone', 'up'])
    expect(rig.errors.map(String)).toEqual([expect.stringContaining('could not renew its lease')])
    rig.errors.length = 0
  })

  it('unconfirmed for 20 s: the worker fences itself before anybody else may take over', async () => {
    const seen: [string, number][] = []
    const handler = of(async (job) => {
      seen.push([`start ${job.attempt}`, rig.clock.now()])
      if (job.attempt > 1) return 'second'
      await aborted(job).catch(() => seen.push(['abort', rig.clock.now()]))
      await forever()
    })
    const rig: TestRig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.settle()
    const began = rig.clock.now()
    const { beat } = rig.store.workers
    rig.store.workers.beat = () => Promise.reject(new Error('the store does not answer'))
    await rig.advance('26s')
    rig.store.workers.beat = beat
    const job = await rig.untilDone(id)
    expect(job.result).toBe('second')
    const [, abort, restart] = seen
    expect(abort![1] - began).toBeGreaterThanOrEqual(20_000)
    expect(abort![1] - began).toBeLessThanOrEqual(25_000)
    expect(restart![1] - began).toBeGreaterThan(30_000)
    expect(await endsOf(rig, id)).toEqual(['lost', 'ok'])
    rig.errors.length = 0
  })

  it('after a standstill longer than the lease no two attempts of a job run side by side', async () => {
    let running = 0
    let most = 0
    const handler = of(async (job) => {
      most = Math.max(most, ++running)
      try {
        if (job.attempt > 1) return 'second'
        await aborted(job)
      } finally {
        running--
      }
    })
    const rig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.advance('7s')
    await rig.clock.stall(35_000)
    const job = await rig.untilDone(id, '11s')
    expect(job.result).toBe('second')
    expect(most).toBe(1)
    expect(await endsOf(rig, id)).toEqual(['lost', 'ok'])
    rig.errors.length = 0
  })

  it('a standstill is reported, with what it means', async () => {
    const { rig } = await started(() => null)
    await rig.clock.stall(16_000)
    expect(rig.errors.map(String)).toEqual([expect.stringContaining('stood still for 11000 ms')])
    rig.errors.length = 0
  })

  it('a jump of the wall clock changes nothing', async () => {
    const { rig, id } = await started((job) =>
      job.attempt > 1
        ? 'twice'
        : new Promise((resolve) => {
            setOff = () => resolve('once')
          }),
    )
    for (const skew of [3_600_000, -7_200_000, 3_600_000]) {
      rig.clock.skew(skew)
      await rig.advance('12s')
    }
    setOff()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'completed', result: 'once' })
    expect(await endsOf(rig, id)).toEqual(['ok'])
  })
})
let setOff = () => {}

describe('a lost worker', () => {
  it('its job goes on within a second of the restart', async () => {
    const { rig, id } = await started((job) => (job.attempt === 1 ? forever() : 'second'))
    await rig.crash()
    await rig.advance('3s')
    const restart = rig.clock.now()
    await rig.restart()
    expect(rig.app.recovered).toMatchObject({ jobs: 1 })
    expect((await rig.untilDone(id)).result).toBe('second')
    expect(rig.clock.now() - restart).toBeLessThan(1000)
  })

  it('three times makes poison: a review, never failed; other jobs go on; a retry lets it run again', async () => {
    const handler = of((job) => (job.input.n === 1 && job.attempt <= 3 ? forever() : 'fine'))
    const rig = await open(handler)
    const { id } = await rig.submit(work, { n: 1 })
    for (let i = 0; i < 3; i++) {
      await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'running')
      await rig.crash()
      await rig.restart()
      expect(await rig.untilDone(await rig.submit(work, {}))).toMatchObject({ status: 'completed' })
    }
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'poison', class: 'review' },
      ops: { phase: 'review' },
    })
    await rig.advance('1m')
    expect((await rig.get(id)).status).toBe('blocked')
    await rig.engine.retry(LOCAL, id, { reason: 'fixed the engine' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'fine' })
    expect(await endsOf(rig, id)).toEqual(['lost', 'lost', 'lost', 'ok'])
  })

  it('losses and errors are counted apart', async () => {
    const handler = of(
      (job) => (job.attempt === 2 ? forever() : job.attempt < 5 ? Promise.reject(new Error('busy')) : 'fifth'),
      {
        retry: until({ attempts: 4, backoff: { from: '10ms', to: '10ms' } }),
      },
    )
    const rig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.advanceUntil(async () => (await rig.get(id)).ops!.attempt === 2)
    await rig.crash()
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'fifth' })
    expect(await endsOf(rig, id)).toEqual(['error', 'lost', 'error', 'error', 'ok'])
  })

  it('maxLost: 1 asks a human after the first loss', async () => {
    const { rig, id } = await started(forever, { maxLost: 1 })
    await rig.crash()
    await rig.restart()
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', error: { code: 'poison' } })
  })

  it('a store that cannot take the end of an attempt for a while gets it later: nothing runs twice', async () => {
    let runs = 0
    const rig = await open(of(() => ++runs))
    const { move } = rig.store
    let failing = 7
    rig.store.move = (request) => {
      if (failing-- > 0) return Promise.reject(new UntildoneError('store-unavailable', 'The disk is full.'))
      return move.call(rig.store, request)
    }
    const { id } = await rig.submit(work, {})
    expect((await rig.untilDone(id)).result).toBe(1)
    expect(runs).toBe(1)
    expect(await endsOf(rig, id)).toEqual(['ok'])
  })

  it('an end that the store never takes becomes an error of the attempt: the job does not hang', async () => {
    const handler = of((job) => {
      job.warn('w', `attempt ${job.attempt}`)
      return job.attempt === 1 ? 'unstorable' : 'fine'
    })
    const rig = await open(handler)
    const { move } = rig.store
    rig.store.move = (request) => {
      const bad = request.result === '"unstorable"' || request.record?.warnings?.[0]?.message === 'attempt 1'
      return bad ? Promise.reject(new Error('constraint failed')) : move.call(rig.store, request)
    }
    const { id } = await rig.submit(work, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'fine' })
    const [first, second] = await rig.engine.attempts(LOCAL, id)
    expect(first).toMatchObject({ outcome: 'error', verdict: 'transient', error: { code: 'internal' } })
    expect(first!.error!.message).toContain('constraint failed')
    expect(second!.outcome).toBe('ok')
    expect(rig.errors.map(String)).toEqual(['Error: constraint failed'])
    rig.errors.length = 0
  })

  it('a store that takes nothing does not keep the worker from stopping; the job goes on at the next start', async () => {
    let gate = () => {}
    const { rig, id } = await started(async (job) => {
      if (job.attempt === 1) await new Promise<void>((resolve) => (gate = resolve))
      return 'done'
    })
    const { move } = rig.store
    rig.store.move = () => Promise.reject(new UntildoneError('store-unavailable', 'The disk is full.'))
    gate()
    await rig.advance('1s')
    const stopping = rig.app.stop()
    await rig.advance('40s')
    await stopping
    await rig.advance('3s')
    expect(rig.errors.map(String).join()).toContain('1 attempts could not be ended in the store')
    rig.errors.length = 0
    rig.store.move = move
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'done' })
  })

  it('a heartbeat that never answers does not keep the worker from fencing itself', async () => {
    let abortedAt = 0
    const { rig, id } = await started(async (job) => {
      if (job.attempt > 1) return 'second'
      await aborted(job).catch(() => {
        abortedAt = rig.clock.monotonic()
      })
    })
    const { beat } = rig.store.workers
    rig.store.workers.beat = () => forever()
    await rig.advance('21s')
    expect(abortedAt).toBe(20_000)
    rig.store.workers.beat = beat
    await rig.stop()
    expect((await rig.store.attempts(id)).map(({ outcome }) => outcome)).toEqual([])
    await rig.restart()
    rig.errors.length = 0
  })
})
