/**
 * Following many jobs on the terminal until all are done, as a build that waits for them does. Lines per change or a
 * picture drawn in place go to stderr, counts or JSON lines to stdout; the exit code is that of the worst end.
 */
import { type Connection, type EventFilter, UntildoneApiError, UntildoneConnectionError } from '../client/index.js'
import type { WireJob } from '../core/wire.js'
import { type Context, Interrupted } from './context.js'
import { EXIT, type Exit, renderFailure } from './failure.js'
import { type Counts, countsOf, countsText, jobsFrame, jobsLine } from './jobs-frame.js'
import { LiveRegion } from './live-region.js'
import { clean, clockTime, count } from './text.js'
import { drawsInPlace, isJson, limitedWatch, OVER } from './watching.js'

export interface FollowManyRequest {
  /** The jobs as they were when the watch was asked for. */
  jobs: readonly WireJob[]
  /** Where to hear of them, and of those that come meanwhile. */
  filter: EventFilter
  /** Asked before the end: whether no more are known to come. @default all that were seen are all there are */
  isAll?: (signal: AbortSignal) => Promise<boolean>
  /** Those that are unfinished now, for a look at what may have ended unheard. @default the filter names its jobs */
  unfinished?: (signal: AbortSignal) => AsyncIterable<WireJob>
  /** The words after `untildone jobs watch` that watch the same again. */
  again: string
  timeoutMs: number | null
  failOnBlocked: boolean
}

const MOST_FAILURES = 10
const READ_AT_ONCE = 8
/** A job may end between the list and the first word of the watch; and a build must not wait for ever, whatever happens. */
const LOOK_AGAIN_MS = 5000
const LOOK_SELDOM_MS = 60_000
const TRY_AGAIN_MS = 2000

/** Follows the jobs and prints how they ended. */
export async function followJobs(context: Context, request: FollowManyRequest): Promise<Exit> {
  const watch = limitedWatch(context, request.timeoutMs)
  const board = new Board(context, request, watch.signal)
  try {
    const blocked = await board.run()
    return blocked ? stopped(context, board, blocked) : ended(context, board)
  } catch (error) {
    if (!watch.signal.aborted) throw error
    if (watch.signal.reason === OVER) return over(context, board, request)
    context.say(`Stopped watching; the jobs carry on. Watch them again: untildone jobs watch ${request.again}`)
    throw new Interrupted()
  } finally {
    watch.release()
  }
}

class Board {
  readonly jobs = new Map<string, WireJob>()
  private readonly since: number
  private readonly told = new Map<string, string>()
  private region: LiveRegion | null = null
  private lost = false
  private finished = false

  constructor(
    private readonly context: Context,
    private readonly request: FollowManyRequest,
    private readonly signal: AbortSignal,
  ) {
    this.since = context.now()
    for (const job of request.jobs) this.jobs.set(job.id, job)
  }

  get counts(): Counts {
    return countsOf(this.jobs.values())
  }

  /** The job that ends the watch because somebody has to act; null when all are done. */
  async run(): Promise<WireJob | null> {
    try {
      await this.begin()
      const isBlocked = (job: WireJob) => this.request.failOnBlocked && job.status === 'blocked'
      const first = [...this.jobs.values()].find(isBlocked)
      if (first) return first
      if (await this.isOver()) return null
      const stop = new AbortController()
      const signal = AbortSignal.any([this.signal, stop.signal])
      const ways = [this.listen(isBlocked, signal), ...(this.request.unfinished ? [this.lookAgain(signal)] : [])]
      // The one that loses is ended, and what it ends with is of no interest.
      for (const way of ways) way.catch(() => {})
      return await Promise.race(ways).finally(() => stop.abort(new Error('All is known.')))
    } finally {
      this.finished = true
      this.region?.end()
    }
  }

  private async listen(isBlocked: (job: WireJob) => boolean, signal: AbortSignal): Promise<WireJob | null> {
    const onConnection = (connection: Connection) => this.hears(connection !== 'lost')
    for await (const job of this.context.client.watchJobs(this.request.filter, { signal, onConnection })) {
      if (!this.update(job)) continue
      if (isBlocked(job)) return job
      if (await this.isOver()) return null
    }
    return null
  }

  /** Reads what the list no longer has, though we did not hear of its end. */
  private async lookAgain(signal: AbortSignal): Promise<null> {
    for (let pause = LOOK_AGAIN_MS; ; pause = LOOK_SELDOM_MS) {
      await this.context.sleep(pause, signal)
      try {
        const unfinished = new Set<string>()
        for await (const { id } of this.request.unfinished!(signal)) unfinished.add(id)
        const silent = [...this.jobs.values()].filter((job) => !job.done && !unfinished.has(job.id))
        for (const { id } of silent) this.update(await this.context.client.get(id, { signal }))
        if (await this.isOver()) return null
      } catch (error) {
        if (signal.aborted || !passes(error)) throw error
      }
    }
  }

  private async begin(): Promise<void> {
    const { context } = this
    if (isJson(context)) await this.printFirst()
    if (drawsInPlace(context)) this.region = new LiveRegion(context.io, (tick) => this.frame(tick))
    else context.say(`${clockTime(context.now())}  ${count(this.jobs.size, 'job')}: ${countsText(this.counts)}`)
    for (const job of this.jobs.values()) this.told.set(job.id, jobsLine(job))
  }

  /** What the list had without results is read, so that each line holds the job as it is. */
  private async printFirst(): Promise<void> {
    const { client, io } = this.context
    const jobs = [...this.jobs.values()]
    for (let i = 0; i < jobs.length; i += READ_AT_ONCE) {
      const some = jobs.slice(i, i + READ_AT_ONCE)
      const whole = await Promise.all(
        some.map((job) => (job.done ? client.get(job.id, { signal: this.signal }) : Promise.resolve(job))),
      )
      for (const job of whole) io.out(`${JSON.stringify(job)}\n`)
    }
  }

  private async isOver(): Promise<boolean> {
    if ([...this.jobs.values()].some((job) => !job.done)) return false
    for (;;) {
      try {
        return (await this.request.isAll?.(this.signal)) ?? true
      } catch (error) {
        if (this.signal.aborted || !passes(error)) throw error
        await this.context.sleep(TRY_AGAIN_MS, this.signal)
      }
    }
  }

  /** Takes a newer snapshot; false when it is none. */
  private update(job: WireJob): boolean {
    const before = this.jobs.get(job.id)
    if (before && (before.done || job.version < before.version || job.revision < before.revision)) return false
    // Progress of an event keeps the revision, and is later all the same.
    if (before && job.revision === before.revision && job.updatedAt <= before.updatedAt) return false
    this.jobs.set(job.id, job)
    if (isJson(this.context)) this.context.io.out(`${JSON.stringify(job)}\n`)
    if (this.region) this.region.draw()
    else {
      const line = jobsLine(job)
      if (this.told.get(job.id) !== line) this.context.say(`${clockTime(this.context.now())}  ${line}`)
      this.told.set(job.id, line)
    }
    return true
  }

  private hears(connected: boolean): void {
    if (this.lost === !connected) return
    this.lost = !connected
    if (this.region) this.region.draw()
    else if (this.lost)
      this.context.say(`${clockTime(this.context.now())}  Connection lost, trying again; the jobs carry on.`)
    else this.context.say(`${clockTime(this.context.now())}  Connected again.`)
  }

  private frame(tick: number): string[] {
    const { io, errStyle } = this.context
    const width = io.columns() ?? 80
    const view = { jobs: [...this.jobs.values()], since: this.since, lost: this.lost }
    const lines = jobsFrame(view, errStyle, width, this.context.now(), tick)
    if (this.finished || width < 60) return lines
    return [...lines, errStyle.dim('Ctrl-C stops watching; the jobs carry on.')]
  }
}

/** A server that restarts, or what stands between: the watch goes on. */
function passes(error: unknown): boolean {
  return error instanceof UntildoneConnectionError || (error instanceof UntildoneApiError && error.retryable)
}

/** Counts as the result, where no JSON was asked for. */
function printCounts(context: Context, board: Board): void {
  if (!isJson(context) && !context.options.quiet) context.print(countsText(board.counts))
}

function ended(context: Context, board: Board): Exit {
  printCounts(context, board)
  return failures(context, board) ?? EXIT.ok
}

/** Says which jobs did not complete; null when there is none. */
function failures(context: Context, board: Board): Exit | null {
  const bad = [...board.jobs.values()].filter(({ status }) => status === 'failed' || status === 'cancelled')
  if (bad.length === 0) return null
  const anyFailed = bad.some(({ status }) => status === 'failed')
  const details = bad.slice(0, MOST_FAILURES).map((job) => {
    const why = job.error ? `${job.error.code}: ${job.error.message}` : job.statusText
    return `${job.id}  ${clean(job.type)}  ${job.status}  ${clean(why)}`
  })
  if (bad.length > details.length) details.push(`and ${bad.length - details.length} more`)
  const failure = {
    what: `${bad.length} of ${count(board.jobs.size, 'job')} did not complete.`,
    why: 'We have stopped trying these; this is final.',
    fix: `What happened in detail: untildone jobs tries ${bad.length === 1 ? bad[0]!.id : '<id>'}`,
    code: anyFailed ? 'jobs-failed' : 'jobs-cancelled',
    exit: anyFailed ? EXIT.jobFailed : EXIT.jobCancelled,
    details,
  }
  context.io.err(renderFailure(failure, context.errStyle))
  return failure.exit
}

function stopped(context: Context, board: Board, job: WireJob): Exit {
  printCounts(context, board)
  const worse = failures(context, board)
  const failure = {
    what: `Action required: ${job.blockedOn[0]?.title ?? job.statusText}`,
    why: `The job ${job.id} waits until somebody acts; the others carry on.`,
    fix: `Look at it: untildone jobs get ${job.id}`,
    code: `blocked-on-${job.blockedOn[0]?.kind ?? 'review'}`,
    exit: EXIT.jobBlocked,
    details: [],
  }
  context.io.err(renderFailure(failure, context.errStyle))
  return worse ?? failure.exit
}

function over(context: Context, board: Board, { again }: FollowManyRequest): Exit {
  printCounts(context, board)
  const worse = failures(context, board)
  const left = [...board.jobs.values()].filter((job) => !job.done).length
  // Printed even with --quiet: the exit code alone would be taken for a failure.
  context.io.err(
    `Still processing: ${left} of ${count(board.jobs.size, 'job')}. This is not a failure.\n` +
      `Watch them: untildone jobs watch ${again}\n`,
  )
  return worse ?? EXIT.waitOver
}
