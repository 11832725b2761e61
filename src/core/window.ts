/**
 * How much of a queue a transport may carry at once, which lanes get how much of it, and how much travels as one:
 * arithmetic only. The window is small on purpose: what is not announced yet is still decided by the store.
 */

/** Messages per slot that may be on their way: enough that no slot waits for the next announcement, and no more. */
const WINDOW_PER_SLOT = 4

/** Whoever runs nothing announces for others, which have as many slots as is usual. */
const SLOTS_ELSEWHERE = 16

/** The window of a queue that a process with so many slots keeps full. */
export function windowOf(slots: number): number {
  return WINDOW_PER_SLOT * (slots > 0 ? slots : SLOTS_ELSEWHERE)
}

/** Most messages that travel as one. */
const TOGETHER_MAX = 64
/** Whoever takes several must have room for all: of hosts that the window was made for, each has it for a few such. */
const PARTS_OF_WINDOW = 32
/** What is little goes to several hosts before one of them gets several. */
const PARTS_AT_LEAST = 8

/** How many of `count` messages travel as one: most of what a message costs is the same whatever it carries. */
export function togetherOf(window: number, count: number): number {
  return Math.max(1, Math.min(TOGETHER_MAX, Math.floor(window / PARTS_OF_WINDOW), Math.ceil(count / PARTS_AT_LEAST)))
}

/**
 * Hands out `room` places among lanes, one at a time to whoever has the fewest under way, so that a full lane never keeps
 * another one out. Lanes with equally many get theirs in the order in which they are given.
 *
 * @param under what each lane has under way already
 * @returns places per lane; their sum is `room`, unless there are no lanes
 */
export function sharesOf(room: number, under: readonly number[]): number[] {
  const shares = under.map(() => 0)
  if (under.length === 0 || room <= 0) return shares
  // The water line: all lanes below it are filled up to it, the rest of the room goes one by one from the front.
  const order = under.map((n, i) => ({ n, i })).sort((a, b) => a.n - b.n || a.i - b.i)
  let left = room
  let line = order[0]!.n
  let filled = 1
  while (filled < order.length && (order[filled]!.n - line) * filled <= left) {
    left -= (order[filled]!.n - line) * filled
    line = order[filled]!.n
    filled++
  }
  const each = Math.floor(left / filled)
  const more = left % filled
  const first = order.slice(0, filled).sort((a, b) => a.i - b.i)
  for (const [place, { n, i }] of first.entries()) shares[i] = line - n + each + (place < more ? 1 : 0)
  return shares
}
