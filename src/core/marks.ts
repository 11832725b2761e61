/**
 * From where on each lane is read: who read it from its beginning each time would walk over all that is done. A claim
 * begins where the one before it found nothing any more (what was claimed or has ended leaves its entry in an index of
 * PostgreSQL until a vacuum, and stays there while anybody holds an old transaction open), and a relay behind what it has
 * announced.
 *
 * These are hints. Whatever comes to stand before a mark is told as a change, which takes the mark back to it; and what was
 * not told, or was locked by a claim that failed, is found by the look at all lanes, which reads them from the beginning.
 */
import { LEVELS } from './job.js'

/** What came before a lane was read for so many times is forgotten: a read that began before that moves no mark. */
const ROUNDS_KEPT = 16
/** With more lanes than this they are read from the beginning again. */
const LANES_MAX = 50_000

/** A lane read from its beginning, whatever its levels. */
const FROM_THE_BEGINNING: readonly number[] = LEVELS.map(() => 0)

interface Mark {
  /** By level. */
  at: number[]
  /** What came since a round, the earliest of each round. */
  came: { round: number; at: number }[]
  /** Of rounds up to this one it is not known any more. */
  forgotten: number
}

/** What a read of one level has seen: nothing that could be claimed stood before `at`. */
export interface Seen {
  lane: string
  level: number
  at: number
  round: number
}

export class Marks {
  private readonly lanes = new Map<string, Mark>()
  private rounds = 0
  /** Up to which round all was forgotten. */
  private cleared = 0

  /** A read begins. @returns its number */
  begin(): number {
    return ++this.rounds
  }

  /** From which `runAt` on a lane is worth reading, by level. */
  of(lane: string): readonly number[] {
    const known = this.lanes.get(lane)
    if (known) return known.at
    if (this.lanes.size >= LANES_MAX) this.clear()
    // What comes while it is read for the first time counts as well.
    const mark = { at: [...FROM_THE_BEGINNING], came: [], forgotten: this.cleared }
    this.lanes.set(lane, mark)
    return mark.at
  }

  /** A job of this lane can be claimed from `runAt` on. */
  came(lane: string, runAt: number): void {
    const mark = this.lanes.get(lane)
    if (!mark) return
    for (const [level, at] of mark.at.entries()) if (runAt < at) mark.at[level] = runAt
    const last = mark.came.at(-1)
    if (last?.round === this.rounds) last.at = Math.min(last.at, runAt)
    else mark.came.push({ round: this.rounds, at: runAt })
    if (mark.came.length > ROUNDS_KEPT) mark.forgotten = mark.came.shift()!.round
  }

  /** @param changes of jobs, with the instant from which each can be claimed */
  heard(changes: readonly { lane: string; queuedAt: number | null }[]): void {
    if (this.lanes.size === 0) return
    for (const { lane, queuedAt } of changes) if (queuedAt !== null) this.came(lane, queuedAt)
  }

  clear(): void {
    this.lanes.clear()
    this.cleared = this.rounds
  }

  /** What a read has seen, once what it took is committed. */
  saw({ lane, level, at, round }: Seen): void {
    const mark = this.lanes.get(lane)
    if (!mark || round <= mark.forgotten) return
    const since = mark.came.reduce((least, came) => (came.round >= round ? Math.min(least, came.at) : least), at)
    mark.at[level] = Math.max(mark.at[level]!, since)
  }
}

/** Where an index holds nothing that is gone there are no marks. */
export const fromOf = (marks: Marks | null, lane: string): readonly number[] => marks?.of(lane) ?? FROM_THE_BEGINNING

/**
 * What a read of several levels in turn has seen, that gave `rows` and would have given up to `limit`.
 * @param rows those of one level are together and in the order of their `runAt`
 * @param left whether a row stays where it is
 */
export function seenBy(
  lane: string,
  levels: readonly number[],
  rows: readonly { level: number; runAt: number }[],
  limit: number,
  { now, round, left }: { now: number; round: number; left: (i: number) => boolean },
): Seen[] {
  const seen: Seen[] = []
  let i = 0
  for (const level of levels) {
    // So far those before it left room.
    if (i >= limit) break
    let at: number | null = null
    let last = now
    for (; i < rows.length && rows[i]!.level === level; i++) {
      last = rows[i]!.runAt
      if (left(i)) at ??= last
    }
    // Cut off, others of the same instant may follow the last one.
    seen.push({ lane, level, round, at: at ?? (i >= limit ? last : now) })
  }
  return seen
}
