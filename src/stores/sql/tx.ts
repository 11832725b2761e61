/**
 * What the plans of one transaction share. Handed along as one value, so that a plan deep down can do what hangs on a
 * job without everybody above it knowing.
 */
import type { LimitNumbers } from '../../core/limits.js'
import type { Marks, Seen } from '../../core/marks.js'
import type { Change, Move, Moved } from '../store.js'
import type { Audited } from './audit.js'
import type { Met } from './failures.js'
import type { Event } from './outbox.js'
import type { Asked, Dialect, Plan } from './plan.js'
import type { Told } from './shared.js'

export interface Tx {
  /** The instant all its rows are judged by. */
  readonly now: number
  readonly sha256: (text: string) => string
  readonly dialect: Dialect
  /** What listeners are told after the commit. */
  readonly changes: Change[]
  /** What webhooks may hear of: what somebody does hear of goes to the outbox with the commit. */
  readonly events: Event[]
  /** Whether anything of it did. */
  toOutbox: boolean
  /** Where nobody was thought to hear of it: what the database says of each. */
  guessed: Asked[] | null
  /** What other processes are told of all this right behind the commit. */
  behind: Told | null
  /** Entries of audit trails, and errors that were met: written at the end, because many wait for the names they need. */
  readonly audits: Audited[]
  readonly failures: Met[]
  /** From where on lanes are read, where that matters, and what the reads of this transaction have seen of them. */
  readonly marks: Marks | null
  readonly seen: Seen[]
  /** What is paused, and which tenants have a webhook, where it was asked for this transaction. */
  paused: Asked | null
  heard: Asked | null
  /** The one guarded write (move.ts). It is lent, because the jobs that hang on a moved job are moved in turn. */
  readonly move: (moves: readonly Move[], tx: Tx) => Plan<Moved[]>
  /** The numbers of limits as they are defined now; without them those count that a job was submitted under. */
  readonly numbers?: (type: string) => LimitNumbers | undefined
}

/** What the store lends to the groups of its methods. */
export interface Lent {
  read<T>(plan: () => Plan<T>): Promise<T>
  write<T>(plan: (tx: Tx) => Plan<T>): Promise<T>
  /** In a commit of its own. */
  alone<T>(plan: (tx: Tx) => Plan<T>): Promise<T>
  now(): number
}
