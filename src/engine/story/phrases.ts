/**
 * Parts of sentences that several moments share: progress, errors, give-up instants, undoing. Pure. What an end user may
 * hear of an error is decided here and nowhere else.
 */
import type { ErrorInfo } from '../../core/job.js'
import { taughtStory } from '../../core/taught.js'
import {
  ageOf,
  errorOf,
  type Facts,
  failures,
  giveUpAt,
  innerCode,
  queueOf,
  stageOf,
  triesOf,
  undoingOf,
} from './facts.js'
import { about, clock, count, list, quoted, sentence, span, tries } from './words.js'

/** Sentences of one moment, one for each voice. */
export interface Lines {
  caller: (facts: Facts) => string
  endUser: (facts: Facts) => string
  support: (facts: Facts) => string
  operator: (facts: Facts) => string
}

export const CLIP = 280

/** `34 of 120 pages`, `round 3 of 5`; null when nothing is counted. */
function amount({ job: { progress } }: Facts): string | null {
  const { completed = null, total = null, unit = null, iterations = null } = progress ?? {}
  if (completed === null || total === null)
    return iterations && `round ${iterations.completed}${iterations.total === null ? '' : ` of ${iterations.total}`}`
  return `${completed} of ${total}${unit ? ` ${total === 1 ? unit : `${unit}s`}` : ''}`
}

/** What the handler says it is doing; the words of the type for this stage where it has any. */
export function workingOn(facts: Facts, voice: 'caller' | 'endUser'): string {
  const stage = stageOf(facts)
  const own = stage && facts.type.say?.stage?.[stage.name]
  const message = facts.job.progress?.message
  if (own && voice === 'endUser') return withAmount(own, facts)
  if (message) return message
  if (own) return own
  if (!stage) return 'Being worked on.'
  return voice === 'caller' ? `Working: ${stage.label}.` : withAmount(stage.label, facts)
}

function withAmount(said: string, facts: Facts): string {
  const shown = amount(facts)
  return shown === null || said.includes(shown) ? sentence(said) : `${said.replace(/[.…]+$/, '')}: ${shown}.`
}

/** `, stage 2 of 3 (Recognise)`. */
export function stageWords(facts: Facts): string {
  const stage = stageOf(facts)
  if (!stage) return ''
  const { stages } = facts.type
  return stage.at < 0
    ? `, stage ${quoted(stage.label)}`
    : `, stage ${stage.at + 1} of ${stages.length} (${stage.label})`
}

/** The code, and what a child process left behind: `engine-crashed`, `exit code 139`. */
function errorParts(error: ErrorInfo): string[] {
  const { exitCode, signal } = (error.details ?? {}) as { exitCode?: unknown; signal?: unknown }
  const parts = [innerCode(error)]
  if (typeof exitCode === 'number') parts.push(`exit code ${exitCode}`)
  if (typeof signal === 'string') parts.push(signal)
  return parts
}

/** `engine-crashed (exit code 139)`. */
export function errorWords(error: ErrorInfo): string {
  const [code, ...left] = errorParts(error)
  return left.length === 0 ? code! : `${code} (${left.join(', ')})`
}

/** How it was judged: code, exit, verdict, step and rule, as far as they are known. */
export function judged(error: ErrorInfo, verdict = false): string {
  const { class: kind, step, rule } = error
  return [...errorParts(error), verdict && kind, step && `step ${quoted(step)}`, rule && ruleWords(rule)]
    .filter(Boolean)
    .join(', ')
}

function ruleWords(rule: string): string {
  const story = taughtStory(rule)
  return story === null ? `rule ${rule}` : story.replace(/^T/, 't')
}

/** `Taught by Mara on 2026-11-25: noise of the engine.`; nothing for rules of the code. */
export function taughtBy(rule: string | null | undefined): string | null {
  const story = rule ? taughtStory(rule) : null
  return story && sentence(story)
}

/** What the type says to people of this error, if anything. */
export function saidOf(facts: Facts, error: ErrorInfo | null): string | null {
  const own = facts.type.say?.error
  if (!own || !error) return null
  const found = [error.code, innerCode(error)].find((code) => Object.hasOwn(own, code))
  return found === undefined ? null : own[found]!
}

/** Only what somebody wrote for callers, or what is about their input, is for everybody's ears. */
export function shareable({ origin, rule, class: kind }: ErrorInfo): boolean {
  return kind !== 'transient' && (origin === 'input' || rule === 'thrown Permanent')
}

/** `gives up at 14:32 UTC`, or what is known instead. */
export function givesUp(facts: Facts): string | null {
  const at = giveUpAt(facts)
  const scope = facts.job.live?.why?.scopes?.at(-1)?.name
  if (at === null) return scope === undefined ? null : `gives up by the budget of ${quoted(scope)}`
  const most = facts.type.maxAttempts
  return `gives up at ${clock(at, facts.now)}${most === null ? '' : ` or after ${tries(most)}`}`
}

/** `usually 1 m 40 s`, only from what was measured. */
function usual({ type: { expected, targetMs } }: Facts): string | null {
  if (expected.p50Ms !== null) return `usually ${span(expected.p50Ms)}`
  return targetMs == null ? null : `its target is ${span(targetMs)}`
}

export const LATE: Lines = {
  caller: () => 'It is taking longer than usual; nothing is needed from you.',
  endUser: ({ job: { live } }) => `It is taking longer than usual${failures(live!) > 0 ? '; we keep trying' : ''}.`,
  support: (f) =>
    `${sentence(`Late: ${[usual(f), `now ${span(ageOf(f))}`, givesUp(f)].filter(Boolean).join('; ')}`)} Nothing is needed.`,
  operator: (f) => {
    const { expected, targetMs } = f.type
    const limit =
      targetMs != null ? `, target ${span(targetMs)}` : expected.p95Ms === null ? '' : `, p95 ${span(expected.p95Ms)}`
    return `Late: ${span(ageOf(f))} old${limit}.`
  },
}

/** What was undone, for those who hear of steps. Empty when nothing had to be. */
export function undoWords(facts: Facts): string {
  const undoing = undoingOf(errorOf(facts))
  if (!undoing) return ''
  const { undone, left } = undoing
  const all = undone + left.length
  if (all === 0) return ''
  if (left.length === 0) return `Undone: ${undone} of ${count(all, 'step')}.`
  return `Undone: ${undone} of ${count(all, 'step')}; by hand: ${list(left.map(quoted))}.`
}

/** The same for an end user: never more than is known. */
export function putBack(facts: Facts): string {
  const undoing = undoingOf(errorOf(facts))
  if (!undoing || undoing.undone + undoing.left.length === 0) return ''
  const stays = facts.detail?.steps.some(({ effect, undo }) => effect === 'once' && undo === null)
  if (undoing.left.length > 0 || stays) return 'What could be put back was put back.'
  return facts.detail ? 'Everything was put back.' : 'What it had done was put back.'
}

/** Since when a job is where it is. */
export const since = ({ job: { live }, now }: Facts): string => about(now - live!.changedAt)

export const inQueue = (facts: Facts): string => `in queue ${quoted(queueOf(facts))}`

/** `, try 2`, from the second on. */
export const tryWords = (facts: Facts): string => (triesOf(facts) > 1 ? `, try ${triesOf(facts)}` : '')
