/**
 * What is said while a job waits for its turn, is worked on, or is being stopped: one line per moment and voice. The end
 * user hears nothing of tries.
 */
import type { Person } from '../../core/job.js'
import { errorOf, type Facts, failures, lane, stageOf, triesOf, undoes } from './facts.js'
import { held, limit, line } from './held.js'
import type { OpenMoment } from './moment.js'
import { errorWords, givesUp, inQueue, type Lines, since, stageWords, tryWords, workingOn } from './phrases.js'
import { about, because, clock, count, iso, join, nameOf, quoted, sentence, span } from './words.js'

const RECEIVED = 'Received; it is in line.'

function pausedBy({ type: { pause }, now }: Facts): string {
  const who = nameOf(pause!.by) ?? 'an operator'
  return `The ${pause!.kind} ${quoted(pause!.name)} was paused by ${who} ${about(now - pause!.at)} ago${pause!.reason ? `: ${pause!.reason}` : '.'}`
}

function begun({ status }: Facts, accepted: string, later: string): string {
  return status === 'accepted' ? accepted : later
}

/** Who asked for it to be later, or to stop. */
function asker(facts: Facts): string {
  const { by, reason } = facts.job.live!.why?.cancel ?? { by: 'caller', reason: null }
  const asked = facts.detail?.history.findLast(({ event }) => event === 'cancelRequested' || event === 'stopped')
  const name =
    nameOf(asked?.actor) ??
    { caller: 'the submitter', operator: 'an operator', parent: 'the job that called it', system: 'Untildone' }[by]
  return `${name}${reason ? `: ${reason}` : '.'}`
}

function nextTry(facts: Facts): string {
  const {
    now,
    job: { live },
  } = facts
  const next = `try ${triesOf(facts) + 1}`
  return live!.runAt > now ? `${next} in ${span(live!.runAt - now)}` : `${next} as soon as a worker is free`
}

function retrying(facts: Facts): string {
  const error = errorOf(facts)
  const { losses, runAt } = facts.job.live!
  const n = failures(facts.job.live!)
  const what = error && n > losses ? errorWords(error) : 'worker-lost'
  const at = runAt - facts.now >= 60_000 ? ` at ${clock(runAt, facts.now)}` : ''
  const parts = [`${count(n, 'try', 'tries')} did not work`, `${nextTry(facts)}${at}`, givesUp(facts)]
  return `${what}, ${parts.filter(Boolean).join('; ')}`
}

/** How far undoing has come, where that was read. */
function undoing({ detail }: Facts): string {
  const steps = detail?.steps.filter(({ undo }) => undo === 'due' || undo === 'undone' || undo === 'by-hand') ?? []
  if (steps.length === 0) return ''
  return ` ${steps.filter(({ undo }) => undo !== 'due').length} of ${count(steps.length, 'step')} so far.`
}

const ENDS_AS = { completed: 'completed', failed: 'failed', cancelled: 'cancelled' } as const

function willEnd({ job: { live } }: Facts): string {
  return ENDS_AS[live!.why?.undo?.status ?? 'cancelled']
}

function submitter({ job: { record } }: Facts): string {
  const person: Person | null = record.options.onBehalfOf ?? null
  return nameOf(person) ?? nameOf(record.createdBy) ?? 'the submitter'
}

export const OPEN: Record<OpenMoment, Lines> = {
  stored: {
    caller: () => 'Accepted; waiting for a worker.',
    endUser: () => 'Received.',
    support: (f) => `Accepted ${since(f)} ago; in line for a worker.`,
    operator: (f) => `Accepted, queued for ${since(f)} ${inQueue(f)}.`,
  },
  scheduled: {
    caller: ({ job: { live } }) => `Accepted; starts ${iso(live!.runAt) ?? 'later'}.`,
    endUser: ({ job: { live }, now }) => `Starts at ${clock(live!.runAt, now)}.`,
    support: (f) => `Scheduled by ${submitter(f)} for ${clock(f.job.live!.runAt, f.now)}.`,
    operator: (f) => `Accepted, scheduled for ${clock(f.job.live!.runAt, f.now)} ${inQueue(f)}.`,
  },
  held: {
    caller: (f) => line(f) ?? begun(f, 'Accepted; waiting its turn.', 'Waiting its turn.'),
    endUser: (f) => begun(f, RECEIVED, workingOn(f, 'endUser')),
    support: (f) => `Waits its turn for ${since(f)}: ${held(f)}.`,
    operator: (f) => `Held for ${since(f)} by ${limit(f)}: ${held(f)}.`,
  },
  noWorker: {
    caller: (f) =>
      `${begun(f, 'Accepted', 'Goes on later')}; no worker for ${lane(f.job.live!)} since ${about(f.now - f.type.unservedSince!)}.`,
    endUser: (f) => begun(f, RECEIVED, workingOn(f, 'endUser')),
    support: (f) =>
      `No worker that could do it has run for ${about(f.now - f.type.unservedSince!)}; operators must start one.`,
    operator: (f) => `No worker for ${lane(f.job.live!)} since ${about(f.now - f.type.unservedSince!)}.`,
  },
  lanePaused: {
    caller: (f) => `${begun(f, 'Accepted; it starts', 'Goes on')} when the ${f.type.pause!.kind} is resumed.`,
    endUser: (f) => begun(f, RECEIVED, 'On hold for the moment.'),
    support: (f) => pausedBy(f),
    operator: (f) => `${begun(f, 'Accepted', 'Processing')}, paused. ${pausedBy(f)}`,
  },
  inLine: {
    caller: (f) => workingOn(f, 'caller'),
    endUser: (f) => workingOn(f, 'endUser'),
    support: (f) => `Processing${stageWords(f)}, in line for a worker for ${since(f)}.`,
    operator: (f) => `Processing${stageWords(f)}, queued for ${since(f)} ${inQueue(f)}.`,
  },
  running: {
    caller: (f) => workingOn(f, 'caller'),
    endUser: (f) => workingOn(f, 'endUser'),
    support: (f) => {
      const head = `Processing${stageWords(f)}${tryWords(f)}`
      const doing = f.job.progress && sentence(workingOn(f, 'endUser'))
      // The stage is named already.
      return doing === null || doing === `${stageOf(f)?.label}.` ? `${head}.` : `${head}: ${doing}`
    },
    operator: (f) => {
      const { worker, attemptAt } = f.job.live!
      const time = attemptAt === null ? '' : ` for ${span(f.now - attemptAt)}`
      const pausing = f.job.live!.why?.pause ? ' It pauses at its next step.' : ''
      return `Processing, try ${triesOf(f)} on worker ${worker}${time}${stageWords(f)}, ${inQueue(f)}.${pausing}`
    },
  },
  betweenTries: {
    caller: (f) => workingOn(f, 'caller'),
    endUser: (f) => workingOn(f, 'endUser'),
    support: (f) =>
      errorOf(f) && failures(f.job.live!) > f.job.live!.losses
        ? `Processing${stageWords(f)}, ${nextTry(f)}; such errors usually pass.`
        : `Processing${stageWords(f)}, ${nextTry(f)}; its worker was lost.`,
    operator: (f) => `Processing, retrying: ${retrying(f)}.`,
  },
  timer: {
    caller: (f) => join(sentence(workingOn(f, 'caller')), waitsUntil(f)),
    endUser: (f) => workingOn(f, 'endUser'),
    support: (f) => `Processing${stageWords(f)}, waiting on purpose. ${waitsUntil(f)}`,
    operator: (f) => `Processing, waiting for ${since(f)} without a worker. ${waitsUntil(f)}`,
  },
  child: {
    caller: (f) => title(f),
    endUser: (f) => workingOn(f, 'endUser'),
    support: (f) => `Processing${stageWords(f)}. ${title(f)}`,
    operator: (f) => `Processing, waiting for ${since(f)} without a worker. ${title(f)}`,
  },
  cancelling: {
    caller: () => 'Stopping on request.',
    endUser: () => 'Being cancelled.',
    support: (f) => `Stopping on request of ${asker(f)}`,
    operator: (f) => {
      const { worker, why, cancelAt } = f.job.live!
      const time = cancelAt === null ? '' : ` for ${span(f.now - cancelAt)}`
      return `Cancelling${time} (${why?.cancel?.mode ?? 'graceful'}) on worker ${worker}, asked by ${asker(f)}`
    },
  },
  compensating: {
    caller: (f) =>
      undoes(f) ? `Undoing what job ${undoes(f)} did.` : `Undoing what was done; then it ends as ${willEnd(f)}.`,
    endUser: (f) => {
      if (undoes(f)) return 'Being put back.'
      return willEnd(f) === 'failed'
        ? 'Could not be completed. It is being put back.'
        : 'Being cancelled. It is being put back.'
    },
    support: (f) =>
      `${undoes(f) ? `Undoing what job ${undoes(f)} did.` : `Undoing what was done; then it ends as ${willEnd(f)}.`}${undoing(f)}`,
    operator: (f) => {
      const { worker } = f.job.live!
      const trouble = failures(f.job.live!) > 0 ? ` ${sentence(retrying(f))}` : ''
      const where = worker === null ? inQueue(f) : `on worker ${worker}`
      const after = undoes(f) ? `for job ${undoes(f)}` : `then ${willEnd(f)}`
      return `Compensating ${where}, ${after}.${undoing(f)}${trouble}`
    },
  },
}

function waitsUntil({ job: { live }, now }: Facts): string {
  return live!.wakeAt === null ? 'Goes on when it is woken.' : `Goes on at ${clock(live!.wakeAt, now)}.`
}

function title({ job: { live } }: Facts): string {
  return because(live!.why?.wait?.title || 'Waiting for another job', null)
}
