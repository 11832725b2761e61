/**
 * What one transaction of group commit carries, and in which order. Knows neither who waits nor what the plans do.
 */
import type { AttemptRecord, Claimed, ClaimRequest, Move, Moved, NewJob, Submitted } from '../store.js'
import { writeAudits } from './audit.js'
import { claimPlan } from './claim.js'
import { writeFailures, writeUses } from './failures.js'
import { movePlan } from './move.js'
import { type WebhookBook, writeOutbox } from './outbox.js'
import type { PauseBook } from './pauses.js'
import type { Plan } from './plan.js'
import { recordPlan } from './record.js'
import { submitPlan } from './submit.js'
import type { Tx } from './tx.js'

/** An operation that waits for the next commit. */
export interface Waiting<In, Out> {
  input: In
  resolve(answer: Out): void
  reject(error: unknown): void
}

/** What one commit carries, in the order in which it is carried out: claims see what the others have left. */
export class Batch {
  submits: Waiting<readonly NewJob[], Submitted[]>[] = []
  records: Waiting<AttemptRecord, boolean>[] = []
  moves: Waiting<Move, Moved>[] = []
  others: Waiting<(tx: Tx) => Plan<unknown>, unknown>[] = []
  claims: Waiting<ClaimRequest, Claimed[]>[] = []
  get size(): number {
    return this.submits.length + this.records.length + this.moves.length + this.others.length + this.claims.length
  }
  /** About how many events they may have; of claims nobody knows before. */
  get events(): number {
    return this.submits.reduce((sum, { input }) => sum + input.length, this.moves.length + this.others.length)
  }
  get waiting(): Waiting<any, any>[] {
    return [...this.submits, ...this.records, ...this.moves, ...this.others, ...this.claims]
  }
  /** Each operation in a batch of its own. */
  *single(): Generator<Batch> {
    for (const kind of ['submits', 'records', 'moves', 'others', 'claims'] as const) {
      for (const waiting of this[kind]) {
        const batch = new Batch()
        ;(batch[kind] as unknown[]).push(waiting)
        yield batch
      }
    }
  }
}

interface Answers {
  of: Waiting<any, any>[]
  with: unknown[]
}

/**
 * The plan of one commit. Like all hot plans it is made of functions that exist once: a generator function made anew for
 * each commit gets a hidden class of its own, which keeps the whole batch alive until the next full collection.
 */
export function* carryOut(batch: Batch, tx: Tx, pauses: PauseBook, webhooks: WebhookBook): Plan<Answers[]> {
  const inputs = <In>(waiting: readonly Waiting<In, any>[]) => waiting.map(({ input }) => input)
  const { submits, records, moves, others, claims } = batch
  const done: Answers[] = []
  // Where others may change them, both are asked for within each commit; only its end, and its claims, need the answers.
  yield* webhooks.ask(tx, batch.events + (claims.length > 0 ? webhooks.lately : 0))
  if (claims.length > 0) yield* pauses.ask(tx)
  if (submits.length > 0) done.push({ of: submits, with: yield* submitPlan(inputs(submits), tx) })
  if (records.length > 0) done.push({ of: records, with: yield* recordPlan(inputs(records), tx) })
  if (moves.length > 0) done.push({ of: moves, with: yield* movePlan(inputs(moves), tx) })
  for (const other of others) done.push({ of: [other], with: [yield* other.input(tx)] })
  for (const claim of claims) {
    const claimed = yield* claimPlan(claim.input, tx, pauses)
    webhooks.lately = claimed.length
    done.push({ of: [claim], with: [claimed] })
  }
  yield* writeLast(tx, webhooks)
  return done
}

/**
 * What was collected. Names are taken in one order, so that no two transactions wait for each other: what is paused, then
 * unique names, then limits, each where it is asked for; here at the end chains of audit trails, then failures.
 */
function* writeLast(tx: Tx, webhooks: WebhookBook): Plan<void> {
  yield* writeUses(tx)
  yield* writeAudits(tx)
  yield* writeFailures(tx)
  if (tx.events.length > 0) yield* writeOutbox(tx, webhooks)
}
