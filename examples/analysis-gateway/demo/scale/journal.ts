// What the clients of the scale demo have seen, line by line on disk, and the reckoning at the end: made of this journal
// and of the witness's ledger, and of nothing that the gateway or its store says about itself.
import { appendFileSync, readFileSync } from 'node:fs'

export type Entry =
  /** The gateway has said that it has it. Written for each such answer, so a key may be here twice. */
  | { what: 'accepted'; order: number; key: string; id: string }
  /** Its result was fetched, and it is the one that was asked for. */
  | { what: 'completed'; order: number; id: string }
  /** Anything else. */
  | { what: 'other'; order: number; id: string; why: string }

interface Effect {
  what: 'effect' | 'repeat'
  order: number
  key: string
}

export interface Reckoning {
  accepted: number
  completed: number
  /** Accepted, but without a result that is theirs, or without an effect. */
  lost: number[]
  /** One key and two analyses, or one order and two effects. */
  doubled: number[]
  /** Requests that the witness knew from their key: the work of somebody who was killed in the middle. */
  repeats: number
  /** What else the clients have seen. */
  others: string[]
}

export const enter = (journal: string, entry: Entry): void => appendFileSync(journal, `${JSON.stringify(entry)}\n`)

export function reckon(journal: string, ledger: string): Reckoning {
  const entries = lines<Entry>(journal)
  const effects = lines<Effect>(ledger)
  const ids = new Map<number, Set<string>>()
  for (const entry of entries)
    if (entry.what === 'accepted') ids.set(entry.order, (ids.get(entry.order) ?? new Set()).add(entry.id))
  const completed = new Set(entries.flatMap((entry) => (entry.what === 'completed' ? [entry.order] : [])))
  const done = new Map<number, number>()
  for (const { what, order } of effects) if (what === 'effect') done.set(order, (done.get(order) ?? 0) + 1)
  const accepted = [...ids.keys()]
  return {
    accepted: accepted.length,
    completed: accepted.filter((order) => completed.has(order)).length,
    lost: accepted.filter((order) => !completed.has(order) || !done.has(order)),
    doubled: [...new Set([...ids.keys(), ...done.keys()])].filter(
      (order) => (ids.get(order)?.size ?? 0) > 1 || (done.get(order) ?? 0) > 1,
    ),
    repeats: effects.filter(({ what }) => what === 'repeat').length,
    others: entries.flatMap((entry) => (entry.what === 'other' ? [`order ${entry.order}: ${entry.why}`] : [])),
  }
}

function lines<T>(path: string): T[] {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // Nothing was written.
  }
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)
}
