import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, Permanent, until as retryUntil } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { TestClock } from './clock.js'
import { testEntropy } from './entropy.js'
import { createTestRig, type TestRig, until } from './index.js'

let rig: TestRig | null = null
afterEach(async () => {
  await rig?.close()
  expect(rig?.leftBehind ?? 0, 'timers left behind').toBe(0)
  expect(rig?.clock.timers ?? 0).toBe(0)
  rig = null
})

describe('TestClock', () => {
  it('runs due timers in order, each at its own instant, and those they set', async () => {
    const clock = new TestClock(1000)
    const seen: string[] = []
    const at = (name: string) => () => seen.push(`${name}@${clock.now()}`)
    clock.after(30, at('c'))
    clock.after(10, () => {
      at('a')()
      clock.after(5, at('b'))
    })
    clock.after(30, at('d'))
    clock.after(10, at('e')).cancel()
    expect(clock.next).toBe(10)
    await clock.advance(29)
    expect(seen).toEqual(['a@1010', 'b@1015'])
    await clock.advance(1)
    expect(seen).toEqual(['a@1010', 'b@1015', 'c@1030', 'd@1030'])
    expect([clock.now(), clock.monotonic(), clock.timers, clock.next]).toEqual([1030, 30, 0, null])
  })

  it('stall: nothing runs while time passes, then everything late', async () => {
    const clock = new TestClock(0)
    const seen: number[] = []
    clock.after(20, () => seen.push(clock.now()))
    clock.after(10, () => {
      seen.push(clock.now())
      clock.after(0, () => seen.push(-1))
    })
    await clock.stall(100)
    expect(seen).toEqual([100, 100])
    await clock.advance(0)
    expect(seen).toEqual([100, 100, -1])
  })

  it('skew moves the wall clock and nothing else', async () => {
    const clock = new TestClock(5000)
    let fired = false
    clock.after(10, () => {
      fired = true
    })
    clock.skew(-3000)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([2000, 0, false])
    await clock.advance(10)
    expect([clock.now(), fired]).toEqual([2010, true])
  })
})

describe('testEntropy', () => {
  it('gives rising UUIDv7 with the clock’s instant, and the same again from the same seed', async () => {
    const clock = new TestClock()
    const entropy = testEntropy(clock)
    const ids: string[] = []
    for (let i = 0; i < 40_000; i++) {
      if (i % 20_000 === 19_999) clock.skew(i === 19_999 ? -50 : 7)
      ids.push(entropy.jobId())
    }
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of [ids[0]!, ids[30_000]!]) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(Date.UTC(2026, 10, 22, 9))
    }
    expect(testEntropy(new TestClock()).jobId()).toBe(ids[0])
    expect(testEntropy(new TestClock(), 2).jobId()).not.toBe(ids[0])
    expect(entropy.token(32)).toMatch(/^[A-Za-z0-9_-]{43}$/)
    for (let i = 0; i < 1000; i++) expect(entropy.random()).toBeLessThan(1)
  })
})

describe('until', () => {
  it('gives the value, or says what it waited for', async () => {
    let n = 0
    expect(await until(() => ++n === 3 && 'three')).toBe('three')
    await expect(until(() => false, 'rain', 20)).rejects.toThrow('Waited 20 ms in vain for rain')
  })
})

describe('createTestRig', () => {
  const add = defineJob('add', {
    input: z.object({ a: z.number(), b: z.number() }),
    output: z.object({ sum: z.number() }),
  })

  it('runs jobs, retries by the test clock, and gives back results', async () => {
    const tries: number[] = []
    const handler = add.handler({ retry: retryUntil({ backoff: { from: '1m', to: '1m' } }) }, async (job) => {
      tries.push(job.attempt)
      if (job.attempt < 3) throw new Error('not yet')
      return { sum: job.input.a + job.input.b }
    })
    rig = await createTestRig([handler])
    const handle = await rig.submit(add, { a: 1, b: 2 })
    const began = rig.clock.now()
    const job = await rig.untilDone(handle)
    expect(job).toMatchObject({ status: 'completed', result: { sum: 3 } })
    expect(await handle.result()).toEqual({ sum: 3 })
    expect(tries).toEqual([1, 2, 3])
    expect(rig.clock.now() - began).toBeGreaterThan(1000)
    expect(rig.errors).toEqual([])
  })

  it('approves, rejects and sends signals by call, each as a person of its own', async () => {
    const ask = defineJob('ask', {
      input: z.object({}),
      approvals: { gate: z.object({ amount: z.number() }) },
      signals: { ready: z.object({ n: z.number().default(1) }) },
    })
    const handler = ask.handler(async (job) => {
      const signal = await job.waitFor('ready')
      const answer = await job.approve('gate', {
        ...{ summary: 'Pay 5', because: 'It is due.', evidence: [{ label: 'bill', quote: '5' }], impact: 'money' },
        ...{ writes: [{ target: 'bank', change: { paid: [null, 5] } }], rollback: 'ask for it back' },
        ...{ data: { amount: 5 }, onReject: 'continue', risk: 'high', allow: { edit: false } },
      })
      return [signal.payload, answer.outcome]
    })
    rig = await createTestRig([handler, add.handler(async () => ({ sum: 0 }))] as never)
    const job = await rig.submit(ask, {}, { onBehalfOf: { id: 'sam' } })
    const seven = rig.approve(job, { by: 'mara' })
    await expect(seven).rejects.toThrow('waits for no approval: Action required: waiting for the signal "ready".')
    await expect(rig.signal(job, 'other', {})).rejects.toThrow('declares no signal "other"')
    await expect(rig.signal(job, 'ready', { n: 'x' })).rejects.toThrow('does not fit the signal "ready"')
    await rig.signal(job, 'ready', {})
    expect(await rig.approval(job)).toMatchObject({ summary: 'Pay 5', quorum: { needed: 2 } })
    await expect(rig.approve(job, { by: 'sam', reason: 'me' })).rejects.toMatchObject({
      code: 'self-approval-forbidden',
    })
    await rig.approve(job, { by: 'mara', reason: 'yes' })
    await rig.reject(job, { by: { id: 'otto', groups: ['finance'] }, reason: 'no' })
    expect((await rig.untilDone(job)).result).toEqual([{ n: 1 }, 'rejected'])
    const { items } = await rig.engine.approvals.list(LOCAL, { state: ['rejected'] })
    expect(await rig.approval(items[0]!)).toMatchObject({ decisions: [{}, { groups: ['finance'] }] })
  })

  it('says what it waited for in vain', async () => {
    const handler = add.handler({ retry: retryUntil({ backoff: { from: '1h', to: '1h' } }) }, async () => {
      throw new Error('never')
    })
    rig = await createTestRig([handler])
    const handle = await rig.submit(add, { a: 1, b: 2 })
    await expect(rig.untilDone(handle, '5s')).rejects.toThrow(`Waited 5s in vain for the end of job ${handle.id}`)
  })

  it.each([
    ['before the step is recorded', { op: 'record', when: 'before' }, 2],
    ['after the step is recorded', { op: 'record', when: 'after' }, 1],
    ['before the end is stored', { op: 'move', when: 'before' }, 1],
  ] as const)('a process that dies %s goes on after a restart', async (_, point, effects) => {
    let done = 0
    const handler = add.handler(async (job) => {
      const sum = await job.step('add', () => {
        done++
        return job.input.a + job.input.b
      })
      return { sum }
    })
    rig = await createTestRig([handler])
    const death = rig.crashAt(point)
    const { id } = await rig.submit(add, { a: 1, b: 2 })
    await death
    expect((await rig.store.find(id)) as object).toMatchObject({ live: { state: 'running' } })
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { sum: 3 } })
    expect(done).toBe(effects)
    expect((await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['lost', 'ok'])
  })

  it('a process that dies after the end is stored has ended it', async () => {
    rig = await createTestRig([add.handler((job) => ({ sum: job.input.a }))])
    const death = rig.crashAt({ op: 'move', when: 'after' })
    const { id } = await rig.submit(add, { a: 1, b: 2 })
    await death
    await rig.restart()
    expect(await rig.get(id)).toMatchObject({ status: 'completed', done: true })
  })

  it('stops in good order with a handler that never settles, and leaves the job for the next process', async () => {
    let block = true
    const handler = add.handler(async () => {
      if (block) await new Promise(() => {})
      return { sum: 0 }
    })
    rig = await createTestRig([handler])
    const { id } = await rig.submit(add, { a: 1, b: 2 })
    await rig.settle()
    await rig.stop()
    block = false
    await rig.restart()
    expect((await rig.untilDone(id)).status).toBe('completed')
    expect((await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['released', 'ok'])
  })

  it('untilIdle: nothing is left but what waits for somebody', async () => {
    const fail = add.handler(async (job) => {
      if (job.input.a > 1) throw new Permanent('too much')
      return { sum: 1 }
    })
    rig = await createTestRig([fail])
    for (let a = 0; a < 4; a++) await rig.submit(add, { a, b: 0 }, { runAt: new Date(rig.clock.now() + a * 1000) })
    await rig.untilIdle()
    const { items } = await rig.engine.list(LOCAL, { order: 'createdAt' })
    expect(items.map(({ status }) => status)).toEqual(['completed', 'completed', 'failed', 'failed'])
  })
})
