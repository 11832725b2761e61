/**
 * What a person is asked about a job that waits for review, and what may be answered. Pure; the worker asks, the engine
 * takes the answer.
 */
import type { ErrorInfo, LiveJob } from './job.js'

/**
 * `happened`, `did-not-happen`: the effect of a `once` step. `undone`: the step was undone by hand. `stop`: the job ends
 * as cancelled.
 */
export const ANSWERS = ['happened', 'did-not-happen', 'undone', 'stop'] as const
export type Answer = (typeof ANSWERS)[number]

export interface Question {
  /** Key of the step that it is about. */
  step: string
  kind: 'effect' | 'undo'
  answers: Answer[]
  /** The step has an undo: once it has happened, it may have to be undone. */
  undoable?: true
}

/** Only these codes ask; a handler may put whatever it likes into the details of its own. */
const ASKING: Record<string, Question['kind']> = { 'effect-unknown': 'effect', 'undo-failed': 'undo' }

/** The question that an unfinished job waits for, or null. */
export function questionOf(live: Pick<LiveJob, 'state' | 'waitKind' | 'why'>): Question | null {
  if (live.state !== 'waiting' || live.waitKind !== 'review') return null
  return live.why?.error ? questionIn(live.why.error) : null
}

function questionIn({ code, details }: ErrorInfo): Question | null {
  const kind = Object.hasOwn(ASKING, code) ? ASKING[code] : undefined
  const asked = details?.question as Partial<Question> | undefined
  if (!kind || typeof asked?.step !== 'string' || !Array.isArray(asked.answers)) return null
  const answers = ANSWERS.filter((answer) => asked.answers!.includes(answer))
  return { step: asked.step, kind, answers, ...(asked.undoable ? { undoable: true } : {}) }
}
