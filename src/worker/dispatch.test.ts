import { describe, expect, it } from 'vitest'
import { UntildoneError } from '../core/errors.js'
import { LOCAL } from '../engine/api.js'
import type { WorkerRow } from '../stores/store.js'
import { dispatches, Runs, range } from '../testing/fixtures/dispatching.js'
import { ClaimLoop } from './claim-loop.js'
import { reachOf } from './reach.js'
import { Relay } from './relay.js'

const dispatching = dispatches()
const SINCE = { since: Date.UTC(2026, 10, 22, 9), why: 'The line is cut.' }

describe('a job that is announced', () => {
  it('is delivered and runs; nothing is claimed without a delivery', async () => {
    const { transport, runs, submit, soon } = await dispatching()
    transport.holds = true
    await submit([1])
    await soon()
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 1, started: [] })
    transport.holds = false
    transport.deliver()
    await soon()
    expect({ started: runs.started, answers: transport.answers }).toEqual({ started: [1], answers: ['claimed'] })
  })

  it('runs once, however often it is delivered', async () => {
    const { transport, runs, submit, soon } = await dispatching()
    transport.copies = 10
    await submit(range(3))
    await soon()
    expect(runs.started).toEqual([0, 1, 2])
    expect(transport.answers.filter((answer) => answer === 'returned')).toEqual([])
    await transport.publish('default', [{ jobId: 'unknown', dispatchNo: 1, lane: 'default/t/default' }])
    await soon()
    expect(transport.answers.at(-1)).toBe('dropped')
  })

  it('and gets lost is announced again under its number, until it is delivered', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching()
    transport.loses = true
    await submit([1])
    await soon()
    transport.loses = false
    await rig.advance('4s')
    expect(runs.started).toEqual([])
    await rig.advance('3s')
    expect({ started: runs.started, answers: transport.answers }).toEqual({ started: [1], answers: ['claimed'] })
    expect(new Set(transport.sent.map(({ dispatchNo }) => dispatchNo)).size).toBe(1)
  })

  it('and always gets lost is found by looking', async () => {
    const { transport, rig, runs, submit } = await dispatching()
    transport.loses = true
    await submit(range(5))
    await rig.advance('11s')
    expect(runs.started).toEqual(range(5))
  })

  it('for later is announced at its time, also when another one was announced meanwhile', async () => {
    const runs = new Runs()
    const { rig, submit } = await dispatching({ runs, types: [runs.handler('t'), runs.handler('u')] })
    await rig.advance('1010ms')
    await submit([1], 't', { runAt: new Date(rig.clock.now() + 300) })
    await submit([2], 'u')
    await rig.advance('299ms')
    expect(runs.started).toEqual([2])
    await rig.advance('20ms')
    expect(runs.started).toEqual([2, 1])
  })

  it('for later is announced when its time has come', async () => {
    const { transport, rig, runs, submit } = await dispatching()
    await submit([1], 't', { runAt: new Date(rig.clock.now() + 60_000) })
    await rig.advance('59s')
    expect(transport.sent).toEqual([])
    await rig.advance('1100ms')
    expect(runs.started).toEqual([1])
  })
})

describe('room', () => {
  it('no more than four messages per slot are under way, whatever waits, and all of it is done', async () => {
    const { transport, rig, runs, submit } = await dispatching({ worker: { slots: 3 } })
    await submit(range(200))
    await rig.advance('5s')
    expect(runs.started).toEqual(range(200))
    expect(transport.most).toBeLessThanOrEqual(12 + 3)
  })

  it('what finds no slot goes back after a moment, and is announced anew', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching({ worker: { slots: 1 } })
    runs.held = true
    await submit(range(3))
    await soon()
    expect(runs.started).toEqual([0])
    expect(transport.answers).toEqual(['claimed'])
    await rig.advance('500ms')
    expect(transport.answers).toContain('returned')
    const numbers = transport.sent.filter(({ jobId }) => jobId === transport.sent[1]!.jobId)
    expect(new Set(numbers.map(({ dispatchNo }) => dispatchNo)).size).toBeGreaterThan(1)
    runs.release()
    await rig.advance('1s')
    expect(runs.started).toEqual([0, 1, 2])
  })

  it('a type at its limit does not keep others of its queue waiting', async () => {
    const runs = new Runs()
    const types = [runs.handler('narrow', { concurrency: 1 }), runs.handler('wide')]
    const { rig, submit, soon } = await dispatching({ runs, types, worker: { slots: 4 } })
    runs.held = true
    await submit(range(50), 'narrow')
    await soon()
    await submit([100, 101], 'wide')
    await rig.advance('1200ms')
    expect(runs.started).toEqual([0, 100, 101])
    runs.release()
    await rig.advance('5s')
  })

  it('a queue never runs more than its concurrency', async () => {
    const { rig, runs, submit } = await dispatching({ queues: { default: { concurrency: 2 } } })
    runs.held = true
    await submit(range(10))
    await rig.advance('2s')
    expect(runs.started).toEqual([0, 1])
    runs.release()
    await rig.advance('5s')
    expect(runs.started).toEqual(range(10))
  })
})

describe('a transport that is away', () => {
  it('workers look by themselves, it is said once, and they stop looking when it is back', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching()
    transport.turn(SINCE)
    transport.turn(SINCE)
    await submit(range(3))
    await soon()
    expect(runs.started).toEqual([0, 1, 2])
    expect(transport.sent).toEqual([])
    expect(rig.errors.splice(0)).toMatchObject([
      { code: 'transport-away', message: 'The line is cut. Jobs are claimed from the store until it is back.' },
    ])
    expect(await rig.engine.health()).toMatchObject({
      status: 'degraded',
      checks: { transport: 'away since 2026-11-22T09:00:00.000Z: claiming from the store' },
    })
    transport.turn(null)
    await soon()
    await submit([3])
    await soon()
    expect(runs.started).toEqual([0, 1, 2, 3])
    expect(transport.answers).toEqual(['claimed'])
    expect((await rig.engine.health()).checks.transport).toBe('ok')
    expect(await rig.engine.check(LOCAL)).toMatchObject({ transport: 'fake', transportClaimed: 1, fakeMessages: 0 })
  })

  it('for another reason is told again, once each until it is back', async () => {
    const { transport, rig } = await dispatching()
    const because = (code: 'transport-away' | 'transport-unsafe', reason: string) => {
      const error = new UntildoneError(code, `It is ${reason}.`, { fix: `Mend ${reason}.`, params: { reason } })
      return { since: SINCE.since, why: error.message, error }
    }
    const cut = because('transport-away', 'cut')
    const unfit = because('transport-unsafe', 'unfit')
    for (const away of [cut, cut, unfit, cut, unfit, null, unfit]) transport.turn(away)
    await rig.settle()
    const told = { code: 'transport-unsafe', fix: 'Mend unfit.', params: { reason: 'unfit' } }
    expect(rig.errors.splice(0)).toMatchObject([{ code: 'transport-away', fix: 'Mend cut.' }, told, told])
    expect(await rig.engine.check(LOCAL)).toMatchObject({ transportAwayWhy: 'It is unfit.' })
  })

  it('what was announced before runs when it goes away', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching()
    transport.holds = true
    await submit([1])
    await soon()
    transport.turn(SINCE)
    await soon()
    expect(runs.started).toEqual([1])
    rig.errors.splice(0)
  })
})

describe('a delivery in hand', () => {
  it('and a look at the same lane, when it goes away meanwhile, are one claim', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching({ worker: { slots: 2 } })
    runs.held = true
    await submit(range(8))
    await soon()
    expect(runs.started).toEqual([0, 1])
    transport.turn(SINCE)
    await soon()
    runs.release()
    await soon()
    expect(runs.started).toEqual(range(8))
    expect(rig.errors.splice(0)).toMatchObject([{ code: 'transport-away' }])
  })
})

describe('an end', () => {
  it('what was delivered and not claimed is given back before the process is gone', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching({ worker: { slots: 1 } })
    runs.held = true
    await submit(range(3))
    await soon()
    runs.release()
    await rig.restart()
    expect(transport.answers).toContain('returned')
    await rig.advance('1s')
    expect([...runs.started].sort()).toEqual([0, 1, 2])
  })

  it('however often it went away and came back, no timer is left', async () => {
    const { transport, rig } = await dispatching()
    for (const away of [SINCE, null, SINCE, null]) transport.turn(away)
    await rig.settle()
    rig.errors.splice(0)
  })

  it('the connection is closed', async () => {
    const { transport, rig } = await dispatching()
    await rig.close()
    expect(transport.closed).toBe(true)
  })
})

describe('a worker that takes nothing', () => {
  it('because it has drained fetches no messages any more', async () => {
    const { transport, rig, submit } = await dispatching()
    const [worker] = await rig.engine.workers(LOCAL, false)
    await rig.engine.drainWorker(LOCAL, worker!.id, {})
    expect(transport.hearing('default')).toBe(1)
    await rig.advance('6s')
    await transport.publish('default', [{ jobId: 'unknown', dispatchNo: 1, lane: 'default/t/default' }])
    await submit([1])
    await rig.advance('3s')
    expect({ hearing: transport.hearing('default'), answers: transport.answers }).toEqual({ hearing: 0, answers: [] })
  })

  it('because its lease is lost hears again under its new one', async () => {
    const { transport, rig, runs, submit, soon } = await dispatching()
    // While something runs, time passes for heartbeats too.
    runs.held = true
    await submit([0])
    await soon()
    const { beat } = rig.store.workers
    rig.store.workers.beat = () => Promise.reject(new Error('the store does not answer'))
    await rig.advance('26s')
    expect(transport.hearing('default')).toBe(0)
    rig.store.workers.beat = beat
    await rig.advance('3s')
    expect(transport.hearing('default')).toBe(1)
    await submit([1])
    await soon()
    expect({ started: runs.started, answers: transport.answers }).toEqual({
      ...{ started: [0, 1], answers: ['claimed', 'claimed'] },
    })
    runs.release()
    rig.errors.splice(0)
  })

  it.each<[string, readonly ('claim' | 'lanes' | 'ready' | 'waiting')[]]>([
    ['claims', ['claim', 'lanes', 'ready', 'waiting']],
    ['looks', ['lanes', 'ready', 'waiting']],
  ])(
    'because the store does not answer %s leaves the messages to others, and says what it had taken',
    async (_, calls) => {
      const { transport, rig, runs, submit, soon } = await dispatching({ worker: { slots: 2 } })
      transport.holds = true
      await submit(range(8))
      await soon()
      expect(transport.sent).toHaveLength(8)
      const truth = calls.map((call) => [call, rig.store[call]] as const)
      for (const call of calls)
        rig.store[call] = () => Promise.reject(new UntildoneError('store-unavailable', 'The line is cut.')) as never
      if (calls[0] === 'lanes') await rig.advance('2s')
      transport.holds = false
      transport.deliver()
      await rig.advance('3s')
      expect(transport.hearing('default')).toBe(0)
      expect(transport.answers.length).toBeLessThanOrEqual(4)
      for (const [call, fn] of truth) rig.store[call] = fn as never
      // The look comes within 1.25 s; what nobody had said would come back after 5 s.
      await rig.advance('2s')
      expect([...runs.started].sort()).toEqual(range(8))
      rig.errors.splice(0)
    },
  )
})

describe('whom it reaches', () => {
  const NOW = 1000
  const worker = (
    id: string,
    types: string[],
    more: Partial<Omit<WorkerRow, 'serves'>> & { serves?: object } = {},
  ): WorkerRow => ({
    ...{ id, boot: 'b', host: 'h', pid: 1, startedAt: 1, leaseUntil: NOW + 1, state: 'up' as const, ...more },
    serves: {
      types: types.map((text) => ({ name: text.split('@')[0]!, version: text.split('@')[1] ?? null })),
      queues: null,
      transport: 'fake',
      ...more.serves,
    },
  })
  const reaches = (workers: WorkerRow[], lane: string) => reachOf(workers, 'fake', NOW)(lane)

  it.each<[string, WorkerRow[], string, boolean]>([
    ['all can run it', [worker('a', ['t']), worker('b', ['t', 'u'])], 'default/t/x', true],
    ['one cannot', [worker('a', ['t']), worker('b', ['u'])], 'default/t/x', false],
    ['nobody is there', [], 'default/t/x', false],
    [
      'the one that cannot is of another queue',
      [worker('a', ['t']), worker('b', ['u'], { serves: { queues: ['q'] } })],
      'default/t/x',
      true,
    ],
    ['nobody is of this queue', [worker('a', ['t'], { serves: { queues: ['q'] } })], 'default/t/x', false],
    [
      'the one that cannot looks by itself',
      [worker('a', ['t']), worker('b', ['u'], { serves: { transport: undefined } })],
      'default/t/x',
      true,
    ],
    ['it hears of another kind', [worker('a', ['t'], { serves: { transport: 'other' } })], 'default/t/x', false],
    [
      'the one that cannot is leaving',
      [worker('a', ['t']), worker('b', ['u'], { state: 'draining' })],
      'default/t/x',
      true,
    ],
    ['the one that cannot is dead', [worker('a', ['t']), worker('b', ['u'], { leaseUntil: NOW })], 'default/t/x', true],
    ['pinned to the version they have', [worker('a', ['t@2'])], 'default/t/x/2', true],
    ['pinned to one that not all have', [worker('a', ['t@2']), worker('b', ['t@3'])], 'default/t/x/2', false],
    ['what the engine brings along', [worker('a', ['untildone.bulk'])], 'untildone/untildone.bulk/x', false],
  ])('%s', (_, workers, lane, expected) => {
    expect(reaches(workers, lane)).toBe(expected)
  })
})

describe('a look at thousands of lanes', () => {
  const NUMBER = 3000
  // Each sooner than the one before it: whoever set the timer for each would set it as often.
  const lanes = range(NUMBER).map((i) => ({ lane: `q${i}/t/x`, runAt: 10_000_000 - i }))
  const counting = () => {
    const counted = { timers: 0 }
    const after = () => {
      counted.timers++
      return { cancel: () => {} }
    }
    return { counted, clock: { now: () => 0, monotonic: () => 0, after, keepAlive: after } }
  }
  const store = { lanes: async () => lanes } as never
  const nothing = () => {}

  it('sets the timer of a worker once', async () => {
    const { counted, clock } = counting()
    const loop = new ClaimLoop({
      ...{ store, clock, registry: null as never, worker: 'w', slots: 1, serves: () => true, queueLimit: () => 1 },
      ...{ random: () => 0.5, onClaimed: nothing, onError: nothing },
    })
    loop.start()
    await new Promise((resolve) => setImmediate(resolve))
    expect(counted.timers).toBeLessThan(5)
    loop.stop()
  })

  it('and of a relay', async () => {
    const { counted, clock } = counting()
    const relay = new Relay({
      ...{ store, clock, transport: null as never, random: () => 0.5, window: 8, reaches: () => true },
      ...{ rests: () => false, direct: (messages) => messages, onLook: nothing, onLost: nothing, onError: nothing },
    })
    await relay.start()
    expect(counted.timers).toBeLessThan(5)
    await relay.stop()
  })
})
