import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Transient, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const quick = until({ attempts: 3, backoff: { from: '10ms', to: '10ms' } })
const trip = defineJob('trip', { input: z.object({}), stages: ['book', 'pay'] })
const eventsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.history(LOCAL, id, {})).items.map(({ event }) => event)

const noted = (log: string[], what: string, value: string) => {
  log.push(what)
  return value
}

/** Books flight, hotel and car; then does `last`. */
function booking(log: string[], last: () => unknown, undoCar: () => unknown = () => {}): JobHandler {
  return trip.handler({ retry: quick }, async (job) => {
    const undo =
      (what: string, more: () => unknown = () => {}) =>
      async (value: string) => {
        await more()
        log.push(`undo ${what} ${value}`)
      }
    await job.stage('book', async () => {
      await job.step('flight', () => noted(log, 'flight', 'F1'), { undo: undo('flight') })
      await job.step('hotel', () => noted(log, 'hotel', 'H1'), { undo: undo('hotel') })
      await job.step('note', () => log.push('note'))
    })
    await job.step('car', () => noted(log, 'car', 'C1'), { undo: undo('car', undoCar) })
    await job.step('last', () => last())
    return 'booked'
  }) as never
}
const refuse = () => {
  throw new Permanent('card declined', { code: 'card-declined' })
}

describe('compensation', () => {
  it('undoes recorded steps in reverse order, then tells the end that was on hold', async () => {
    const log: string[] = []
    const rig = await open(booking(log, refuse))
    const { id } = await rig.submit(trip, {})
    const job = await rig.untilDone(id)
    expect(log).toEqual(['flight', 'hotel', 'note', 'car', 'undo car C1', 'undo hotel H1', 'undo flight F1'])
    expect(job).toMatchObject({
      status: 'failed',
      error: {
        code: 'card-declined',
        details: { compensation: { state: 'rolled-back', undone: ['book/flight', 'book/hotel', 'car'].sort() } },
      },
    })
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'errored', 'claimed', 'undone'])
  })

  it('walks through no stage in which nothing is due: what stands there would judge the world as it is now', async () => {
    const log: string[] = []
    let refunded = false
    const rig = await open(
      trip.handler({ retry: quick }, async (job) => {
        await job.stage('book', () => {
          if (refunded) throw new Permanent('refunded already')
          return log.push('checked')
        })
        await job.stage('pay', async () => {
          await job.step('pay', () => (refunded = true), { undo: () => log.push('void') })
          await job.step('last', refuse)
        })
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { code: 'card-declined' } })
    expect(log).toEqual(['checked', 'void'])
  })

  it('hands an undo a key of its own, the same each time: for the far side it is another request', async () => {
    const keys: string[] = []
    const rig = await open(
      trip.handler({ retry: quick }, async (job) => {
        await job.step('pay', ({ key }) => keys.push(key), {
          undo: (_, { key }) => {
            if (keys.push(key) < 3) throw new Transient('busy')
          },
        })
        refuse()
      }) as never,
    )
    await rig.untilDone((await rig.submit(trip, {})).id)
    const [pay, first, second] = keys
    expect(first).not.toBe(pay)
    expect(second).toBe(first)
    expect(first).toMatch(/^[0-9a-f]{40}$/)
  })

  it('does nothing for a job that completes', async () => {
    const log: string[] = []
    const rig = await open(booking(log, () => 'ok'))
    const { id } = await rig.submit(trip, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed' })
    expect(log).toEqual(['flight', 'hotel', 'note', 'car'])
  })

  it('is retried like a step and goes on after a crash, each undo once recorded not repeated', async () => {
    const log: string[] = []
    let tries = 0
    const handler = booking(log, refuse, () => {
      if (++tries < 3) throw new Transient('car rental is down')
    })
    const rig = await open(handler)
    const dying = rig.crashAt({ op: 'record', when: 'after', nth: 8 })
    const { id } = await rig.submit(trip, {})
    await rig.advanceUntil(() => log.includes('undo hotel H1'), 'the second undo')
    await dying
    await rig.restart()
    const job = await rig.untilDone(id)
    expect(log.filter((line) => line.startsWith('undo'))).toEqual(['undo car C1', 'undo hotel H1', 'undo flight F1'])
    expect(job).toMatchObject({ status: 'failed', error: { code: 'card-declined' } })
  })

  it('of a cancelled job comes before its end; until then it is processing', async () => {
    const log: string[] = []
    let finish = () => {}
    const rig = await open(
      booking(
        log,
        () =>
          new Promise<void>((_, reject) => {
            finish = () => reject(new Error('stopped'))
          }),
      ),
    )
    const { id } = await rig.submit(trip, {})
    await rig.settle()
    await rig.engine.cancel(LOCAL, id, { reason: 'changed my mind' })
    finish()
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'cancelled', error: { code: 'cancelled-by-caller' } })
    expect(log.slice(-3)).toEqual(['undo car C1', 'undo hotel H1', 'undo flight F1'])
  })

  it('is left out when the cancel says so, which only operators may say', async () => {
    const log: string[] = []
    const rig = await open(
      booking(log, () => new Promise(() => {})),
      { worker: { drainMs: 1 } },
    )
    const { id } = await rig.submit(trip, {})
    await rig.settle()
    const caller = { ...LOCAL, scopes: ['jobs:submit' as const] }
    const request = { reason: 'keeps the rest', mode: 'force' as const, compensate: false }
    await expect(rig.engine.cancel(caller, id, request)).rejects.toMatchObject({ code: 'forbidden' })
    await rig.engine.cancel(LOCAL, id, request)
    expect((await rig.untilDone(id)).status).toBe('cancelled')
    expect(log).toEqual(['flight', 'hotel', 'note', 'car'])
    const [entry] = (await rig.engine.audit(LOCAL, { target: `job/${id}` })).items
    expect(entry).toMatchObject({ action: 'job.cancel', details: { compensate: false } })
  })

  it('that does not work waits for a person, and goes on when told to', async () => {
    const log: string[] = []
    let down = true
    const rig = await open(
      booking(log, refuse, () => {
        if (down) throw new Permanent('no such booking')
      }),
    )
    const { id } = await rig.submit(trip, {})
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'undo-failed', message: 'Undoing "car" did not work: no such booking' },
    })
    down = false
    await rig.engine.retry(LOCAL, id, { reason: 'rental repaired it' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { code: 'card-declined' } })
  })

  it('of code that has no undo any more says which step a person must undo', async () => {
    const log: string[] = []
    let fail = () => {}
    const rig = await open(
      booking(
        log,
        () =>
          new Promise<void>((_, reject) => {
            fail = () => reject(new Permanent('declined'))
          }),
      ),
    )
    const { id } = await rig.submit(trip, {})
    await rig.settle()
    fail()
    await rig.crashAt({ op: 'move', when: 'after' })
    await rig.restart([
      trip.handler(async (job) => {
        await job.step('other', () => 1)
      }) as never,
    ])
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'undo-failed', details: { last: { code: 'undo-missing' } } },
    })
  })

  it('between two tries goes on at once when told to', async () => {
    const log: string[] = []
    let down = true
    const rig = await open(
      trip.handler({ retry: until({ backoff: { from: '1h', to: '1h' } }) }, async (job) => {
        await job.step('car', () => 'C1', {
          undo: (value) => {
            if (down) throw new Transient('rental is down', { retryAfterMs: 3_600_000 })
            log.push(`undo ${value}`)
          },
        })
        throw new Permanent('declined')
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'processing', ops: { phase: 'compensating', workerId: null } })
    down = false
    const before = rig.clock.now()
    await rig.engine.retry(LOCAL, id, { reason: 'rental is back' })
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'failed', finishedAt: new Date(before).toISOString() })
    expect(log).toEqual(['undo C1'])
  })

  it('keeps the order of steps that were recorded in one millisecond', async () => {
    const log: string[] = []
    const rig = await open(
      trip.handler(async (job) => {
        for (const name of ['z', 'a', 'm', 'b'])
          await job.step(name, () => name, { undo: (value) => void log.push(value) })
        throw new Permanent('declined')
      }) as never,
    )
    await rig.untilDone((await rig.submit(trip, {})).id)
    expect(log).toEqual(['b', 'm', 'a', 'z'])
  })

  it('finds the undos inside engines, of those that were rejected as well, and runs no engine for nothing', async () => {
    const log: string[] = []
    const rig = await open(
      trip.handler({ retry: quick }, async (job) => {
        const hold = (name: string) =>
          job.step('hold', () => noted(log, `hold ${name}`, name), {
            undo: (value) => void log.push(`release ${value}`),
          })
        await job.first('hotel', {
          full: async () => {
            await hold('full')
            return job.step('check', () => {
              throw new Permanent('no room')
            })
          },
          free: () => hold('free'),
        })
        await job.first('mail', { post: () => log.push('posted') })
        await job.read('look', () => new Promise((resolve) => setImmediate(resolve)))
        await job.step('car', () => 'C1', { undo: (value) => void log.push(`release ${value}`) })
        throw new Permanent('card declined')
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { message: 'card declined' } })
    expect(log.slice(0, 3)).toEqual(['hold full', 'hold free', 'posted'])
    expect(log.slice(3).sort()).toEqual(['release C1', 'release free', 'release full'])
  })

  it('finds the undos inside engines of which none was chosen', async () => {
    const log: string[] = []
    const rig = await open(
      trip.handler({ retry: quick }, async (job) => {
        const engine = (name: string) => async () => {
          await job.step('hold', () => name, { undo: (value) => void log.push(`release ${value}`) })
          log.push(`check ${name}`)
          throw new Permanent('no room')
        }
        await job.first('hotel', { a: engine('a'), b: engine('b') })
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { message: 'no room' } })
    expect(log.filter((line) => line.startsWith('release')).sort()).toEqual(['release a', 'release b'])
  })

  it('an undo that does not end is tried again after the time limit, and then waits for a person', async () => {
    let begun = 0
    const rig = await open(
      trip.handler(
        { timeout: { attempt: '1m' }, retry: until({ attempts: 2, backoff: { from: '1s', to: '1s' } }) },
        async (job) => {
          await job.step('car', () => 'C1', {
            undo: () => {
              begun++
              return new Promise(() => {})
            },
          })
          throw new Permanent('card declined')
        },
      ) as never,
    )
    const { id } = await rig.submit(trip, {})
    await rig.advance('5m')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'undo-failed', details: { last: { code: 'attempt-timeout' } } },
    })
    expect(begun).toBe(2)
  })

  it('an undo has no steps of its own', async () => {
    const rig = await open(
      trip.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        await job.step('car', () => 'C1', { undo: () => job.step('call', () => 'called') })
        throw new Permanent('card declined')
      }) as never,
    )
    const { id } = await rig.submit(trip, {})
    await rig.advance('1m')
    expect((await rig.get(id)).error!.message).toContain('"call" was asked for inside an undo')
  })

  it('stops between two undos when the worker does, and goes on where it was', async () => {
    const log: string[] = []
    let stopping: Promise<void> | null = null
    const handler = trip.handler({ retry: quick }, async (job) => {
      for (const name of ['a', 'b'])
        await job.step(name, () => name, {
          undo: async (value) => {
            log.push(`undo ${value}`)
            if (log.length > 1) return
            stopping = rig.stop()
            await new Promise((resolve) => setImmediate(resolve))
          },
        })
      throw new Permanent('card declined')
    }) as never as JobHandler
    const rig = await open(handler)
    const { id } = await rig.submit(trip, {})
    await rig.advanceUntil(() => stopping !== null, 'the stop')
    await stopping
    expect(log).toHaveLength(1)
    await rig.restart()
    expect((await rig.untilDone(id)).status).toBe('failed')
    expect(log).toHaveLength(2)
    expect((await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['error', 'released', 'ok'])
  })
})
