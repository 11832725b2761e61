/**
 * Following a job on the terminal until it is done, blocked or the time is over; shared by `submit --wait` and
 * `jobs watch`. Results go to stdout, the rest to stderr; the exit code says how it ended.
 */
import { type Connection, UntildoneApiError, UntildoneConnectionError } from '../client/index.js'
import type { WireAttempt, WireJob } from '../core/wire.js'
import { type Context, Interrupted } from './context.js'
import { EXIT, type Exit, renderFailure } from './failure.js'
import { type JobView, jobFrame, jobLine, tryText } from './job-frame.js'
import { LiveRegion } from './live-region.js'
import { clockTime } from './text.js'
import { failedTries } from './tries.js'
import { drawsInPlace, isJson, limitedWatch, OVER } from './watching.js'

export interface FollowRequest {
  id: string
  /** Stop looking after this many milliseconds; null = never. */
  timeoutMs: number | null
  /** Stop with exit code 12 when somebody has to act. */
  failOnBlocked: boolean
  /** With --json: each snapshot as one line, instead of the job at its end. */
  lines?: boolean
}

const ENOUGH_RUNS = 20

/** Follows the job and prints how it ended. */
export async function followJob(context: Context, request: FollowRequest): Promise<Exit> {
  const watch = limitedWatch(context, request.timeoutMs)
  const watcher = new Watcher(context, request, watch.signal)
  try {
    const job = await watcher.run()
    if (!job.done) return blocked(context, job, request)
    return await ended(context, job, request)
  } catch (error) {
    if (!watch.signal.aborted) throw error
    if (watch.signal.reason === OVER) return over(context, request, watcher.job)
    context.say(`Stopped watching; the job carries on. Watch it again: untildone jobs watch ${request.id}`)
    throw new Interrupted()
  } finally {
    watch.release()
  }
}

class Watcher {
  job: WireJob | null = null
  private view: JobView | null = null
  private lost = false
  private tries: WireAttempt[] = []
  private mayOperate = true
  private triesOf = 0
  private toldTry = 0
  private region: LiveRegion | null = null
  private last = ''
  private ended = false

  constructor(
    private readonly context: Context,
    private readonly request: FollowRequest,
    private readonly signal: AbortSignal,
  ) {}

  /** The final job, or a blocked one when that ends the watch. */
  async run(): Promise<WireJob> {
    const { client, io } = this.context
    const onConnection = (connection: Connection) => {
      this.lost = connection === 'lost'
      this.show()
    }
    try {
      for await (const job of client.watch(this.request.id, { signal: this.signal, onConnection })) {
        const first = this.job === null
        this.job = job
        if (first) this.view = { job, tries: [], lost: false, ...(await this.expectations(job)) }
        if (this.request.lines && isJson(this.context)) this.context.io.out(`${JSON.stringify(job)}\n`)
        await this.readTries(job)
        this.view = { ...this.view!, job, tries: this.tries, lost: this.lost }
        if (drawsInPlace(this.context)) this.region ??= new LiveRegion(io, (tick) => this.frame(tick))
        this.show()
        if (job.done || (job.status === 'blocked' && this.request.failOnBlocked)) return job
      }
    } finally {
      this.ended = true
      this.region?.end()
    }
    return this.job!
  }

  private frame(tick: number): string[] {
    const { io, errStyle } = this.context
    const width = io.columns() ?? 80
    const lines = jobFrame(this.view!, errStyle, width, this.context.now(), tick)
    if (this.ended || width < 60) return lines
    return [...lines, errStyle.dim('Ctrl-C stops watching; the job carries on.')]
  }

  private show(): void {
    if (!this.view) return
    this.view = { ...this.view, lost: this.lost }
    if (this.region) {
      this.region.draw()
      return
    }
    const [latest] = this.tries
    if (latest && latest.attempt !== this.toldTry) {
      this.toldTry = latest.attempt
      this.context.say(`${clockTime(this.context.now())}  ↻ ${tryText(latest, this.tries.length)}`)
    }
    const line = jobLine(this.view)
    if (line === this.last) return
    this.last = line
    this.context.say(`${clockTime(this.context.now())}  ${line}`)
  }

  /** What usually happens with this type; nothing when we may not know. */
  private async expectations(job: WireJob): Promise<Pick<JobView, 'usualMs' | 'givesUpAt'>> {
    try {
      const type = await this.context.client.type(job.type, { signal: this.signal })
      const from = Math.max(Date.parse(job.createdAt), job.runAt ? Date.parse(job.runAt) : 0)
      const { p50Ms, samples } = type.expected
      return { usualMs: samples >= ENOUGH_RUNS ? p50Ms : null, givesUpAt: from + type.retry.withinMs }
    } catch (error) {
      if (isNarration(error)) return { usualMs: null, givesUpAt: null }
      throw error
    }
  }

  /** Operators see the tries; for everybody else the job is simply being processed. */
  private async readTries(job: WireJob): Promise<void> {
    // Progress does not move the version, the end of an attempt does.
    if (!this.mayOperate || job.status === 'accepted' || job.version === this.triesOf) return
    try {
      const all = await this.context.client.attempts(job.id, { signal: this.signal })
      this.tries = failedTries(all).sort((a, b) => b.attempt - a.attempt)
      this.triesOf = job.version
    } catch (error) {
      if (!isNarration(error)) throw error
      if (error instanceof UntildoneApiError && error.status < 500) this.mayOperate = false
    }
  }
}

/** What is only told besides must not end a watch: a server that restarts answers nothing for a while. */
function isNarration(error: unknown): boolean {
  return error instanceof UntildoneApiError || error instanceof UntildoneConnectionError
}

async function ended(context: Context, job: WireJob, { lines }: FollowRequest): Promise<Exit> {
  const { quiet } = context.options
  const json = isJson(context)
  // As lines, it was the last one.
  if (json && !lines) context.printJson(job)
  if (job.status === 'completed') {
    const whole =
      job.resultInfo.state === 'external' && !json
        ? { ...job, result: (await context.client.result(job.id)) as WireJob['result'] }
        : job
    if (!json && (!quiet || whole.result !== null)) context.print(JSON.stringify(whole.result, null, 2))
    for (const warning of job.warnings) context.say(`note  ${warning.code}: ${warning.message}`)
    return EXIT.ok
  }
  const failed = job.status === 'failed'
  const failure = {
    what: `${failed ? 'Failed' : 'Cancelled'}: ${job.error?.message ?? job.statusText}`,
    why: failed ? 'We have stopped trying; this is final.' : null,
    fix: `What happened in detail: untildone jobs tries ${job.id}`,
    code: job.error?.code ?? job.status,
    exit: failed ? EXIT.jobFailed : EXIT.jobCancelled,
    details: (job.error?.messages ?? []).filter((message) => message !== job.error?.message),
  } as const
  context.io.err(renderFailure({ ...failure, details: [...failure.details] }, context.errStyle))
  return failure.exit
}

function blocked(context: Context, job: WireJob, { lines }: FollowRequest): Exit {
  if (isJson(context) && !lines) context.printJson(job)
  const title = job.blockedOn[0]?.title ?? job.statusText
  const fix = `Look at it: untildone jobs get ${job.id}`
  context.io.err(
    renderFailure(
      {
        what: `Action required: ${title}`,
        why: 'The job waits until somebody acts.',
        fix,
        code: `blocked-on-${job.blockedOn[0]?.kind ?? 'review'}`,
        exit: EXIT.jobBlocked,
        details: [],
      },
      context.errStyle,
    ),
  )
  return EXIT.jobBlocked
}

function over(context: Context, { id, lines }: FollowRequest, job: WireJob | null): Exit {
  if (isJson(context) && job && !lines) context.printJson(job)
  // Printed even with --quiet: the exit code alone would be taken for a failure.
  context.io.err(`Still processing. This is not a failure.\nWatch it: untildone jobs watch ${id}\n`)
  return EXIT.waitOver
}
