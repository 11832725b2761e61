/**
 * The handle of one submitted job, and how a finished job becomes a value or an error. Keeps the newest snapshot that
 * any of its calls saw.
 */
import { type Duration, parseDuration } from '../core/duration.js'
import type { WireJob } from '../core/wire.js'
import { linked } from './clock.js'
import { JobCancelledError, JobFailedError, WaitTimeoutError } from './errors.js'
import { type FollowOptions, followJob } from './follow.js'
import type { CallOptions, CancelOptions, ResultOptions, WatchOptions } from './options.js'
import type { Transport } from './transport.js'

/** One job, typed by its definition. */
export interface JobHandle<Output = unknown> {
  readonly id: string
  /** The idempotency key it was submitted with. Keep it to ask again after a crash of your own. */
  readonly key: string
  /** True when the key had been used before with the same content: this is that job, as it is now. */
  readonly replayed: boolean
  /** Set when nothing was stored because this job, of the same operation, was there before. */
  readonly duplicateOf: string | null
  /** The job as last seen by this handle. */
  readonly job: WireJob
  /** `job.done`: final, nothing changes after it. */
  readonly done: boolean
  /** Reads the job. @throws UntildoneApiError */
  get(options?: CallOptions): Promise<WireJob>
  /**
   * Waits for the end and gives the result.
   * @throws JobFailedError, JobCancelledError, WaitTimeoutError, UntildoneApiError, the abort reason
   */
  result(options?: ResultOptions): Promise<Output>
  /** Snapshots, each newer than the one before; the first comes at once, the last is final. Survives lost connections. */
  watch(options?: WatchOptions): AsyncIterable<WireJob>
  /** Asks for a cancel. The job may still complete if it was past its point of no return: look at what comes back. */
  cancel(reason?: string, options?: CancelOptions): Promise<WireJob>
}

export interface HandleParts {
  transport: Transport
  job: WireJob
  key: string
  replayed: boolean
  duplicateOf: string | null
  get(options?: CallOptions): Promise<WireJob>
  cancel(options: CancelOptions): Promise<WireJob>
}

export function createHandle<Output>(parts: HandleParts): JobHandle<Output> {
  const { transport, key, replayed, duplicateOf } = parts
  const { id } = parts.job
  let last = parts.job
  const see = (job: WireJob): WireJob => {
    if (job.revision >= last.revision && !last.done) last = job
    return job
  }
  return {
    id,
    key,
    replayed,
    duplicateOf,
    get job() {
      return last
    },
    get done() {
      return last.done
    },
    get: async (options) => see(await parts.get(options)),
    result: (options) => resultOf<Output>(transport, id, { ...options, from: last, see }),
    watch: (options = {}) => seeing(followJob(transport, id, { ...options, from: usable(last, options) }), see),
    cancel: async (reason, options) => see(await parts.cancel({ ...options, reason: reason ?? options?.reason })),
  }
}

/** A snapshot without the included members cannot start a watch that asked for them. */
function usable(job: WireJob, options: WatchOptions): WireJob | undefined {
  return (options.include ?? []).length > 0 ? undefined : job
}

async function* seeing(jobs: AsyncIterable<WireJob>, see: (job: WireJob) => void): AsyncGenerator<WireJob, void> {
  for await (const job of jobs) {
    see(job)
    yield job
  }
}

interface WaitRequest {
  signal?: AbortSignal
  timeout?: Duration
  from?: WireJob
  see?: (job: WireJob) => void
}

/** Waits until the job is done and turns it into its value. */
export async function resultOf<Output>(transport: Transport, id: string, request: WaitRequest): Promise<Output> {
  const job = await untilDone(transport, id, request)
  if (job.status === 'failed') throw new JobFailedError(job)
  if (job.status === 'cancelled') throw new JobCancelledError(job)
  const { state } = job.resultInfo
  if (state === 'inline' || state === 'none') return job.result as Output
  // External, or expired: then the server's 410 says so.
  const path = `/v1/jobs/${encodeURIComponent(id)}/result`
  return (await transport.json<Output>({ path, signal: request.signal })).body
}

async function untilDone(transport: Transport, id: string, request: WaitRequest): Promise<WireJob> {
  const { clock } = transport
  const stop = linked(request.signal)
  let last: WireJob | null = request.from ?? null
  let over = false
  if (request.timeout !== undefined) {
    const limit = clock.sleep(parseDuration(request.timeout, 'timeout'), stop.signal)
    limit.then(
      () => {
        over = true
        stop.abort()
      },
      () => {},
    )
  }
  const options: FollowOptions = { from: request.from, stream: false, signal: stop.signal }
  try {
    for await (const job of followJob(transport, id, options)) {
      last = job
      request.see?.(job)
      if (job.done) return job
    }
    throw new TypeError(`The watch of job ${id} ended before the job did.`)
  } catch (error) {
    if (over && last) throw new WaitTimeoutError(last)
    if (request.signal?.aborted) throw request.signal.reason
    throw error
  } finally {
    stop.abort()
    stop.release()
  }
}
