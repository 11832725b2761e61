/**
 * What is said of how a job ended: one line per moment and voice. The end is final, so these sentences only ever grow by
 * what happened to the job afterwards.
 */
import type { ErrorInfo, FinalState } from '../../core/job.js'
import { approvalEnd } from './decided.js'
import { errorOf, type Facts, messageOf, surfaced, triesOf, undoes } from './facts.js'
import type { EndMoment } from './moment.js'
import { judged, type Lines, putBack, saidOf, shareable, undoWords } from './phrases.js'
import { because, by, clock, count, join, list, nameOf, sentence, span, tries } from './words.js'

const message = (facts: Facts): string => messageOf(errorOf(facts))

/** The last error under "gave up", in its own words. */
function inner(error: ErrorInfo | null): string {
  const last = error?.details?.last as { message?: unknown } | undefined
  return typeof last?.message === 'string' && last.message ? last.message : messageOf(error)
}

/** ` after 2 tries`, when there was more than one. */
function afterTries(facts: Facts): string {
  const n = triesOf(facts)
  return n > 1 ? ` after ${tries(n)}` : ''
}

/** From when it could have begun to its end. */
function took({ job: { record, outcome } }: Facts): string {
  return span(outcome!.finishedAt - Math.max(record.createdAt, record.runAt ?? 0))
}

const at = ({ job: { outcome }, now }: Facts): string => clock(outcome!.finishedAt, now)

function notes({ job: { warnings } }: Facts): string {
  const codes = [...new Set(warnings.map(({ code }) => code))]
  return codes.length === 0 ? 'with notes' : `with ${count(warnings.length, 'note')}: ${list(codes)}`
}

function origin(facts: Facts): string {
  const from = errorOf(facts)?.origin
  return from ? ` (${from})` : ''
}

const cause = (facts: Facts): string => {
  const error = surfaced(facts)
  return error ? judged(error) : 'no reason is known'
}

/** Who stopped it, as the history has it. */
function stoppedBy({ detail, job: { outcome } }: Facts): string {
  const entry = detail?.history.findLast(({ event }) => event === 'cancelRequested' || event === 'stopped')
  if (!entry) return sentence(messageOf(outcome!.error, 'Cancelled'))
  return because(`Cancelled${by(entry.actor)}`, entry.reason)
}

/** By whom its end was set, in the words kept with it. */
function byHand({ job: { warnings, outcome }, detail }: Facts): string {
  const kept = warnings.find(({ code }) => code === 'overridden')?.message
  const entry = detail?.history.findLast(({ event }) => event === 'overridden')
  const said = kept ?? (entry ? `Set to ${outcome!.status} by hand${by(entry.actor)}.` : null)
  const message = messageOf(outcome!.error, '')
  if (!said) return sentence(message || `Set to ${outcome!.status} by hand`)
  // The state machine's own words name nobody; whoever gave an error of their own meant that to be read.
  const why = message === '' || outcome!.error?.rule === 'override' ? entry?.reason : message
  return join(said, why && sentence(why))
}

const PLAIN: Record<FinalState, string> = {
  completed: 'Completed.',
  failed: 'Could not be completed.',
  cancelled: 'Cancelled.',
}

const endedAs = ({ status }: Facts): string => (status === 'failed' ? 'Failed' : 'Cancelled')

const parent = ({ job: { record } }: Facts): string =>
  record.parentId ? `job ${record.parentId}, which called it,` : 'the job that called it'

const neverBegan = ({ job: { outcome } }: Facts): boolean => outcome!.startedAt === null

export const END: Record<EndMoment, Lines> = {
  completed: {
    caller: () => 'Completed.',
    endUser: () => 'Completed.',
    support: (f) => `Completed ${at(f)}${afterTries(f)}.`,
    operator: (f) => `Completed in ${took(f)}, ${tries(triesOf(f))}.`,
  },
  completedWithNotes: {
    caller: () => 'Completed, with notes.',
    endUser: () => 'Completed.',
    support: (f) => `Completed ${at(f)}${afterTries(f)}, ${notes(f)}.`,
    operator: (f) => `Completed in ${took(f)}, ${tries(triesOf(f))}, ${notes(f)}.`,
  },
  undidOther: {
    caller: (f) => `Completed: what could be undone of job ${undoes(f)} is undone.`,
    endUser: () => 'What could be put back was put back.',
    support: (f) => `Completed ${at(f)}: what could be undone of job ${undoes(f)} is undone.`,
    operator: (f) => `Completed in ${took(f)}: what could be undone of job ${undoes(f)} is undone.`,
  },
  failed: {
    caller: (f) => saidOf(f, errorOf(f)) ?? `Could not be completed: ${message(f)}`,
    endUser: (f) => {
      const error = errorOf(f)
      return (
        saidOf(f, error) ?? (error && shareable(error) ? `Could not be completed: ${messageOf(error)}` : PLAIN.failed)
      )
    },
    support: (f) => {
      const tell = saidOf(f, errorOf(f))
      return join(
        `Failed for good${origin(f)}: ${tell ? sentence(message(f)) : message(f)}`,
        tell && `Tell them: ${tell}`,
      )
    },
    operator: (f) => `Failed, permanent${afterTries(f)}: ${cause(f)}: ${message(f)}`,
  },
  exhausted: {
    caller: (f) => saidOf(f, errorOf(f)) ?? `Could not be completed: ${message(f)}`,
    endUser: (f) => saidOf(f, errorOf(f)) ?? 'We could not complete this and have stopped trying.',
    support: (f) => `Failed after ${tries(triesOf(f))} in ${took(f)}: ${inner(errorOf(f))}`,
    operator: (f) => `Failed, exhausted after ${tries(triesOf(f))} in ${took(f)}: ${cause(f)}: ${inner(errorOf(f))}`,
  },
  deadline: {
    caller: (f) => saidOf(f, errorOf(f)) ?? `Could not be completed: ${message(f)}`,
    endUser: (f) => saidOf(f, errorOf(f)) ?? 'This could not be completed in time.',
    support: (f) => `Failed at its deadline${afterTries(f)}: ${inner(errorOf(f))}`,
    operator: (f) => `Failed, deadline${afterTries(f)}: ${cause(f)}: ${inner(errorOf(f))}`,
  },
  cancelled: {
    caller: (f) => messageOf(errorOf(f), PLAIN.cancelled),
    endUser: (f) => saidOf(f, errorOf(f)) ?? (neverBegan(f) ? 'Cancelled before work began.' : PLAIN.cancelled),
    support: stoppedBy,
    operator: (f) =>
      `${stoppedBy(f).replace(/\.$/, '')} (${errorOf(f)?.code ?? 'cancelled'}${neverBegan(f) ? ', before it began' : afterTries(f)})`,
  },
  rejected: {
    caller: (f) => saidOf(f, errorOf(f)) ?? messageOf(errorOf(f), 'Not approved.'),
    endUser: (f) => saidOf(f, errorOf(f)) ?? 'Not approved.',
    support: (f) => approvalEnd(f) ?? sentence(message(f)),
    operator: (f) => `${endedAs(f)}. ${approvalEnd(f) ?? sentence(message(f))}`,
  },
  approvalExpired: {
    caller: (f) => saidOf(f, errorOf(f)) ?? messageOf(errorOf(f), 'Not approved in time.'),
    endUser: (f) => saidOf(f, errorOf(f)) ?? 'Not approved in time.',
    support: (f) => sentence(message(f)),
    operator: (f) => `${endedAs(f)} at the expiry of an approval. ${sentence(message(f))}`,
  },
  parentEnded: {
    caller: (f) => messageOf(errorOf(f), PLAIN.cancelled),
    endUser: () => PLAIN.cancelled,
    support: (f) => `Cancelled, because ${parent(f)} needed it no longer.`,
    operator: (f) => `Cancelled, parent-cancelled${afterTries(f)}: ${parent(f)} needed it no longer.`,
  },
  overridden: {
    caller: byHand,
    endUser: (f) => saidOf(f, errorOf(f)) ?? PLAIN[f.job.outcome!.status],
    support: byHand,
    operator: (f) => join(sentence(byHand(f)), triesOf(f) > 0 && `It had had ${tries(triesOf(f))}.`),
  },
}

const RESOLVED = {
  resolvedManually: 'Resolved by hand',
  acceptedAsIs: 'Accepted as it is',
  superseded: 'Marked as superseded',
  compensated: 'Marked as undone',
} as const

/** What was undone before the end. */
export const UNDONE: Lines = { caller: undoWords, endUser: putBack, support: undoWords, operator: undoWords }

/** What happened to a finished job afterwards. */
export const LATER: Lines = {
  caller: (f) => (f.job.supersededBy ? `Job ${f.job.supersededBy} took its place.` : ''),
  endUser: (f) => (f.job.supersededBy ? 'It was started again.' : ''),
  support: later,
  operator: later,
}

function later({ job: { supersededBy, compensatedBy, resolution } }: Facts): string {
  return join(
    supersededBy && `Job ${supersededBy} took its place.`,
    compensatedBy && `Job ${compensatedBy} undoes what it did.`,
    resolution &&
      because(
        `${RESOLVED[resolution.kind] ?? 'Resolved'} by ${nameOf(resolution.by) ?? 'Untildone'}`,
        resolution.reason,
      ),
  )
}
