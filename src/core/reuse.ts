/**
 * Which records a replay takes over when it begins from a step: what the job had recorded before anything of that step,
 * in the order in which it was recorded. Choosing a stage or a branch does again everything inside it. Pure.
 */

interface Recorded {
  key: string
  seq?: number
}

/** What belongs to the address of a callback; it is no step of its own. */
const ADDRESS = '#url'

export function isAddress(key: string): boolean {
  return key.endsWith(ADDRESS)
}

/** Whether a record is the step itself or inside it. */
export function isInside(key: string, step: string): boolean {
  return key === step || key.startsWith(`${step}/`) || key === `${step}${ADDRESS}`
}

/**
 * @param rows in any order
 * @param gone steps that were undone: neither they nor what is around them can be taken over
 */
export function reuse<R extends Recorded>(
  rows: readonly R[],
  fromStep: string,
  gone: ReadonlySet<string> = new Set(),
): { reused: R[]; again: R[] } {
  const ordered = [...rows].sort(inOrder)
  const first = ordered.find(({ key }) => isInside(key, fromStep))
  const lasting = ({ key }: R) => ![...gone].some((undone) => isInside(undone, key))
  const before = ordered.filter((row) => (first === undefined || inOrder(row, first) < 0) && lasting(row))
  // An address that was handed out works for the job that made it; without an answer, a replay needs its own.
  const kept = new Set(before.map(({ key }) => key))
  const reused = before.filter(({ key }) => !isAddress(key) || kept.has(key.slice(0, -ADDRESS.length)))
  const taken = new Set(reused.map(({ key }) => key))
  return { reused, again: ordered.filter(({ key }) => !taken.has(key)) }
}

function inOrder(a: Recorded, b: Recorded): number {
  return (a.seq ?? 0) - (b.seq ?? 0) || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}
