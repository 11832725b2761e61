/**
 * The real clock, ids, randomness and hash. Imported only by index, cli and testing: everything else gets them handed in.
 */
import { hash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock, Entropy } from '../core/clock.js'

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  machine: true,
  after(ms, fn) {
    // setTimeout fires at once for delays past 2^31; wait in slices instead.
    const MAX = 2_147_483_647
    let handle: NodeJS.Timeout
    const arm = (left: number) => {
      handle = setTimeout(() => (left > MAX ? arm(left - MAX) : fn()), Math.min(left, MAX))
      handle.unref()
    }
    arm(Math.max(0, ms))
    return { cancel: () => clearTimeout(handle) }
  },
}

export const systemEntropy: Entropy = {
  jobId: () => uuidv7(),
  token: (bytes) => randomBytes(bytes).toString('base64url'),
  random: () => Math.random(),
  sha256: (data) => hash('sha256', data),
}
