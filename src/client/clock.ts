/**
 * Time and chance for the client, and the small helpers around AbortSignal. Everything else in this folder takes the
 * clock from its options, so that tests wait for nothing. Must use web globals only: it runs in browsers and at the edge.
 */

/** What the client needs from the outside world besides fetch. */
export interface ClientClock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Uniform in [0, 1). */
  random(): number
}

// setTimeout fires at once for delays past 2^31 - 1.
const LONGEST = 2_147_483_647

export const realClock: ClientClock = {
  now: () => Date.now(),
  random: () => Math.random(),
  async sleep(ms, signal) {
    for (let left = ms; left > 0; left -= LONGEST) await sleepOnce(Math.min(left, LONGEST), signal)
    signal?.throwIfAborted()
  },
}

function sleepOnce(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

export const LATE: unique symbol = Symbol('late')

/** The value of `promise`, or LATE when it takes longer than `ms`. The promise itself goes on. */
export async function within<T>(clock: ClientClock, ms: number, promise: Promise<T>): Promise<T | typeof LATE> {
  const stop = new AbortController()
  const late = clock.sleep(ms, stop.signal).then(
    (): typeof LATE => LATE,
    (): typeof LATE => LATE,
  )
  // The loser of the race may still reject later; somebody must have looked at it.
  promise.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    stop.abort()
  }
}

/** A controller that is aborted with `outer` as well. Call `release` when finished, or `outer` keeps a listener. */
export function linked(outer?: AbortSignal): AbortController & { release(): void } {
  const controller = new AbortController()
  const follow = () => controller.abort(outer!.reason)
  if (outer?.aborted) follow()
  else outer?.addEventListener('abort', follow, { once: true })
  return Object.assign(controller, { release: () => outer?.removeEventListener('abort', follow) })
}
