// What one run may take while it lives: memory, CPU time and number of its tree, and how long it may be quiet.
// Decides from samples and clocks only. Must never signal anybody: the supervisor does that, with the reason given here.
import type { LimitKind, ProcessLimits } from './spec.js'
import type { Sample, Tree } from './tree.js'

export interface Verdict {
  reason: LimitKind
  /** KILL at once: between TERM and KILL it would only take more. */
  force: boolean
}

export class Watch {
  #beatAt = performance.now()

  constructor(
    private readonly tree: Tree | null,
    private readonly limits: ProcessLimits,
  ) {}

  /** The names of what is watched here, for the record of the run. */
  get held(): string[] {
    const { rssMb, cpuSeconds, processes, silentMs, stallMs } = this.limits
    return [
      ...(silentMs === undefined ? [] : ['silent']),
      ...(stallMs === undefined ? [] : ['stalled']),
      ...(this.tree && rssMb !== undefined ? ['tree-memory'] : []),
      ...(this.tree && cpuSeconds !== undefined ? ['tree-cpu'] : []),
      ...(this.tree && processes !== undefined ? ['tree-processes'] : []),
      ...(this.tree ? ['tree'] : []),
    ]
  }

  beat(): void {
    this.#beatAt = performance.now()
  }

  /** Null when all is within its limits. `outputAt` is when output arrived last. */
  look(outputAt: number): Verdict | null {
    const sample = this.tree?.look()
    const over = sample && this.#over(sample)
    if (over) return over
    const { silentMs, stallMs } = this.limits
    const now = performance.now()
    if (silentMs !== undefined && now - outputAt >= silentMs) return { reason: 'silent', force: false }
    if (stallMs !== undefined && now - this.#beatAt >= stallMs) return { reason: 'stalled', force: false }
    return null
  }

  #over(sample: Sample): Verdict | null {
    const { rssMb = Infinity, cpuSeconds = Infinity, processes = Infinity } = this.limits
    if (sample.rssBytes > rssMb * 1024 * 1024) return { reason: 'memory-limit', force: true }
    if (sample.processes > processes) return { reason: 'process-limit', force: true }
    if (sample.cpuMs > cpuSeconds * 1000) return { reason: 'cpu-limit', force: false }
    return null
  }
}
