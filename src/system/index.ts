/**
 * The real clock, ids, randomness and hash. Imported only by index, cli and testing: everything else gets them handed in.
 */
import { hash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock, Entropy } from '../core/clock.js'

/** setTimeout fires at once for longer delays; those are waited for in slices. */
const MAX_MS = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  machine: true,
  after(ms, fn) {
    let handle: NodeJS.Timeout
    const arm = (left: number) => {
      handle = setTimeout(() => (left > MAX_MS ? arm(left - MAX_MS) : fn()), Math.min(left, MAX_MS))
      handle.unref()
    }
    arm(Math.max(0, ms))
    return { cancel: () => clearTimeout(handle) }
  },
  keepAlive() {
    const handle = setInterval(() => {}, MAX_MS)
    return { cancel: () => clearInterval(handle) }
  },
}

export const systemEntropy: Entropy = {
  jobId: () => uuidv7(),
  token: (bytes) => randomBytes(bytes).toString('base64url'),
  random: () => Math.random(),
  sha256: (data) => hash('sha256', data),
}
