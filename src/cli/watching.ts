/** What following one job and following many have in common: how long, what ends it, and how it is shown. */
import type { Context } from './context.js'

/** Reason of a watch that took as long as it was allowed to. */
export const OVER = 'over'

export interface LimitedWatch {
  /** Aborts with OVER when the time is over, and on Ctrl-C. */
  readonly signal: AbortSignal
  release(): void
}

/** @param timeoutMs null = as long as it takes */
export function limitedWatch(context: Context, timeoutMs: number | null): LimitedWatch {
  const stop = new AbortController()
  const limit = new AbortController()
  if (timeoutMs !== null) {
    context.sleep(timeoutMs, limit.signal).then(
      () => stop.abort(OVER),
      () => {},
    )
  }
  const interrupt = () => stop.abort('interrupted')
  if (context.interrupted.aborted) interrupt()
  context.interrupted.addEventListener('abort', interrupt, { once: true })
  return {
    signal: stop.signal,
    release() {
      limit.abort()
      context.interrupted.removeEventListener('abort', interrupt)
    },
  }
}

/** A few lines that are drawn again and again: only for people at a terminal that can. */
export function drawsInPlace({ io, options }: Context): boolean {
  return io.errIsTerminal && !options.quiet && io.env.TERM !== 'dumb' && !io.env.CI
}

export function isJson({ options }: Context): boolean {
  return options.json === true || options.ndjson === true
}
