import type { Clock } from './clock.js'

/** What `doing` gives, or undefined when it takes longer: nobody waits for it any more, and it may still happen. */
export function within<T>(clock: Clock, ms: number, doing: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => resolve(undefined))
    doing.then(resolve, reject).finally(() => timer.cancel())
  })
}
