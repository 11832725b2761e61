/**
 * Two people on two computers decide opposite things about the same request at the same moment, over HTTP, while the
 * store lets others in between any read and any write. Each time exactly one decision counts, and the other is told how
 * it is. A thousand times.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import type { WireApprovalItem } from '../../src/core/index.js'
import { createUntildone, defineJob, LOCAL, type Untildone } from '../../src/index.js'
import { createServer, type Listening, listen } from '../../src/server/index.js'
import { sqliteWith } from '../../src/stores/sqlite/open.js'
import { until } from '../../src/testing/until.js'
import { YieldingDriver } from './yielding-driver.js'

const ROUNDS = 1000
const WAVE = 50
/** Pairs that meet at the same time. */
const AT_ONCE = 10

const publish = defineJob('publish', { input: z.object({ n: z.number() }), approvals: { live: z.null() } })
const handler = publish.handler(async (job) => {
  const answer = await job.approve('live', {
    ...{ summary: `Publish page ${job.input.n}`, because: 'It is ready.', impact: 'Readers see it' },
    ...{ evidence: [{ label: 'Draft', quote: 'ready' }], rollback: 'Publish the old one' },
    writes: [{ target: 'cms', change: { page: [null, job.input.n] } }],
  })
  return answer.outcome
})

interface Told {
  said: string
  status?: number
  state?: string
  params?: { state: string; by: { id: string } }
}

/** A decider process, and the way to ask it. */
class Person {
  private readonly waiting = new Map<string, (told: Told) => void>()
  readonly ready: Promise<void>
  private readonly child: ChildProcess
  readonly ended: Promise<unknown>

  constructor(url: string, key: string) {
    const script = new URL('./decider.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--import', 'jiti/register', script, url, key], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.child = child
    this.ended = new Promise((resolve) => child.once('exit', resolve))
    this.ready = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const told = JSON.parse(line)
        if (told.ready) resolve()
        else this.waiting.get(told.id)!(told)
      })
    })
  }

  decide(id: string, evidenceDigest: string, decision: 'approve' | 'reject'): Promise<Told> {
    const told = new Promise<Told>((resolve) => this.waiting.set(id, resolve))
    this.child.stdin!.write(`${JSON.stringify({ id, evidenceDigest, decision })}\n`)
    return told
  }

  leave(): Promise<unknown> {
    this.child.stdin!.end()
    return this.ended
  }
}

let app: Untildone
let listening: Listening
let people: Person[]
beforeAll(async () => {
  app = await createUntildone({ store: sqliteWith(YieldingDriver, ':memory:'), handlers: [handler] as never })
  await app.start()
  listening = await listen(createServer(app.engine), { port: 0 })
  people = await Promise.all(
    ['mara', 'otto'].map(async (id) => {
      const scopes = ['approvals:read', 'approvals:decide'] as const
      const { key } = await app.engine.createKey(LOCAL, { name: id, scopes: [...scopes], person: { id } })
      return new Person(listening.url, key!)
    }),
  )
  await Promise.all(people.map(({ ready }) => ready))
}, 60_000)
afterAll(async () => {
  await Promise.all(people.map((person) => person.leave()))
  await listening.close()
  await app.stop()
})

it(`of two opposite decisions at once one counts, ${ROUNDS} times`, async () => {
  const firsts: Record<string, number> = { mara: 0, otto: 0 }
  for (let done = 0; done < ROUNDS; done += WAVE) {
    const size = Math.min(WAVE, ROUNDS - done)
    for (let n = 0; n < size; n++) await app.submit(publish, { n: done + n })
    const waiting = await untilAsked(size)
    for (let n = 0; n < size; n += AT_ONCE) {
      const some = waiting.slice(n, n + AT_ONCE)
      for (const who of await Promise.all(some.map((item, i) => meet(item, i % 2 === 0)))) firsts[who]!++
    }
  }
  expect(firsts.mara! + firsts.otto!).toBe(ROUNDS)
  // Neither was always too early: they met.
  expect(Math.min(firsts.mara!, firsts.otto!), JSON.stringify(firsts)).toBeGreaterThan(0)
  expect(YieldingDriver.yields).toBeGreaterThan(ROUNDS * 20)
  expect(await changes()).toBe(ROUNDS)
}, 120_000)

/** Both decide at once. @returns who was first, after everything about the request says so */
async function meet({ id, digest, jobId }: WireApprovalItem, maraApproves: boolean): Promise<string> {
  const [mara, otto] = people as [Person, Person]
  const kinds = maraApproves ? (['approve', 'reject'] as const) : (['reject', 'approve'] as const)
  const told = await Promise.all([mara.decide(id, digest, kinds[0]), otto.decide(id, digest, kinds[1])])
  const winner = told.findIndex(({ said }) => said === 'counted')
  const who = ['mara', 'otto'][winner]!
  const state = kinds[winner] === 'approve' ? 'approved' : 'rejected'
  expect(told[winner]).toMatchObject({ said: 'counted', state, decisions: 1 })
  expect(told[1 - winner]).toMatchObject({
    ...{ said: 'approval-already-decided', status: 409 },
    params: { state, by: { id: who }, decidedAt: expect.any(String) },
  })
  expect(await app.engine.approvals.get(LOCAL, id)).toMatchObject({ state, decisions: [{ by: { id: who } }] })
  const job = await app.engine.wait(LOCAL, jobId, { timeoutMs: 10_000, until: 'done' })
  expect(job).toMatchObject(
    state === 'approved'
      ? { status: 'completed', result: 'approved' }
      : { status: 'cancelled', error: { code: 'approval-rejected' } },
  )
  return who
}

/** How often any of the requests was changed after it was made. */
async function changes(): Promise<number> {
  let sum = 0
  for (let cursor: string | undefined; ; ) {
    const page = await app.engine.approvals.list(LOCAL, { limit: 200, ...(cursor ? { cursor } : {}) })
    for (const { version } of page.items) sum += version - 1
    if (page.nextCursor === null) return sum
    cursor = page.nextCursor
  }
}

async function untilAsked(size: number): Promise<WireApprovalItem[]> {
  const asked = async () => {
    const { items } = await app.engine.approvals.list(LOCAL, { state: ['pending'], limit: 200 })
    return items.length === size && items
  }
  return await until(asked, `${size} requests`, 30_000)
}
