import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { defineJob, type HandlerOptions, type JobContext, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { Registry } from '../engine/registry.js'
import type { ClaimRequest, LaneQuota, Store } from '../stores/store.js'
import { TestClock } from '../testing/clock.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig, TestRigOptions } from '../testing/index.js'
import { ClaimLoop } from './claim-loop.js'

const open = rigs()

/** Jobs that stay until they are let go, and what ran when. */
class Gate {
  readonly started: string[] = []
  readonly running = new Set<string>()
  most = 0
  private readonly waiting = new Map<string, () => void>()

  handler(name: string, options: HandlerOptions<any, any> = {}): JobHandler {
    const definition = defineJob(name, { input: z.object({ id: z.string() }) })
    return definition.handler(options, async (job: JobContext<{ id: string }>) => {
      const { id } = job.input
      this.started.push(id)
      this.running.add(id)
      this.most = Math.max(this.most, this.running.size)
      await new Promise<void>((resolve) => this.waiting.set(id, resolve))
      this.running.delete(id)
      return null
    }) as unknown as JobHandler
  }

  release(id: string): void {
    this.waiting.get(id)?.()
    this.waiting.delete(id)
  }

  /** Lets one after the other go until nothing runs any more. */
  async drain(rig: TestRig): Promise<void> {
    for (await rig.settle(); this.running.size > 0; await rig.settle()) this.release([...this.running][0]!)
  }
}

async function gated(gate: Gate, handlers: JobHandler[], options: TestRigOptions = {}) {
  const rig = await open(handlers, options)
  const submit = (id: string, type = handlers[0]!.definition.name, more = {}) => rig.submit(type, { id }, more)
  return { rig, submit, drain: () => gate.drain(rig) }
}

describe('capacity', () => {
  it('never runs more than its slots, and fills them at once', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')], { worker: { slots: 4 } })
    await Promise.all(Array.from({ length: 20 }, (_, i) => submit(`${i}`)))
    await rig.settle()
    expect(gate.running.size).toBe(4)
    gate.release('0')
    await rig.settle()
    expect(gate.running.size).toBe(4)
    expect(gate.started).toEqual(['0', '1', '2', '3', '4'])
    await drain()
    expect(gate.most).toBe(4)
    expect(gate.started).toHaveLength(20)
  })

  it('never runs more of a queue than its concurrency, whatever the types and tenants in it', async () => {
    const gate = new Gate()
    const handlers = ['a', 'b', 'c'].map((name) => gate.handler(name, { queue: 'slow' }))
    const { rig, submit, drain } = await gated(gate, handlers, { queues: { slow: { concurrency: 2 } } })
    await Promise.all(Array.from({ length: 9 }, (_, i) => submit(`${i}`, 'abc'[i % 3])))
    await rig.settle()
    expect(gate.running.size).toBe(2)
    await drain()
    expect(gate.most).toBe(2)
    expect(gate.started).toHaveLength(9)
  })

  it('never runs more of a type than its concurrency, whatever the tenants', async () => {
    const gate = new Gate()
    const { rig, drain } = await gated(gate, [gate.handler('t', { concurrency: 2 })])
    const callers = ['x', 'y', 'z'].map((tenant) => ({ ...LOCAL, tenant }))
    for (let i = 0; i < 9; i++) await rig.engine.submit(callers[i % 3]!, { type: 't', input: { id: `${i}` } }, null)
    await rig.settle()
    expect(gate.running.size).toBe(2)
    await drain()
    expect(gate.most).toBe(2)
    expect(gate.started).toHaveLength(9)
  })

  it('one queue at its limit does not hold up another', async () => {
    const gate = new Gate()
    const handlers = [gate.handler('a', { queue: 'slow' }), gate.handler('b')]
    const { rig, submit, drain } = await gated(gate, handlers, {
      queues: { slow: { concurrency: 1 } },
      worker: { slots: 4 },
    })
    for (let i = 0; i < 6; i++) await submit(`a${i}`, 'a')
    for (let i = 0; i < 3; i++) await submit(`b${i}`, 'b')
    await rig.settle()
    expect([...gate.running].sort()).toEqual(['a0', 'b0', 'b1', 'b2'])
    await drain()
  })
})

describe('order', () => {
  it('concurrency 1 is one after the other, in the order of submission', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t', { concurrency: 1 })])
    const ids = Array.from({ length: 25 }, (_, i) => `${i}`)
    await Promise.all(ids.map((id) => submit(id)))
    await rig.settle()
    expect(gate.started).toEqual(['0'])
    await drain()
    expect(gate.started).toEqual(ids)
    expect(gate.most).toBe(1)
  })

  it('higher priority goes first', async () => {
    const gate = new Gate()
    const { submit, drain } = await gated(gate, [gate.handler('t')], { worker: { slots: 1 } })
    await submit('running')
    for (const [id, priority] of [
      ['low', -5],
      ['normal', 0],
      ['high', 5],
      ['urgent', 80],
    ] as const)
      await submit(id, 't', { priority })
    await drain()
    expect(gate.started).toEqual(['running', 'urgent', 'high', 'normal', 'low'])
  })

  it('a low priority does not starve while higher ones keep coming', async () => {
    const gate = new Gate()
    const { rig, submit } = await gated(gate, [gate.handler('t')], { worker: { slots: 1 } })
    await submit('h0', 't', { priority: 100 })
    await submit('low', 't', { priority: -100 })
    await submit('h1', 't', { priority: 100 })
    for (let i = 2; i < 40 && !gate.started.includes('low'); i++) {
      await submit(`h${i}`, 't', { priority: 100 })
      await rig.settle()
      gate.release([...gate.running][0]!)
    }
    expect(gate.started.indexOf('low')).toBeGreaterThan(0)
    expect(gate.started.indexOf('low')).toBeLessThanOrEqual(11)
    await gate.drain(rig)
  })

  it('a lane full of work does not keep other lanes waiting', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('bulk'), gate.handler('rare')], {
      worker: { slots: 2 },
    })
    await Promise.all(Array.from({ length: 50 }, (_, i) => submit(`bulk${i}`)))
    await submit('rare0', 'rare')
    await rig.settle()
    gate.release([...gate.running][0]!)
    await rig.settle()
    gate.release([...gate.running][0]!)
    await rig.settle()
    expect(gate.started.indexOf('rare0')).toBeGreaterThanOrEqual(0)
    await drain()
    expect(gate.started).toHaveLength(51)
  })
})

describe('wake-ups', () => {
  it('a job starts without time passing, also after the worker was idle', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')])
    for (const id of ['a', 'b']) {
      const before = rig.clock.now()
      await submit(id)
      await rig.settle()
      expect(gate.started).toContain(id)
      expect(rig.clock.now()).toBe(before)
      await rig.advance('1m')
      await drain()
    }
  })

  it('a scheduled job starts at its instant, also while another type is at its limit', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('full', { concurrency: 1 }), gate.handler('timed')])
    await submit('f0', 'full')
    await submit('f1', 'full')
    await rig.settle()
    await rig.advance(130)
    const at = rig.clock.now() + 300
    await submit('later', 'timed', { runAt: new Date(at) })
    await rig.settle()
    await submit('f2', 'full')
    await rig.advance(299)
    expect(gate.started).not.toContain('later')
    await rig.advance(1)
    expect(gate.started).toContain('later')
    await drain()
  })

  it('jobs of one lane that become due one after the other each start at their instant', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')], { worker: { slots: 2 } })
    await submit('now0')
    await submit('now1')
    await rig.advance(130)
    const began = rig.clock.now()
    for (const after of [10, 250, 90, 400]) await submit(`${after}`, 't', { runAt: new Date(began + after) })
    for (const now of ['now0', 'now1']) gate.release(now)
    for (const after of [10, 90, 250, 400]) {
      await rig.advance(began + after - 1 - rig.clock.now())
      expect(gate.started).not.toContain(`${after}`)
      await rig.advance(1)
      expect(gate.started).toContain(`${after}`)
      gate.release(`${after}`)
    }
    await drain()
  })

  it('jobs of several lanes that become due at one instant all start then, slots allowing', async () => {
    const gate = new Gate()
    const handlers = Array.from({ length: 7 }, (_, i) => gate.handler(`t${i}`))
    const { rig, submit, drain } = await gated(gate, handlers, { worker: { slots: 5 } })
    await rig.advance(130)
    const runAt = new Date(rig.clock.now() + 200)
    for (let i = 0; i < 7; i++) await submit(`${i}`, `t${i}`, { runAt })
    await rig.advance(200)
    expect(gate.running.size).toBe(5)
    gate.release([...gate.running][0]!)
    gate.release([...gate.running][1]!)
    await rig.settle()
    expect(gate.started).toHaveLength(7)
    await drain()
  })

  it('a type this process does not have stays queued until a process has it', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('known'), gate.handler('other')])
    await rig.restart([gate.handler('known'), gate.handler('other')], { worker: false })
    const { id } = await submit('x', 'other')
    await rig.restart([gate.handler('known')], {})
    await submit('y', 'known')
    await rig.advance('10s')
    expect(gate.started).toEqual(['y'])
    expect((await rig.get(id)).status).toBe('accepted')
    await rig.restart([gate.handler('known'), gate.handler('other')])
    await rig.settle()
    expect(gate.started).toContain('x')
    await drain()
  })

  it('a store that fails for a while delays jobs and loses none', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')])
    const { claim } = rig.store
    let failing = 3
    rig.store.claim = async (request) => {
      if (failing-- > 0) throw new Error('the store is away')
      return claim.call(rig.store, request)
    }
    await submit('a')
    await rig.advance('5s')
    expect(gate.started).toEqual(['a'])
    expect(rig.errors.map(String)).toEqual(Array(3).fill('Error: the store is away'))
    rig.errors.length = 0
    await drain()
  })

  it('claims that a store refuses before it asks for lanes follow each other with a pause', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')])
    const { claim } = rig.store
    let claims = 0
    rig.store.claim = async (request) => {
      // Without the pause it would never end.
      if (++claims <= 50) throw new Error('the store is out of order')
      return claim.call(rig.store, request)
    }
    await submit('a')
    await rig.advance('5s')
    expect(claims).toBeGreaterThan(2)
    expect(claims).toBeLessThan(20)
    rig.errors.length = 0
    rig.store.claim = claim
    await rig.advance('2s')
    expect(gate.started).toEqual(['a'])
    await drain()
    rig.errors.length = 0
  })
})

describe('where commits overlap', () => {
  it('the next claim is on its way before the jobs of the last one run, and the slots hold', async () => {
    const gate = new Gate()
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')], { worker: { slots: 4 } })
    Object.assign(rig.store.info, { overlaps: true })
    const { claim } = rig.store
    const seen: string[] = []
    rig.store.claim = (request) => {
      seen.push(`asked with ${gate.running.size} at work`)
      const claimed = claim.call(rig.store, request)
      return claimed.then((jobs) => {
        seen.push(`got ${jobs.length}`)
        return jobs
      })
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => submit(`${i}`)))
    await rig.settle()
    expect(seen.slice(0, 4)).toEqual(['asked with 0 at work', 'got 2', 'asked with 0 at work', 'got 2'])
    expect(gate.running.size).toBe(4)
    await drain()
    expect(gate.most).toBe(4)
    expect(gate.started).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
    expect(seen).not.toContain('got 3')
  })

  describe('deliveries', () => {
    const handler = defineJob('t', { input: z.object({}) }).handler(async () => null)
    const lane = 'default/t/default'
    /** A loop with four slots that is told of jobs; `claim` decides what each claim gives. */
    function told(claim: (lanes: readonly LaneQuota[]) => string[]) {
      const claims: (readonly LaneQuota[])[] = []
      const store = {
        info: { overlaps: true },
        lanes: async () => [],
        due: async () => null,
        claim: async (request: ClaimRequest) => {
          await null
          request.limit()
          claims.push(request.lanes)
          return claim(claims.at(-1)!).map((id) => ({ live: { id, lane }, record: { id, type: 't' } }))
        },
      }
      const loop = new ClaimLoop({
        ...{ store: store as unknown as Store, registry: new Registry([handler as unknown as JobHandler]) },
        ...{
          clock: new TestClock(),
          random: () => 0.5,
          worker: 'w',
          slots: 4,
          serves: () => true,
          carried: () => true,
        },
        ...{
          queueLimit: () => Number.POSITIVE_INFINITY,
          onClaimed: () => {},
          onError: (error) => expect.fail(`${error}`),
        },
      })
      loop.start()
      return { loop, claims }
    }
    const message = (jobId: string) => ({ lane, jobId, dispatchNo: 1 })

    it('of whatever the lane gave are answered, also of those that were not asked for', async () => {
      const { loop, claims } = told(() => (claims.length === 1 ? ['far', 'farther'] : []))
      const ids = [...Array.from({ length: 80 }, (_, i) => `${i}`), 'far', 'farther']
      const answers = ids.map((id) => loop.offer([message(id)]))
      expect(await Promise.all(answers.slice(-2))).toEqual([['claimed'], ['claimed']])
      expect(claims[0]![0]!.ids!.length).toBeLessThan(80)
      loop.stop()
    })

    it('that fill a claim leave what is overdue to the next one', async () => {
      const { loop, claims } = told((lanes) => lanes.flatMap(({ ids, limit }) => ids?.slice(0, limit) ?? []))
      const other = 'slow/t/default'
      const answers = ['a', 'b'].map((id) => loop.offer([message(id)]))
      loop.saw([{ lane: other, runAt: -60_000 }])
      await Promise.all(answers)
      await vi.waitFor(() => expect(claims.length).toBeGreaterThan(1))
      expect(claims.map((lanes) => lanes.map(({ lane }) => lane))).toEqual([[lane], [other]])
      loop.stop()
    })
  })

  it('a worker that stops meanwhile leaves nothing behind that it has claimed', async () => {
    const gate = new Gate()
    const { rig, submit } = await gated(gate, [gate.handler('t')], { worker: { slots: 4 } })
    Object.assign(rig.store.info, { overlaps: true })
    const { claim } = rig.store
    let stopping: Promise<void> | null = null
    rig.store.claim = (request) => {
      const claimed = claim.call(rig.store, request)
      return claimed.then((jobs) => {
        if (jobs.length > 0) stopping ??= rig.app.stop()
        return jobs
      })
    }
    await Promise.all(Array.from({ length: 6 }, (_, i) => submit(`${i}`)))
    await rig.settle()
    await gate.drain(rig)
    await stopping
    const statuses = (await rig.engine.list(LOCAL, {})).items.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set(['accepted', 'completed']))
    expect(gate.started.length).toBe(statuses.filter((status) => status === 'completed').length)
  })
})

describe('replaceHandlers', () => {
  it('later attempts run the new code; a running one ends with the old', async () => {
    const gate = new Gate()
    const t = defineJob('t', { input: z.object({ id: z.string() }) })
    const { rig, submit, drain } = await gated(gate, [gate.handler('t')])
    await submit('old')
    await rig.settle()
    rig.app.replaceHandlers([t.handler({ retry: until() }, (job) => `new ${job.input.id}`) as unknown as JobHandler])
    const fresh = await submit('fresh')
    expect((await rig.untilDone(fresh)).result).toBe('new fresh')
    await drain()
    expect((await rig.engine.list(LOCAL, {})).items.map(({ status }) => status)).toEqual(['completed', 'completed'])
  })
})
