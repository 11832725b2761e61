/**
 * One transition in the four voices. Callers and end users hear when it was accepted, when work began, what it waits for
 * and how it ended; tries, workers and rules are for support and operators. An event that this file does not know is told
 * by its name, never left out.
 */
import type { Voice } from '../../core/wire-story.js'
import type { StoredHistory } from '../../stores/store.js'
import { type Facts, messageOf } from './facts.js'
import { judged, taughtBy } from './phrases.js'
import { endLine } from './voices.js'
import { because, by, join, nameOf, quoted, sentence, span } from './words.js'

/** An entry without a text for a voice does not exist for it. */
export interface Telling {
  kind: string
  caller?: string
  endUser?: string
  support?: string
  operator?: string
}

/** For those who hear of the inside. */
export function inside(kind: string, support: string, operator = support): Telling {
  return { kind, support, operator }
}

type Teller = (entry: StoredHistory, previous: StoredHistory | null, facts: Facts) => Telling

/** What happened at this entry; null for an end that the facts do not know yet. */
export function told(entry: StoredHistory, previous: StoredHistory | null, facts: Facts): Telling | null {
  if (entry.state === 'completed' || entry.state === 'failed' || entry.state === 'cancelled') return ended(facts)
  return (TELLERS[entry.event] ?? unknown)(entry, previous, facts)
}

/** The same sentence that the headline has. */
function ended(facts: Facts): Telling | null {
  if (!facts.job.outcome) return null
  const at = (voice: Voice) => endLine(facts, voice)
  return { kind: 'end', caller: at('caller'), endUser: at('endUser'), support: at('support'), operator: at('operator') }
}

const unknown: Teller = ({ event, actor, reason }) => {
  const words = event.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
  return inside('note', because(`Event: ${words}${by(actor)}`, reason))
}

/** The number that people count: tries that were given back or only waited are none. */
function tryNumber({ detail }: Facts, attempt: number): number {
  const before = detail!.attempts.filter(
    (one) => one.attempt < attempt && (one.outcome === 'error' || one.outcome === 'lost'),
  )
  return before.length + 1
}

function didNotWork({ error, attempt }: StoredHistory, facts: Facts, what: string): Telling {
  const row = facts.detail!.attempts.find((one) => one.attempt === attempt)
  const surfaced = row?.error ?? error
  if (!surfaced) return inside('try', `${what} did not work.`)
  const next = row?.retryInMs == null ? '' : ` Next one in ${span(row.retryInMs)}.`
  return inside(
    'try',
    join(sentence(`${what} did not work: ${messageOf(surfaced)}`), taughtBy(surfaced.rule)),
    `${sentence(`${what} did not work (${judged(surfaced, true)}): ${messageOf(surfaced)}`)}${next}`,
  )
}

function review({ error }: StoredHistory): Telling {
  const message = messageOf(error, 'a person must decide how to go on.')
  const rule = error ? ` (${judged(error)})` : ''
  return {
    kind: 'person',
    caller: `Needs review: ${message}`,
    endUser: 'A person was asked to look at it.',
    support: join(`Needs review: ${message}`, taughtBy(error?.rule)),
    operator: `Needs review${rule}: ${message}`,
  }
}

/** It will end, and what it did is undone first. */
function undoFirst({ error, reason, actor }: StoredHistory): Telling {
  const why = error ? because('Stopped', messageOf(error)) : because(`Stopped${by(actor)}`, reason)
  const said = join(sentence(why), 'What was done is being undone first.')
  return { kind: 'undo', ...{ caller: said, support: said, operator: said }, endUser: 'It is being put back.' }
}

const goesOn = (kind: string, caller: string, support: string): Telling => ({
  kind,
  ...{ caller, endUser: 'Work goes on.', support, operator: support },
})

const TELLERS: Record<string, Teller> = {
  submitted: ({ actor }, _, { job: { record } }) => {
    const { options, replayOf, parentId, queue, priority } = record
    const from = nameOf(options.onBehalfOf) ?? nameOf(actor)
    const why = [
      replayOf && `as a replay of job ${replayOf}`,
      parentId && `as a part of job ${parentId}`,
      options.compensates && `to undo job ${options.compensates}`,
      options.schedule && `by the schedule ${options.schedule.id}`,
    ].filter(Boolean)
    const said = sentence(['Accepted', from && `from ${from}`, ...why].filter(Boolean).join(' '))
    const operator = `${said} Queue ${quoted(queue)}, priority ${priority}.`
    return { kind: 'accepted', caller: 'Accepted.', endUser: 'Received.', support: said, operator }
  },

  claimed: ({ actor, attempt, state }, previous, facts) => {
    const worker = nameOf(actor) ?? 'a worker'
    if (state === 'compensating') return inside('undo', 'Undoing began.', `Undoing began on ${worker}.`)
    if (attempt === 1)
      return {
        kind: 'work',
        ...{ caller: 'Work began.', endUser: 'Work began.', support: 'Work began.' },
        operator: `Try 1 began on ${worker}.`,
      }
    const n = tryNumber(facts, attempt)
    const again = previous !== null && TRIED.has(previous.event)
    if (again) return inside('try', `Try ${n} began.`, `Try ${n} began on ${worker}.`)
    return inside('work', 'Work went on.', `Try ${n} went on, on ${worker}.`)
  },

  errored: (entry, previous, facts) => {
    if (entry.state === 'waiting' && entry.phase === 'review') return review(entry)
    if (previous?.state === 'compensating') return didNotWork(entry, facts, 'Undoing')
    if (entry.state === 'compensating') return undoFirst(entry)
    return didNotWork(entry, facts, `Try ${tryNumber(facts, entry.attempt)}`)
  },

  leaseExpired: (entry, previous) => {
    if (entry.state === 'waiting' && entry.phase === 'review') return review(entry)
    if (entry.state === 'compensating' && previous?.state === 'cancelling') return undoFirst(entry)
    return inside(
      'try',
      'Its worker was lost; what it had recorded is kept.',
      'Its worker was lost; the try is void, its records are kept.',
    )
  },

  released: ({ actor, state, error }, previous) => {
    if (state === 'compensating' && previous?.state === 'cancelling')
      return undoFirst({ actor, error } as StoredHistory)
    return inside(
      'work',
      'Given back by a worker that stops; this is no try.',
      `Given back by ${nameOf(actor) ?? 'a worker'}, which stops; this is no try.`,
    )
  },

  suspended: ({ details, state, ...entry }, _, { type: { say }, detail }) => {
    if (state === 'compensating') return undoFirst({ ...entry, details, state })
    const { waitKind, title, id } = (details ?? {}) as { waitKind?: string; title?: string; id?: string }
    const asks = waitKind === 'approval' ? `Approval asked for: ${title || 'no summary'}` : title || 'Waiting'
    const said = join(sentence(asks), entry.phase === 'paused' && 'The pause holds.')
    const name = detail?.approvals.find((row) => row.id === id)?.gate ?? id?.replace(/#\d+$/, '').split('/').at(-1)
    const own = name === undefined ? undefined : say?.wait?.[name]
    if (waitKind === 'approval')
      return {
        kind: 'wait',
        ...{ caller: said, support: said, operator: said },
        endUser: own ?? 'A colleague was asked to confirm.',
      }
    if (waitKind === 'signal')
      return {
        kind: 'wait',
        ...{ caller: said, support: said, operator: said },
        endUser: own ?? 'An answer is awaited.',
      }
    return inside('wait', said)
  },

  woken: ({ details, actor, phase }, previous) => {
    const { by: what, gate, outcome } = (details ?? {}) as { by?: string; gate?: string; outcome?: string }
    const why =
      gate && outcome ? `${quoted(gate)} was ${OUTCOMES[outcome] ?? outcome}.` : wokenBy(what ?? '', nameOf(actor))
    const said = phase === 'paused' ? `Stays paused, but ${why}` : `Went on: ${why}`
    const waited = (previous?.details as { waitKind?: string } | null)?.waitKind
    const silent = waited === 'timer' || waited === 'child' || phase === 'paused'
    return silent ? inside('wait', said) : goesOn('wait', said, said)
  },

  staged: (entry) => {
    if (entry.state === 'compensating') return undoFirst(entry)
    const { stage, queue } = (entry.details ?? {}) as { stage?: string; queue?: string }
    return inside(
      'work',
      `Reached the stage ${quoted(stage ?? '')}.`,
      `Moved to queue ${quoted(queue ?? '')} for the stage ${quoted(stage ?? '')}.`,
    )
  },

  cancelRequested: (entry) => {
    if (entry.state === 'compensating') return undoFirst(entry)
    const said = because(`Asked to stop${by(entry.actor)}`, entry.reason)
    return { kind: 'person', ...{ caller: said, support: said, operator: said }, endUser: 'Asked to stop.' }
  },

  stopped: (entry) => {
    if (entry.state === 'compensating') return undoFirst(entry)
    const said = because(`Told to stop${by(entry.actor)}`, entry.reason)
    return { kind: 'person', ...{ caller: said, support: said, operator: said }, endUser: 'Asked to stop.' }
  },

  retryRequested: ({ actor, reason, details }) => {
    const { answer, step } = (details ?? {}) as { answer?: string; step?: string }
    const who = nameOf(actor) ?? 'Somebody'
    const said =
      answer && step ? `${who} answered: ${ANSWERS[answer]?.(quoted(step)) ?? answer}` : `${who} asked to try it now`
    return inside('person', because(said, reason))
  },

  pauseRequested: ({ actor, reason, state }) => {
    const said = because(state === 'running' ? `A pause was asked for${by(actor)}` : `Paused${by(actor)}`, reason)
    return { kind: 'person', ...{ caller: said, support: said, operator: said }, endUser: 'Put on hold.' }
  },

  resumeRequested: ({ actor, reason, state }, previous) => {
    const held = previous?.phase === 'paused'
    if (!held && (state === 'waiting' || previous?.state === 'running'))
      return inside('person', because(`The pause was taken back${by(actor)}`, reason))
    const said = because(`Resumed${by(actor)}`, reason)
    if (state === 'waiting')
      return { kind: 'person', ...{ caller: said, support: said, operator: said }, endUser: 'No longer on hold.' }
    return goesOn('person', said, said)
  },

  deadlinePassed: undoFirst,
}

/** After these the next claim is a new try. */
const TRIED: ReadonlySet<string> = new Set(['errored', 'leaseExpired', 'retryRequested'])

const OUTCOMES: Record<string, string> = {
  expired: 'not decided in time',
  'changes-requested': 'sent back with wishes',
}

const ANSWERS: Record<string, (step: string) => string> = {
  happened: (step) => `${step} has happened`,
  'did-not-happen': (step) => `${step} has not happened`,
  undone: (step) => `${step} was undone by hand`,
}

/** What ended a wait, from the word that the store keeps of it. */
function wokenBy(what: string, who: string | null): string {
  const [, kind = '', name = ''] = /^(signal|timer|child|timeout of \w+|approval) (.+)$/.exec(what) ?? []
  const from = who === null ? '' : ` from ${who}`
  if (kind === 'signal')
    return name.startsWith('callback:')
      ? `the answer to ${quoted(name.slice(9))} came.`
      : `the signal ${quoted(name)} came${from}.`
  if (kind === 'timer' || what === 'time') return 'its time had come.'
  if (kind === 'child') return `job ${name} had ended.`
  if (kind === 'approval') return `${quoted(name)} was decided.`
  if (kind.startsWith('timeout of')) return `${quoted(name)} did not come in time.`
  return what === '' ? 'what it waited for was there.' : `${quoted(what)} was there.`
}
