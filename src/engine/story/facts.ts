/**
 * What a story is told from: the rows of a job, what its type says, and the instant. Pure look-ups that several sentences
 * need; no sentence is made here.
 */
import type { ApprovalRow } from '../../core/approval.js'
import type { RetryPolicy } from '../../core/backoff.js'
import { type Attempt, type ErrorInfo, type LiveJob, partsOf, type Status } from '../../core/job.js'
import { statusOf } from '../../core/lifecycle.js'
import type { LimitNumbers } from '../../core/limits.js'
import type { Say, Stage } from '../../define/define-job.js'
import type {
  DecisionRow,
  EffectRow,
  PauseRow,
  StepRow,
  StoredHistory,
  StoredJob,
  WaitRow,
} from '../../stores/store.js'
import type { Expected } from '../expectations.js'

/** What is known of a type; nothing is assumed of types that this process does not have. */
export interface TypeView {
  stages: readonly Stage[]
  maxAttempts: number | null
  expected: Expected
  retry?: RetryPolicy | null
  targetMs?: number | null
  say?: Say | null
  /** Since when no living worker serves the lane it waits in; null when one does. */
  unservedSince?: number | null
  /** Set while nothing of its type or queue is started. */
  pause?: PauseRow | null
  /** The numbers of its limits as they are defined now, which rule waiting jobs too. */
  numbers?: LimitNumbers | undefined
}

/** What only the whole story reads. One sentence has to do without it. */
export interface Detail {
  history: readonly StoredHistory[]
  /** So many entries of the history are left out, after this one. */
  leftOut: { after: number; entries: number } | null
  attempts: readonly Attempt[]
  steps: readonly StepRow[]
  waits: readonly WaitRow[]
  decisions: readonly DecisionRow[]
  effects: readonly EffectRow[]
  approvals: readonly ApprovalRow[]
}

export interface Facts {
  job: StoredJob
  now: number
  type: TypeView
  status: Status
  late: boolean
  detail: Detail | null
}

export function factsOf(job: StoredJob, now: number, type: TypeView, detail: Detail | null = null): Facts {
  const { live, outcome } = job
  const late = live !== null && (live.lateAt !== null || (live.escalateAt !== null && live.escalateAt <= now))
  return { job, now, type, status: outcome ? outcome.status : statusOf(live!), late, detail }
}

/** The error that explains where the job stands: the last one, or that of its end. */
export function errorOf({ job: { live, outcome } }: Facts): ErrorInfo | null {
  return outcome ? outcome.error : (live!.why?.error ?? null)
}

/** The error of the last try, where it was read: the verdict on the whole may have left its details behind. */
export function surfaced(facts: Facts): ErrorInfo | null {
  const last = facts.detail?.attempts.findLast(({ error }) => error !== null)
  return last?.error && facts.job.outcome ? last.error : errorOf(facts)
}

/** Errors without a message exist; sentences without an end must not. */
export function messageOf(error: ErrorInfo | null | undefined, without = 'no reason was given.'): string {
  return error?.message.replace(/[:\s]+$/, '') || without
}

/** The last error of a job that was given up, under the verdict on the whole. */
export function innerCode(error: ErrorInfo): string {
  const last = error.details?.last as { code?: unknown } | undefined
  return typeof last?.code === 'string' ? last.code : error.code
}

/** Tries that count: what was given back or waited is free. */
export function triesOf({ job: { live, outcome }, detail }: Facts): number {
  const running = live !== null && live.worker !== null ? 1 : 0
  if (detail)
    return detail.attempts.filter((one) => COUNTS.has(one.outcome) && !undid(detail, one.attempt)).length + running
  return live ? failures(live) + running : outcome!.attempt
}
/** Attempts since the last reset that did not work, whichever budget they were counted against. */
export function failures({ errors, losses, why }: LiveJob): number {
  return errors + losses + (why?.scopes ?? []).reduce((sum, scope) => sum + scope.errors, 0)
}

/** An attempt that only undid what others had done. */
export function undid({ history }: Pick<Detail, 'history'>, attempt: number): boolean {
  return history.some(
    (entry) => entry.event === 'claimed' && entry.state === 'compensating' && entry.attempt === attempt,
  )
}
const COUNTS: ReadonlySet<string> = new Set(['ok', 'error', 'lost', 'cancelled'])

/**
 * When it is given up if nothing works until then: at the end of its budget, or at its deadline if that is sooner. The
 * budget does not run while it waits, and one that a step or stage has of its own is not known here.
 */
export function giveUpAt({ job: { live }, type }: Facts): number | null {
  if (!live || live.state === 'cancelling' || live.state === 'compensating' || live.why?.undo) return null
  const own = live.errors === 0 && (live.why?.scopes !== undefined || live.why?.stage !== undefined)
  const runs = live.startedAt !== null && live.state !== 'waiting'
  const budget = runs && !own && type.retry ? live.budgetFrom + type.retry.withinMs : null
  const ends = [budget, live.deadlineAt].filter((at): at is number => at !== null && Number.isFinite(at))
  return ends.length === 0 ? null : Math.min(...ends)
}

/** Since when it counts: a job for later is not late before its time. */
export function ageOf({ job: { record }, now }: Facts): number {
  return Math.max(0, now - Math.max(record.createdAt, record.runAt ?? 0))
}

export function queueOf({ job: { record, live } }: Facts): string {
  return live ? partsOf(live.lane).queue : record.queue
}

/** The stage that people are shown, with its place among all. */
export function stageOf({ job: { progress, live }, type }: Facts): { name: string; label: string; at: number } | null {
  const name = progress?.stage ?? live?.why?.stage?.name
  if (!name) return null
  const at = type.stages.findIndex((stage) => stage.name === name)
  return { name, label: type.stages[at]?.label ?? name, at }
}

/** A worker that could take it, in words. */
export function lane({ lane }: LiveJob): string {
  const { queue, type, pin } = partsOf(lane)
  return pin === null ? `"${type}" in queue "${queue}"` : `version ${pin} of "${type}" in queue "${queue}"`
}

/** The approval it waits for. */
export function approvalOf({ job: { live }, detail }: Facts): ApprovalRow | null {
  const id = live?.why?.wait?.id
  return detail?.approvals.find((row) => row.id === id) ?? null
}

/** What became of the undoing, as the end tells it. */
export function undoingOf(error: ErrorInfo | null): { undone: number; left: string[] } | null {
  const told = error?.details?.compensation as { undone?: unknown; notUndone?: unknown } | undefined
  if (!told) return null
  const names = (value: unknown) => (Array.isArray(value) ? value.map(String) : [])
  return { undone: names(told.undone).length, left: names(told.notUndone) }
}

/** A child job that only undoes what another one did. */
export function undoes({ job: { record } }: Facts): string | null {
  return record.options.compensates ?? null
}

/** What is waited for, as its own name: the signal, the gate, the step. */
export function waitName({ job: { live }, detail }: Facts): string {
  const id = live?.why?.wait?.id ?? ''
  const gate = detail?.approvals.find((row) => row.id === id)?.gate
  return gate ?? detail?.waits.find((row) => row.key === id)?.name ?? id.replace(/#\d+$/, '').split('/').at(-1)!
}
