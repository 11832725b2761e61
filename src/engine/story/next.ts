/**
 * What happens next, why the job is where it is, and who must act. Instants are those that the rows hold; where nothing is
 * due, it says on whom it depends.
 */
import type { Voice, WireStory } from '../../core/wire-story.js'
import {
  approvalOf,
  errorOf,
  type Facts,
  giveUpAt,
  innerCode,
  lane,
  messageOf,
  surfaced,
  triesOf,
  undoes,
  waitName,
} from './facts.js'
import type { Moment } from './moment.js'
import { givesUp, judged, saidOf, shareable } from './phrases.js'
import { clock, iso, quoted, sentence, span } from './words.js'

interface Next {
  text: string
  at: number | null
}

const ON_EXPIRY = {
  cancel: 'it is cancelled',
  fail: 'it fails',
  escalate: 'others are asked',
  continue: 'it goes on without',
} as const

const nothing = (text: string): Next => ({ text, at: null })

function dueNext(facts: Facts, text: string, then: string): Next {
  const at = facts.job.live!.why?.wait?.dueAt ?? null
  return {
    text: at === null ? text : `${text.replace(/\.$/, '')}; without that, ${then} at ${clock(at, facts.now)}.`,
    at,
  }
}

/** Where the budget of this job ends, for those who hear of tries. */
const untilThen = (facts: Facts): string => {
  const until = givesUp(facts)
  return until === null ? '' : ` It ${until}.`
}

const NEXT: Record<Moment, (facts: Facts) => Next> = {
  stored: () => nothing('A worker takes it as soon as one is free.'),
  scheduled: ({ job: { live }, now }) => ({ text: `It starts at ${clock(live!.runAt, now)}.`, at: live!.runAt }),
  held: () => nothing('It starts as soon as the limit leaves room for it.'),
  noWorker: (f) => nothing(`It starts when a worker for ${lane(f.job.live!)} runs.`),
  lanePaused: ({ type: { pause } }) => nothing(`It starts when the ${pause!.kind} ${quoted(pause!.name)} is resumed.`),
  inLine: () => nothing('A worker goes on with it as soon as one is free.'),
  running: (f) => nothing(`It goes on until it is done; what does not work is tried again.${untilThen(f)}`),
  betweenTries: (f) => {
    const { runAt } = f.job.live!
    const n = triesOf(f) + 1
    if (runAt <= f.now) return nothing(`Try ${n} starts as soon as a worker is free.${untilThen(f)}`)
    return { text: `Try ${n} starts in ${span(runAt - f.now)}.${untilThen(f)}`, at: runAt }
  },
  timer: ({ job: { live }, now }) =>
    live!.wakeAt === null
      ? nothing('It goes on when it is woken.')
      : { text: `It goes on by itself at ${clock(live!.wakeAt, now)}.`, at: live!.wakeAt },
  child: (f) => dueNext(f, 'It goes on when the job that it called has ended.', 'it goes on'),
  cancelling: () =>
    nothing('The work under way stops at its next step; then the job is cancelled, or completed if it was done first.'),
  compensating: (f) => {
    const { runAt, worker, why } = f.job.live!
    const end = undoes(f) ? 'completed' : (why?.undo?.status ?? 'cancelled')
    const text = `The latest step is undone first; when all are, it is ${end}.`
    return worker === null && runAt > f.now
      ? { text: `Undoing is tried again in ${span(runAt - f.now)}. ${text}`, at: runAt }
      : nothing(text)
  },
  approval: (f) => {
    const row = approvalOf(f)
    return dueNext(
      f,
      'It goes on when it is approved.',
      row ? ON_EXPIRY[row.onExpire] : 'it ends or goes on, as its type says,',
    )
  },
  review: ({ job: { live }, now }) =>
    live!.deadlineAt === null || live!.why?.undo
      ? nothing('It does not move before an operator has decided.')
      : {
          text: `It does not move before an operator has decided; at ${clock(live!.deadlineAt, now)} it fails.`,
          at: live!.deadlineAt,
        },
  signal: (f) => dueNext(f, 'It goes on when the answer comes.', 'it goes on'),
  paused: ({ job: { live } }) =>
    nothing(
      live!.why?.behind
        ? 'It goes on when it is resumed and what it waits for is there.'
        : 'It goes on where it stopped when it is resumed.',
    ),
  completed: ended,
  completedWithNotes: ended,
  undidOther: ended,
  failed: ended,
  exhausted: ended,
  deadline: ended,
  cancelled: ended,
  rejected: ended,
  approvalExpired: ended,
  parentEnded: ended,
  overridden: ended,
}

function ended({ job: { outcome }, now }: Facts): Next {
  const kept = outcome!.expiresAt < 8.64e15 ? ` It is kept until ${clock(outcome!.expiresAt, now)}.` : ''
  return nothing(`Nothing; this is final.${kept}`)
}

/** What an end user or caller may know of it. */
const PLAIN: Partial<Record<Moment, string>> = {
  stored: 'It starts as soon as it can.',
  running: 'It goes on until it is done.',
  betweenTries: 'It goes on until it is done.',
  inLine: 'It goes on until it is done.',
  noWorker: 'It starts as soon as it can.',
  lanePaused: 'It starts as soon as it can.',
  held: 'It starts when it is its turn.',
  compensating: 'It ends when that is done.',
  review: 'It goes on when somebody has looked at it.',
}

const plainVoice = (voice: Voice): boolean => voice === 'caller' || voice === 'endUser'

export function nextOf(facts: Facts, moment: Moment, voice: Voice): WireStory['next'] {
  const { text, at } = NEXT[moment](facts)
  if (!plainVoice(voice)) return { text, at: iso(at), giveUpAt: iso(giveUpAt(facts)) }
  const plain = PLAIN[moment]
  return { text: plain ?? text, at: plain ? null : iso(at), giveUpAt: null }
}

/** Why it is where it is; null where there is nothing to explain. */
export function whyOf(facts: Facts, moment: Moment, voice: Voice): string | null {
  const error = errorOf(facts)
  const { live, outcome } = facts.job
  if (plainVoice(voice)) {
    if (!error || (live && moment !== 'review')) return null
    const said = saidOf(facts, error)
    if (said || voice === 'caller') return said ?? messageOf(error)
    return shareable(error) && !live ? messageOf(error) : null
  }
  if (moment === 'noWorker') return `No worker that runs serves ${lane(live!)}.`
  if (moment === 'paused' || moment === 'lanePaused') {
    const reason = (moment === 'paused' ? live!.why?.pause : facts.type.pause)?.reason
    return reason ?? 'No reason was given.'
  }
  if (!error || !(outcome || EXPLAINED.has(moment))) return null
  return `${WHY[moment] ?? 'It was stopped'}: ${sentence(messageOf(error))} (${judged(surfaced(facts) ?? error, true)})`
}
const WHY: Partial<Record<Moment, string>> = {
  ...{ betweenTries: 'The last try did not work', noWorker: 'The last try did not work', review: 'A person must look' },
  ...{ failed: 'No further try can help', exhausted: 'Nothing worked', deadline: 'Its time was over' },
}
const EXPLAINED: ReadonlySet<Moment> = new Set<Moment>(['betweenTries', 'review', 'compensating', 'noWorker'])

type Act = { who: WireStory['act']['who']; text: string }
const nobody: Act = { who: 'nobody', text: 'Nothing is needed from anybody.' }
const again: Act = { who: 'submitter', text: 'Submit it again if it is still wanted.' }

/** What a review asks for, by the code that led to it. */
const REVIEWS: Record<string, (step: string) => string> = {
  'effect-unknown': (step) => `Find out at the far side whether ${step} happened, and say so.`,
  'undo-failed': (step) => `See to the undoing of ${step} by hand and say so, or try again.`,
  'code-changed': () =>
    'Deploy code that fits what is recorded and try again; or cancel it, and replay it from a step before the change.',
  'permission-withdrawn': () => 'Give the permission back and try again, or cancel it.',
  poison: () => 'Find out why it loses its workers; then try again or cancel it.',
}

function actOn(facts: Facts, moment: Moment): Act {
  const { live, supersededBy, resolution } = facts.job
  const error = errorOf(facts)
  switch (moment) {
    case 'noWorker':
      return { who: 'operator', text: `Start a worker for ${lane(live!)}.` }
    case 'lanePaused':
      return { who: 'operator', text: `Resume the ${facts.type.pause!.kind} ${quoted(facts.type.pause!.name)}.` }
    case 'paused':
      return { who: 'operator', text: 'Resume it, or cancel it.' }
    case 'approval': {
      const gate = approvalOf(facts)?.gate
      return { who: 'approver', text: `Approve or reject ${gate === undefined ? 'it' : quoted(gate)}.` }
    }
    case 'signal': {
      const wait = facts.detail?.waits.find(({ key }) => key === live!.why?.wait?.id)
      const name = quoted(waitName(facts))
      return {
        who: 'outside',
        text: wait?.kind === 'callback' ? `Answer the callback ${name}.` : `Send the signal ${name}.`,
      }
    }
    case 'review': {
      const step = quoted(
        String((error?.details?.question as { step?: unknown } | undefined)?.step ?? error?.step ?? 'it'),
      )
      const known = error && REVIEWS[error.code]
      return { who: 'operator', text: known ? known(step) : 'Look at the error; then try again or cancel it.' }
    }
    case 'failed':
    case 'exhausted':
    case 'deadline':
      if (supersededBy || resolution) return nobody
      if (moment === 'deadline') return again
      if (error?.origin === 'input') return { who: 'submitter', text: 'Correct the input and submit it as a new job.' }
      return {
        who: 'operator',
        text: `Find the cause of ${error ? innerCode(error) : 'it'}; then replay it.`,
      }
    case 'approvalExpired':
      return supersededBy ? nobody : again
    default:
      return nobody
  }
}

export function actOf(facts: Facts, moment: Moment, voice: Voice): WireStory['act'] {
  const { who, text } = actOn(facts, moment)
  const self = `/v1/jobs/${facts.job.record.id}`
  const asked = moment === 'approval' ? facts.job.live!.why?.wait?.id : undefined
  const href = who === 'nobody' ? null : asked ? `/v1/approvals/${asked}` : self
  // What others must do is no news for those who wait; what they themselves may do is.
  const concerned = !plainVoice(voice) || who === 'submitter' || who === 'outside'
  return { who, text: concerned ? text : 'Nothing is needed from you.', href }
}
