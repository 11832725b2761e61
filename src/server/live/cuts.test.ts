/**
 * Whatever is cut, restarted, forgotten or delayed: who follows jobs learns of every end, and on one connection never gets
 * an older version of a job after a newer one.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeEngine } from '../fakes/engine.js'
import { GREET, harness, settled } from '../fakes/harness.js'
import { type Frame, Reader } from '../fakes/reader.js'

type Step =
  | { do: 'submit'; group: boolean }
  /** The how manieth unfinished job, and what becomes of it. */
  | { do: 'move'; job: number; to: 'processing' | 'blocked' | 'completed' | 'failed' }
  | { do: 'progress'; job: number }
  | { do: 'pass'; ms: number }
  /** The reader has got so many frames of what was sent, the rest is lost with the line. */
  | { do: 'cut'; got: number }
  /** The server dies and comes back with an empty memory. */
  | { do: 'restart'; got: number }
  | { do: 'settle' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('submit' as const), group: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      job: fc.nat(9),
      to: fc.constantFrom('processing', 'blocked', 'completed', 'failed'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('progress' as const), job: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 1000, 400_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut' as const), got: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), got: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
)

const FILTERS = [
  '',
  '?groupId=g',
  '?events=job.completed,job.failed',
  '?groupId=g&status=completed,failed&events=job.c*,job.f*',
]

/** One connection: frames as they come. */
class Line {
  readonly frames: Frame[] = []
  readonly #reader: Reader
  readonly over: Promise<void>

  constructor(answer: Response) {
    this.#reader = new Reader(answer)
    this.over = this.#read()
  }

  async #read(): Promise<void> {
    for (let frame = await this.#reader.next(); frame; frame = await this.#reader.next())
      if (frame.event !== null) this.frames.push(frame)
  }

  async cut(): Promise<void> {
    await this.#reader.cancel()
    await this.over
  }
}

/** The reader: what it knows of each job, and where it goes on. */
class Follower {
  readonly versions = new Map<string, number>()
  id: string | null = null

  take(frames: readonly Frame[]): void {
    const onThisLine = new Map<string, number>()
    for (const { event, id, data } of frames) {
      const about = event === 'snapshot' ? { jobId: data.job.id, version: data.job.version } : data.data
      if (about) {
        expect(about.version, `${event} of ${about.jobId}`).toBeGreaterThanOrEqual(onThisLine.get(about.jobId) ?? 0)
        onThisLine.set(about.jobId, about.version)
        this.versions.set(about.jobId, Math.max(about.version, this.versions.get(about.jobId) ?? 0))
      }
      if (id !== null) this.id = id
    }
  }
}

async function play(steps: readonly Step[], query: string, ring: number, delays: readonly number[]): Promise<void> {
  const engine = new FakeEngine()
  let turn = 0
  /** Readings take their time, each another. */
  const slowed =
    <A extends unknown[], T>(read: (...args: A) => Promise<T>) =>
    async (...args: A) => {
      const [before, after] = [delays[turn++ % delays.length]!, delays[turn++ % delays.length]!]
      await settled(before)
      const answer = await read(...args)
      await settled(after)
      return answer
    }
  engine.happened = slowed(engine.happened.bind(engine))
  engine.list = slowed(engine.list.bind(engine))
  const options = { limits: { streamChanges: ring, streamMs: 1e12, credentialMs: 1e12, heartbeatMs: 15_000 } }
  let h = harness(options, engine)
  const follower = new Follower()
  const connect = async () =>
    new Line(await h.get(`/v1/events/stream${query}`, follower.id === null ? {} : { 'last-event-id': follower.id }))
  const open: string[] = []
  const ended = new Map<string, number>()
  let line = await connect()
  // From here on it has a place, and nothing may be missed.
  while (line.frames.length === 0) await settled(1)
  follower.take(line.frames.slice(0, 1))
  let taken = 1
  const lose = async (got: number) => {
    follower.take(line.frames.slice(0, Math.max(taken, got)))
    await line.cut()
  }
  for (const one of steps) {
    if (one.do === 'submit') {
      const answer = await h.post('/v1/jobs', { ...GREET, ...(one.group ? { groupId: 'g' } : {}) })
      open.push(((await answer.json()) as { id: string }).id)
    } else if (one.do === 'move' || one.do === 'progress') {
      const id = open[one.job % Math.max(1, open.length)]
      if (id === undefined) continue
      if (one.do === 'progress') {
        engine.change(id, { progress: { updatedAt: String(turn++) } as never })
        continue
      }
      const job = engine.change(id, { status: one.to })
      if (job.done) ended.set(open.splice(open.indexOf(id), 1)[0]!, job.version)
    } else if (one.do === 'pass') engine.clock.advance(one.ms)
    else if (one.do === 'settle') await settled(2)
    else {
      await lose(one.got)
      if (one.do === 'restart') {
        await h.server.close()
        h = harness(options, engine)
      }
      line = await connect()
      taken = 0
    }
  }
  const wanted = (id: string) => !query.includes('groupId') || engine.jobs.get(id)!.job.groupId === 'g'
  const isComplete = () => {
    const known = new Map(follower.versions)
    for (const { event, data } of line.frames) {
      const about = event === 'snapshot' ? { jobId: data.job.id, version: data.job.version } : data?.data
      if (about) known.set(about.jobId, Math.max(about.version, known.get(about.jobId) ?? 0))
    }
    return [...ended].every(([id, version]) => !wanted(id) || known.get(id) === version)
  }
  for (let i = 0; i < 400 && !isComplete(); i++) await settled(1)
  await lose(line.frames.length)
  for (const [id, version] of ended) if (wanted(id)) expect(follower.versions.get(id), `the end of ${id}`).toBe(version)
  await h.server.close()
  engine.dispose()
}

test.each(FILTERS)(
  'random cuts, restarts and delays: no end is missed, no version goes back (%s)',
  async (query) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 60 }),
        fc.constantFrom(3, 8, 10_000),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 7 }),
        (steps, ring, delays) => play(steps, query, ring, delays),
      ),
      { numRuns: 60 },
    )
  },
  120_000,
)
