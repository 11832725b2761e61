/**
 * Ids, secrets and jitter from a seed, so that a test that failed fails again. The hash is the real one.
 */
import { createHash } from 'node:crypto'
import type { Clock, Entropy } from '../core/clock.js'

/** @param clock gives the ids their instant, as in production */
export function testEntropy(clock: Pick<Clock, 'now'>, seed = 1): Entropy {
  const random = mulberry32(seed)
  let last = 0
  let counter = 0
  return {
    jobId() {
      const now = clock.now()
      counter = now > last ? 0 : counter + 1
      last = Math.max(last, now)
      return uuidv7(last, counter, random)
    },
    token(bytes) {
      return Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256))).toString('base64url')
    },
    random,
    sha256: (data) => createHash('sha256').update(data).digest('hex'),
  }
}

/** RFC 9562 5.7 with a 26-bit counter after the milliseconds, so that ids of one clock always rise. */
function uuidv7(ms: number, counter: number, random: () => number): string {
  const hex = (value: number, digits: number) => Math.floor(value).toString(16).padStart(digits, '0')
  const time = hex(ms, 12)
  const high = hex(counter / 16_384, 3)
  const low = hex(0x8000 + (counter % 16_384), 4)
  const tail = hex(random() * 2 ** 24, 6) + hex(random() * 2 ** 24, 6)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${high}-${low}-${tail}`
}

/** Public-domain generator by Tommy Ettinger: 32 bits of state, good enough for tests. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
