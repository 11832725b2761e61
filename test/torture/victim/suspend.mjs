/**
 * The machine of a worker sleeps and wakes: wall time has jumped, monotonic time has not, so its lease is over and it does
 * not know. Its heartbeats are held back until another worker's reaper has been round and its jobs have successors.
 */
import { over, report } from './seams.mjs'

const JUMP_MS = 40_000
/** Periodic duties run so much more often; delays that belong to jobs are left alone. */
const HURRY = 20
const DUTIES = new Set([1000, 5000])

export function suspendable(systemClock, skewMs, workers) {
  let skew = skewMs
  const awake = new Array(workers).fill(Promise.resolve())
  const clock = {
    now: () => systemClock.now() + skew,
    monotonic: () => systemClock.monotonic(),
    after: (ms, fn) => systemClock.after(DUTIES.has(ms) ? ms / HURRY : ms, fn),
    keepAlive: () => systemClock.keepAlive(),
  }
  return {
    clock,
    /** The store as the n-th worker sees it. */
    store: (store, n) =>
      over(store, {
        workers: {
          ...store.workers,
          async beat(row) {
            await awake[n]
            return store.workers.beat(row)
          },
        },
      }),
    /** The n-th worker sleeps until `reaped()`. */
    async suspend(n, reaped) {
      let wake
      awake[n] = new Promise((resolve) => {
        wake = resolve
      })
      skew += JUMP_MS
      report({ suspended: JUMP_MS })
      await reaped()
      wake()
    },
  }
}
