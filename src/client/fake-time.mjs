/**
 * Time and chance for the tests of the client: both come from outside, and are the same in each run. Plain JavaScript so that
 * the build leaves it out.
 */

/**
 * Time that moves on by itself whenever nothing else can happen. Only for what needs no real input and output.
 * @param {number} random
 */
export function virtualClock(random = 0.5) {
  let now = Date.parse('2026-11-22T09:00:00.000Z')
  /** @type {Set<{ at: number, resolve: () => void }>} */ const sleepers = new Set()
  let turning = false
  const turn = () => {
    const [next] = [...sleepers].sort((a, b) => a.at - b.at)
    if (!next) {
      turning = false
      return
    }
    sleepers.delete(next)
    now = Math.max(now, next.at)
    next.resolve()
    setImmediate(turn)
  }
  return {
    now: () => now,
    random: () => random,
    /** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const onAbort = () => sleepers.delete(sleeper) && reject(signal?.reason)
        const sleeper = {
          at: now + ms,
          resolve: () => {
            signal?.removeEventListener('abort', onAbort)
            resolve()
          },
        }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', onAbort, { once: true })
        if (!turning) setImmediate(turn)
        turning = true
      }),
    /** Time stands still from now on, for whatever would go on for ever. */
    stop: () => sleepers.clear(),
    /** Pauses that are under way, to see that nothing was left behind. */
    get waiting() {
      return sleepers.size
    },
  }
}

/** Numbers in [0, 1) that are the same for the same seed. @param {number} seed */
export function dice(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
