/**
 * What is usual: the durations of the latest completed jobs per type, for expectedDoneAt, pacing and lateness.
 * An estimate from history and nothing else; without 20 runs there is none.
 */

const KEEP = 200
const ENOUGH = 20

export interface Expected {
  p50Ms: number | null
  p95Ms: number | null
  samples: number
}

const NONE: Expected = { p50Ms: null, p95Ms: null, samples: 0 }

export class Expectations {
  private readonly types = new Map<string, { ring: number[]; next: number; known: Expected | null }>()

  /** Durations of one type, newest first; read from the store at start. */
  prime(type: string, durations: readonly number[]): void {
    for (const ms of [...durations].reverse()) this.add(type, ms)
  }

  /** A job of this type was completed after `ms` milliseconds. */
  add(type: string, ms: number): void {
    let entry = this.types.get(type)
    if (!entry) this.types.set(type, (entry = { ring: [], next: 0, known: null }))
    entry.ring[entry.next] = ms
    entry.next = (entry.next + 1) % KEEP
    // Sorting 200 numbers per completion would cost more than the completion; every 20th is enough.
    if (entry.next % ENOUGH === 0) entry.known = null
  }

  of(type: string): Expected {
    const entry = this.types.get(type)
    if (!entry || entry.ring.length < ENOUGH) return entry ? { ...NONE, samples: entry.ring.length } : NONE
    if (!entry.known) {
      const sorted = [...entry.ring].sort((a, b) => a - b)
      entry.known = {
        p50Ms: sorted[Math.floor(sorted.length * 0.5)]!,
        p95Ms: sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))]!,
        samples: sorted.length,
      }
    }
    return entry.known
  }
}
