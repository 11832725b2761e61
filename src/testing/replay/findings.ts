/**
 * What a check found: one finding per place, the first cause wins, because one mistake shows in many runs.
 */
import { type Place, textOf } from './place.js'

/** Kinds of findings; `docs/guide/testing-jobs.md` says what each means. */
export type ReplayFindingKind =
  | 'effect-outside-step'
  | 'write-in-read'
  | 'nested-step'
  | 'not-json'
  | 'floating-promise'
  | 'swallowed-error'
  | 'unstable-value'
  | 'different-branch'
  | 'other-kind'
  | 'other-order'
  | 'result-differs'
  | 'mutated-value'
  | 'effect-repeated'
  | 'effect-key-differs'
  | 'effect-key-shared'
  | 'ran-again'
  | 'no-end'

export interface ReplayFinding {
  kind: ReplayFindingKind
  /** What happened, in which handler, where, and what to do about it. */
  message: string
  /** Absolute path of the user's code, or null when nothing of it was on the stack. */
  file: string | null
  line: number | null
  /** The step it is about, or null. */
  step: string | null
  handler: string
}

export interface Found {
  kind: ReplayFindingKind
  place: Place | null
  step?: string | null
  /** A sentence without its end: what happened. */
  what: string
  /** Whole sentences: what follows from it, and what to do. */
  fix: string
}

export class Findings {
  private readonly byPlace = new Map<string, ReplayFinding>()

  constructor(
    private readonly handler: string,
    private readonly ignored: readonly ReplayFindingKind[] = [],
  ) {}

  get list(): ReplayFinding[] {
    return [...this.byPlace.values()]
  }

  add({ kind, place, step = null, what, fix }: Found): void {
    if (this.ignored.includes(kind)) return
    // The line of another result is only near the mistake: it does not hide what is wrong in that very line.
    const id = place && kind !== 'result-differs' ? `${place.file}:${place.line}` : `${kind} ${step}`
    if (this.byPlace.has(id)) return
    const message = `${textOf(place)}: in the handler of "${this.handler}", ${what}. ${fix}`
    const { file, line } = place ?? { file: null, line: null }
    this.byPlace.set(id, { kind, message, file, line, step, handler: this.handler })
  }
}
