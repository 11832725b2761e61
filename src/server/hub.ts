/**
 * One listener on the engine for all open streams of a server, told apart by job. Passes hints on and keeps nothing:
 * whoever is woken reads the job before believing anything.
 */
import type { Engine } from '../engine/api.js'

export type Change = Parameters<Parameters<Engine['onChange']>[0]>[0][number]

export class Hub {
  readonly #byJob = new Map<string, Set<(change: Change) => void>>()
  readonly #stop: () => void

  constructor(engine: Engine) {
    this.#stop = engine.onChange((changes) => {
      // The usual case on a busy server: nobody streams.
      if (this.#byJob.size === 0) return
      for (const change of changes) {
        const listeners = this.#byJob.get(change.jobId)
        if (listeners) for (const listener of [...listeners]) listener(change)
      }
    })
  }

  /** Calls `listener` after each change of the job, until the returned function is called. */
  watch(jobId: string, listener: (change: Change) => void): () => void {
    const listeners = this.#byJob.get(jobId) ?? new Set()
    this.#byJob.set(jobId, listeners.add(listener))
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#byJob.delete(jobId)
    }
  }

  /** Jobs that somebody streams. */
  get watched(): number {
    return this.#byJob.size
  }

  close(): void {
    this.#stop()
    this.#byJob.clear()
  }
}
