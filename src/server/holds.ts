/**
 * Requests that are held open on purpose: streams, long-polls, waiting submits. Counts streams and long-polls per key,
 * and ends every hold politely when the server drains. Whoever takes a hold gives it back, however it ends.
 */
import { UntildoneError, type WireJob } from '../core/index.js'
import type { Caller, Include, WaitOptions } from '../engine/api.js'
import type { Limits } from './options.js'
import type { Call } from './route.js'

export class Holds {
  readonly #limits: Limits
  readonly #perKey = new Map<string, number>()
  readonly #open = new Set<() => void>()
  #counted = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /**
   * A counted hold of this caller. `end` is called when the server drains. Returns the function that gives it back.
   * @throws UntildoneError too-many-streams
   */
  take({ tenant, actor }: Caller, end: () => void): () => void {
    const key = `${tenant}/${actor.kind}/${actor.id}`
    const held = this.#perKey.get(key) ?? 0
    if (held >= this.#limits.streamsPerKey) throw tooMany(this.#limits.streamsPerKey, 'this key')
    if (this.#counted >= this.#limits.streams) throw tooMany(this.#limits.streams, 'this server')
    this.#perKey.set(key, held + 1)
    this.#counted++
    const untrack = this.track(end)
    return () => {
      if (!untrack()) return
      this.#counted--
      const left = this.#perKey.get(key)! - 1
      if (left === 0) this.#perKey.delete(key)
      else this.#perKey.set(key, left)
    }
  }

  /** A hold that is not counted. The returned function is true the first time only. */
  track(end: () => void): () => boolean {
    const entry = () => end()
    this.#open.add(entry)
    return () => this.#open.delete(entry)
  }

  /** Streams and long-polls that are open now. */
  get counted(): number {
    return this.#counted
  }

  /** Everything held open now, waiting submits included. */
  get open(): number {
    return this.#open.size
  }

  endAll(): void {
    for (const end of [...this.#open]) end()
  }
}

function tooMany(limit: number, whose: string): UntildoneError {
  const message = `${limit} streams and long-polls are open for ${whose}, which is the limit.`
  return new UntildoneError('too-many-streams', message, { params: { limit }, retryAfterMs: 5000 })
}

/**
 * Waits in the engine until the job is as wanted, the time is up, the client has gone or the server drains; then gives
 * the job as it is. `counted`: as a long-poll of this key.
 * @throws UntildoneError too-many-streams, job-not-found …
 */
export async function waitForJob(
  call: Call,
  id: string,
  options: Omit<WaitOptions, 'signal'>,
  include: readonly Include[],
  counted: boolean,
): Promise<WireJob> {
  const { engine, holds } = call.server
  const stop = new AbortController()
  const abort = () => stop.abort()
  const release = counted ? holds.take(call.caller, abort) : holds.track(abort)
  const gone = call.request.signal
  gone.addEventListener('abort', abort, { once: true })
  try {
    if (gone.aborted) abort()
    return await engine.wait(call.caller, id, { ...options, signal: stop.signal }, include)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    return await engine.get(call.caller, id, include)
  } finally {
    gone.removeEventListener('abort', abort)
    release()
  }
}
