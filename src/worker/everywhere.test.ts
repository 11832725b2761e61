/**
 * A handler that uses every call, with the process dying before and after each of its commits: a legal gapless history,
 * one outcome, each step recorded once, each effect once.
 */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type EventType, isFinal, TRANSITIONS } from '../core/lifecycle.js'
import { type Confirmation, defineJob, type JobHandler, Permanent, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { DeathPoint, TestRig } from '../testing/index.js'

const open = rigs()
const retry = until({ backoff: { from: '10ms', to: '10ms' } })
const page = defineJob('page', { input: z.object({ n: z.number() }), output: z.number() })
const all = defineJob('all', {
  input: z.object({ fails: z.boolean() }),
  stages: ['gather', 'pay', 'close'],
  signals: { replied: z.object({ text: z.string() }) },
  approvals: { payout: z.object({}) },
})

/** A request that is complete. */
const please = {
  summary: 'Go on?',
  because: 'It is time.',
  writes: [{ target: 'world', operation: 'go', object: 'on', change: { on: { now: false, after: true } } }],
  evidence: [{ label: 'Clock', quote: 'Noon', version: '1' }],
  impact: 'It goes on',
  rollback: 'None is needed',
  data: {},
}

/** A far side that takes idempotency keys, and keeps what it did in order. */
function farSide() {
  const done = new Map<string, string>()
  const log: string[] = []
  const act = (what: string, key: string) => {
    if (!done.has(key)) log.push(what)
    done.set(key, what)
    return what
  }
  const find = (key: string): Confirmation<string> =>
    done.has(key) ? { happened: true, result: done.get(key)! } : { happened: false }
  return { log, act, find }
}

function handlers({ log, act, find }: ReturnType<typeof farSide>, urls: Set<string>): JobHandler[] {
  const takeBack =
    (what: string) =>
    (_: unknown, { key }: { key: string }) =>
      void act(`undo ${what}`, `undo ${key}`)
  return [
    page.handler({ retry, queue: 'pages' }, async (job) => {
      await job.sleep('render', '1m')
      return job.input.n * 2
    }),
    all.handler({ retry, maxLost: 100 }, async (job) => {
      const order = await job.stage('gather', async () => {
        const [pages, { value: text }, parts] = await Promise.all([
          Promise.all([1, 2, 3].map((n) => job.call(page, { n }, { name: `page ${n}` }))),
          job.first('read', {
            fast: () => job.step('scan', ({ key }) => act('scan', key)).then(() => Promise.reject(new Permanent('no'))),
            robust: async () => {
              await job.sleep('warm up', '10s')
              return job.step('scan', ({ key }) => act('scan well', key), { undo: takeBack('scan') })
            },
          }),
          job.map('part', ['a', 'b', 'c'], (part, { key }) => act(`part ${part}`, key), { key: (part) => part }),
        ])
        return { pages, text, parts }
      })
      await job.stage('pay', { queue: 'payments', timeout: '5d' }, async () => {
        await job.read('stock', () => 1)
        await job.step('reserve', ({ key }) => act('reserve', key), { undo: takeBack('reserve') })
        const approved = await job.approve('payout', () => please)
        if (approved.outcome !== 'approved') throw new Permanent('nobody said yes')
        await job.step('pay', ({ key }) => act('pay', key), {
          effect: 'once',
          approvedBy: approved,
          confirm: ({ key }) => find(key),
          undo: takeBack('pay'),
        })
        job.decision({ model: 'm', version: '1', tools: [], path: 'pay' })
        const answer = await job.callback('courier', { timeout: '2d' })
        await job.step('order courier', ({ key }) => {
          urls.add(answer.url)
          act('courier', key)
        })
        const [came, reply] = await Promise.all([answer.result(), job.waitFor('replied', { timeout: '2d' })])
        job.log('Both are there', { came, reply })
      })
      return job.stage('close', { queue: 'default' }, async () => {
        job.progress('close', { completed: 1, total: 1 })
        const patience = await Promise.race([
          job.sleep('patience', '1h').then(() => 'patience'),
          job.sleep('for ever', '9d').then(() => 'for ever'),
        ])
        if (job.input.fails) throw new Permanent('refused at the end', { code: 'refused' })
        await job.step('receipt', async ({ key }) =>
          act(`receipt ${await job.file(Buffer.from('receipt')).then(() => 1)}`, key),
        )
        return { ...order, patience, log: log.length }
      })
    }),
  ] as never
}

interface Run {
  rig: TestRig
  id: string
  log: string[]
  urls: Set<string>
  counts: Record<'record' | 'move', number>
  died: boolean
}

/** From the submit to the end, with everybody who is waited for answering, and the process dying there. */
async function run(fails: boolean, point: DeathPoint | null): Promise<Run> {
  const side = farSide()
  const urls = new Set<string>()
  const rig = await open(handlers(side, urls), { worker: [{ queues: ['default', 'payments'] }, { queues: ['pages'] }] })
  const counts = { record: 0, move: 0 }
  const { store } = rig
  for (const op of ['record', 'move'] as const) {
    const original = store[op].bind(store) as (...args: any[]) => any
    ;(store as any)[op] = (...args: any[]) => {
      counts[op]++
      return original(...args)
    }
  }
  const dying = point && rig.crashAt(point)
  dying?.catch(() => undefined)
  const { id } = await rig.submit(all, { fails })
  let died = false
  for (;;) {
    await rig.advanceUntil(async () => !rig.alive || isNews(await rig.get(id)), 'news', '20d')
    if (!rig.alive) {
      await dying
      died = true
      await rig.restart()
      continue
    }
    const { done, blockedOn } = await rig.get(id)
    if (done) return { rig, id, log: side.log, urls, counts, died }
    if (blockedOn[0]?.kind === 'approval') await rig.approve(id, { by: 'mara' })
    else await answer(rig, id)
  }
}

const isNews = ({ done, status }: { done: boolean; status: string }) => done || status === 'blocked'

async function answer(rig: TestRig, jobId: string): Promise<void> {
  const actor = { kind: 'user', id: 'u' } as const
  const send = (name: string, payload: unknown) =>
    rig.store.signal({
      ...{ jobId, tenant: 'default', name, signalId: name, payload: JSON.stringify(payload), actor, limit: 9 },
    })
  await send('replied', { text: 'yes' })
  await send('callback:pay/courier', { outcome: 'completed', payload: { van: 7 } })
}

async function check(
  { rig, id, log, urls }: Run,
  ends: { status: string; result?: unknown; log: string[] },
  what: string,
) {
  const job = await rig.get(id)
  expect(job.status, what).toBe(ends.status)
  if (ends.result) expect(job.result, what).toEqual(ends.result)
  expect([...log].sort(), what).toEqual([...ends.log].sort())
  expect(urls.size, what).toBe(1)
  const { items } = await rig.engine.list(LOCAL, { parentId: id })
  expect(
    items.map(({ status }) => status),
    what,
  ).toEqual(['completed', 'completed', 'completed'])
  for (const jobId of [id, ...items.map((child) => child.id)]) await legal(rig, jobId, what)
  const steps = await rig.engine.steps(LOCAL, id)
  expect(new Set(steps.map(({ name }) => name)).size, what).toBe(steps.length)
  expect(await rig.store.waits(id), what).toEqual([])
}

/** Each entry of the history follows from the one before it, and none is missing. */
async function legal(rig: TestRig, id: string, what: string): Promise<void> {
  const { entries: stored } = await rig.store.history(id, 0, 200)
  expect(
    stored.map(({ seq }) => seq),
    what,
  ).toEqual(stored.map((_, i) => i + 1))
  for (const [i, { event, state }] of stored.entries()) {
    if (i === 0) continue
    const rule = TRANSITIONS[stored[i - 1]!.state][event as EventType]
    expect(rule?.to, `${what}: ${stored[i - 1]!.state} ${event} ${state}`).toContain(state)
  }
  expect(
    stored.filter(({ state }) => isFinal(state)),
    what,
  ).toHaveLength(1)
}

describe.each([
  ['completes', false],
  ['fails and is undone', true],
])('a job with every call that %s', (_, fails) => {
  it('comes to the same end, wherever its process dies', async () => {
    const plain = await run(fails, null)
    const job = await plain.rig.get(plain.id)
    const ends = { status: fails ? 'failed' : 'completed', result: job.result, log: plain.log }
    await check(plain, ends, 'plain')
    expect(plain.counts.record).toBeGreaterThan(15)
    // What comes before the failure is the same in both.
    let missed = 0
    // What comes before the failure is the same in both.
    for (const op of ['record', 'move'] as const)
      for (const when of ['before', 'after'] as const)
        for (let nth = fails ? plain.counts[op] - 6 : 1; nth <= plain.counts[op]; nth++) {
          const made = await run(fails, { op, when, nth })
          if (!made.died) missed++
          await check(made, ends, `${when} ${op} ${nth}`)
        }
    // Whether waits are stored while another branch is at work, or with the end of the attempt, is a matter of turns.
    expect(missed).toBeLessThan(3)
  }, 120_000)
})
