/**
 * What happened, in order: transitions from the history, and between them what is recorded elsewhere (steps, decisions,
 * notes, lateness). Each entry is told in one voice or left out: who hears of tries and workers, and who does not, is
 * decided in told.ts.
 */
import type { Voice, WireStoryEntry } from '../../core/wire-story.js'
import type { DecisionRow, StepRow, StoredHistory } from '../../stores/store.js'
import { decisionWords } from './decided.js'
import type { Detail, Facts } from './facts.js'
import { taughtBy } from './phrases.js'
import { inside, type Telling, told } from './told.js'
import { because, count, iso, join, list, nameOf, quoted, quotedList, sentence, span } from './words.js'

interface Extra {
  at: number
  attempt: number
  telling: Telling
  /** Set for a step that has nothing to be told of but its name: such ones are told together. */
  step?: string
}

/** Of what happens while no attempt runs: after the one that asked, and before what it leads to. */
const BETWEEN = Number.POSITIVE_INFINITY

export function happened(facts: Facts, voice: Voice): WireStoryEntry[] {
  const { detail } = facts
  if (!detail) return []
  const entries: WireStoryEntry[] = []
  const add = (at: number, telling: Telling | null, seq: number | null) => {
    const text = telling?.[voice]
    if (text) entries.push({ at: iso(at) ?? '', text, seq, kind: telling!.kind })
  }
  const extras = extrasOf(facts, detail)
  let next = 0
  const flush = (before: (extra: Extra) => boolean) => {
    let steps: Extra[] = []
    const tellSteps = () => {
      if (steps.length > 0) add(steps.at(-1)!.at, recorded(steps.map(({ step }) => step!)), null)
      steps = []
    }
    for (; next < extras.length && before(extras[next]!); next++) {
      const extra = extras[next]!
      if (extra.step !== undefined) steps.push(extra)
      else {
        tellSteps()
        add(extra.at, extra.telling, null)
      }
    }
    tellSteps()
  }
  let previous: StoredHistory | null = null
  for (const entry of detail.history) {
    // What an attempt recorded belongs before what ended it, and never before its claim, also within one millisecond.
    const opens = entry.event === 'claimed' || entry.event === 'submitted'
    const answers = entry.event === 'woken' || entry.event === 'stopped'
    const fits = (attempt: number) => !opens && (attempt <= entry.attempt || (answers && attempt === BETWEEN))
    flush(({ at, attempt }) => at < entry.at || (at === entry.at && fits(attempt)))
    add(entry.at, told(entry, previous, facts), entry.seq)
    if (detail.leftOut?.after === entry.seq) add(entry.at, leftOut(detail.leftOut.entries), null)
    previous = entry
  }
  flush(() => true)
  return entries
}

function leftOut(entries: number): Telling {
  return inside('note', `${count(entries, 'change is', 'changes are')} left out here; the history has them all.`)
}

function recorded(names: readonly string[]): Telling {
  return inside('step', `Recorded: ${quotedList(names, 6)}.`)
}

function extrasOf({ job }: Facts, detail: Detail): Extra[] {
  const extras: Extra[] = [
    ...detail.decisions.map(decisionExtra),
    ...detail.steps.flatMap(stepExtra),
    ...detail.approvals.flatMap(({ gate, decisions }) =>
      decisions.map((decision): Extra => {
        const said = decisionWords(decision, gate)
        return {
          at: decision.at,
          attempt: BETWEEN,
          telling: { ...inside('person', said), caller: said },
        }
      }),
    ),
    ...job.warnings.map(({ at, code, message, rule }): Extra => {
      const said = sentence(`Note ${code}: ${message}`)
      // Who taught it is for those who hear of the inside.
      return { at, attempt: 0, telling: { ...inside('note', join(said, taughtBy(rule))), caller: said } }
    }),
  ]
  if (job.live?.lateAt != null)
    extras.push({ at: job.live.lateAt, attempt: 0, telling: inside('note', 'From here on it counts as late.') })
  return extras.sort((a, b) => a.at - b.at)
}

/** What ended a wait is told by the history. */
const WAITS: ReadonlySet<string> = new Set(['timer', 'signal', 'callback', 'approval', 'child', 'decision'])

function stepExtra({ key, kind, attempt, endedAt, startedAt, effect, undo, info }: StepRow): Extra[] {
  // A reused step is another job's; when it was done says nothing here.
  if (WAITS.has(kind) || undo === 'reused') return []
  if (effect !== 'once') return [{ at: endedAt, attempt, telling: inside('step', ''), step: key }]
  const { confirmed, reused, answeredBy } = infoOf(info)
  const said = answeredBy
    ? `${nameOf(answeredBy as never) ?? 'A person'} said that ${quoted(key)} has happened.`
    : confirmed
      ? `${quoted(key)} had happened, as the far side confirmed.`
      : typeof reused === 'string'
        ? `${quoted(key)} had happened in job ${reused}; its result was used.`
        : `${quoted(key)} happened, in ${span(endedAt - startedAt)}.`
  return [{ at: endedAt, attempt, telling: inside('step', said) }]
}

function infoOf(info: string | null): Record<string, unknown> {
  try {
    return (info === null ? {} : (JSON.parse(info) ?? {})) as Record<string, unknown>
  } catch {
    return {}
  }
}

function decisionExtra({ at, attempt, model, modelVersion, tools, path }: DecisionRow): Extra {
  const who = join(model, modelVersion)
  const how = join(path && `on the path ${path}`, tools.length > 0 && `with ${list(tools)}`)
  return {
    at,
    attempt,
    telling: {
      ...inside('decision', `Decided by ${sentence(join(who, how))}`),
      support: because(`Decided by ${who}`, null),
    },
  }
}
