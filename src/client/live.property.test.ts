/**
 * Whatever the line does, the same must hold for every way of hearing: each job's end is given once as new, no version
 * goes back, and nothing contradicts what the job itself says.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { WireJob } from '../core/wire.js'
import { fakeLive } from './fake-live.mjs'
import { dice, virtualClock } from './fake-time.mjs'
import { createClient, type JobEvent, type LiveItem, type UntildoneClient } from './index.js'

const GROUP = { groupId: 'g' }
const NEXT: Record<string, string[]> = {
  accepted: ['processing', 'blocked', 'cancelled', 'failed'],
  processing: ['blocked', 'completed', 'failed', 'processing'],
  blocked: ['processing', 'completed', 'cancelled'],
}

const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('move' as const), job: fc.nat(), to: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('progress' as const), job: fc.nat(), to: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('cut' as const, 'restart' as const, 'drain' as const, 'slow' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('streams' as const),
      to: fc.constantFrom('up' as const, 'down' as const, '502' as const, 'none' as const, 'html' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('rest' as const), to: fc.constantFrom('up' as const, '502' as const) }),
  },
)
const world = fc.record({
  seed: fc.nat(),
  ring: fc.integer({ min: 1, max: 30 }),
  begin: fc.integer({ min: 2, max: 20 }),
  noise: fc.boolean(),
  showsDate: fc.boolean(),
  jobs: fc.integer({ min: 3, max: 12 }),
  readMs: fc.constantFrom(0, 0, 50, 3000),
  steps: fc.array(fc.tuple(fc.integer({ min: 0, max: 4000 }), action), { minLength: 10, maxLength: 60 }),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

interface Given {
  id: string
  version: number
  revision: number | null
  status: string
  done: boolean
  /** The whole job, where one was given. */
  job: WireJob | null
  progress: boolean
}

/** Plays the steps while `hear` listens, then ends all jobs and waits until the end of each was heard. */
async function play(
  { seed, ring, begin, noise, showsDate, jobs: first, readMs, steps }: World,
  hear: (client: UntildoneClient, live: ReturnType<typeof fakeLive>) => AsyncIterable<Given>,
) {
  const clock = virtualClock()
  const live = fakeLive(clock, { ring, begin, buffer: 8 })
  const chance = dice(seed)
  live.showsDate = showsDate
  for (let i = 0; i < first; i++) live.add(`job-${i}`, GROUP)
  const client = createClient({ url: 'http://fake', clock: { ...clock, random: chance }, fetch: live.fetch })
  const given: Given[] = []
  const ended = new Set<string>()
  let over = false
  const listening = (async () => {
    for await (const one of hear(client, live)) {
      given.push(one)
      if (one.done && !one.progress) ended.add(one.id)
      if (over && [...live.jobs.keys()].every((id) => ended.has(id))) return
      if (readMs > 0) await clock.sleep(readMs * chance())
    }
  })()
  const jobs = () => [...live.jobs.values()].filter((job) => !job.done)
  await clock.sleep(1000)
  // Not before the reader has come: of what ended earlier nobody promised to tell.
  if (noise) live.noise = { chance, duplicate: 0.2, hold: 0.3, cut: 0.05 }
  for (const [pause, step] of steps) {
    await clock.sleep(pause)
    const job = 'job' in step ? jobs()[step.job % Math.max(1, jobs().length)] : undefined
    if (step.kind === 'add') live.add(`job-${live.jobs.size}`, GROUP)
    else if (step.kind === 'move' && job) live.move(job.id, NEXT[job.status]![step.to % NEXT[job.status]!.length]!)
    else if (step.kind === 'progress' && job) live.progress(job.id, step.to % 10)
    else if (step.kind === 'cut') live.cut()
    else if (step.kind === 'restart') live.restart()
    else if (step.kind === 'drain' || step.kind === 'slow') live.end(step.kind)
    else if (step.kind === 'streams') live.streams = step.to
    else if (step.kind === 'rest') live.rest = step.to
  }
  live.streams = live.rest = 'up'
  live.noise = null
  await clock.sleep(1000)
  live.add('last', GROUP)
  over = true
  for (const { id } of jobs()) live.move(id, 'completed')
  const late = new AbortController()
  const never = clock.sleep(60 * 60_000, late.signal).then(() => {
    clock.stop()
    throw new Error('an end was never heard of')
  })
  await Promise.race([listening, never]).finally(() => late.abort())
  never.catch(() => {})
  expect([live.taps.size, live.sockets.size]).toEqual([0, 0])
  return { live, given }
}

function check({ live, given }: Awaited<ReturnType<typeof play>>): void {
  const last = new Map<string, Given>()
  const ends = new Map<string, number>()
  for (const one of given) {
    const before = last.get(one.id)
    if (before) {
      expect(one.version, 'a version went back').toBeGreaterThanOrEqual(before.version)
      expect(before.done && !one.progress, `something came after the end of ${one.id}`).toBe(false)
      // The same version again only with something new in it.
      if (before.version === one.version && !one.progress && !before.progress)
        expect(one.revision ?? 0, 'the same was given twice').toBeGreaterThan(before.revision ?? 0)
    }
    if (one.done) ends.set(one.id, (ends.get(one.id) ?? 0) + 1)
    // What is said of a version is what it was.
    const then = live.history.get(one.id)!.find((event) => event.data.version === one.version)
    expect([one.status, one.done]).toEqual([then!.data.status, then!.data.done])
    if (one.job?.done) expect(one.job).toEqual(live.jobs.get(one.id))
    last.set(one.id, one)
  }
  for (const id of live.jobs.keys()) expect(ends.get(id), `the end of ${id}`).toBe(1)
}

const ofEvent = ({ type, data }: JobEvent): Given => ({
  ...{ id: data.jobId, version: data.version, revision: null, status: data.status, done: data.done, job: null },
  progress: type === 'job.progress',
})
const ofJob = (job: WireJob): Given => ({
  ...{ id: job.id, version: job.version, revision: job.revision, status: job.status, done: job.done, job },
  progress: false,
})

async function* map<T, U>(items: AsyncIterable<T>, to: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield to(item)
}

const RUNS = { numRuns: 40 }

it('events', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (one) => check(await play(one, (client) => map(client.events(GROUP), ofEvent)))),
    RUNS,
  )
}, 120_000)

it('events of everything, where the server does not begin with the jobs', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (one) => {
      const played = await play(one, (client) => map(client.events(), ofEvent))
      const known = new Set(played.given.map(({ id }) => id))
      for (const id of played.live.jobs.keys()) expect(known.has(id)).toBe(true)
      check(played)
    }),
    RUNS,
  )
}, 120_000)

it('snapshots of a group', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (one) => {
      const played = await play(one, (client) => map(client.watchGroup('g'), withoutProgress))
      check(played)
    }),
    RUNS,
  )
}, 120_000)

it('subscriptions of a socket', async () => {
  const of = (item: LiveItem): Given => ('job' in item ? { ...ofJob(item.job), job: null } : ofEvent(item))
  await fc.assert(
    fc.asyncProperty(world, async (one) =>
      check(await play(one, (client, live) => map(client.socket({ WebSocket: live.WebSocket }).subscribe(GROUP), of))),
    ),
    RUNS,
  )
}, 120_000)

/** A snapshot made from the progress of an event keeps the revision it had. */
function withoutProgress(job: WireJob): Given {
  return { ...ofJob(job), progress: !job.done && job.progress !== null }
}
