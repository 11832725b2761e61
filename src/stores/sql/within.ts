/**
 * Submitting inside a transaction that belongs to the application: the same plan as any submit, over a connection of
 * theirs. Whether and when it is committed nobody here can know, so that nobody is told before they say so.
 */
import { UntildoneError } from '../../core/errors.js'
import type { Change, NewJob, SqlTransaction, Submitted, SubmittedWithin } from '../store.js'
import { Batch, carryOut } from './batch.js'
import type { WebhookBook } from './outbox.js'
import type { PauseBook } from './pauses.js'
import { type Driver, one, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'

/** What this database has and no other one; made when it is first asked for. */
export function* secretPlan(fresh: string): Plan<string> {
  yield* put(`insert into meta (key, value) values ('secret', ?1) on conflict (key) do nothing`, [[fresh]])
  return (yield* one<{ value: string }>(SECRET))!.value
}

const SECRET = `select value from meta where key = 'secret'`

/** One submit in a transaction of its caller. @param secret what this store's database has, and no other one */
export function* withinPlan(
  jobs: readonly NewJob[],
  secret: string,
  tx: Tx,
  pauses: PauseBook,
  webhooks: WebhookBook,
): Plan<Submitted[]> {
  const found = yield* one<{ value: string }>(SECRET)
  if (found?.value !== secret)
    throw new UntildoneError(
      'transaction-unusable',
      'The transaction belongs to another database than the store. Nothing was stored.',
    )
  // What is announced says whether somebody listens. Each answer is waited for in any case.
  yield* webhooks.ask(tx, Number.POSITIVE_INFINITY)
  const batch = new Batch()
  batch.submits.push({ input: jobs, resolve: ignore, reject: ignore })
  const [done] = yield* carryOut(batch, tx, pauses, webhooks)
  return done!.with[0] as Submitted[]
}

/** What the store lends. */
export interface WithinLent {
  newTx: () => Tx
  plan: (tx: Tx) => Plan<Submitted[]>
  look: (ids: readonly string[]) => Promise<Change[]>
  told: (changes: readonly Change[], happened: boolean) => void
}

/** What to do where none was meant. */
export const LEFT_OUT = 'Leave `tx` out, or give undefined, where no transaction is meant.'

export async function submitInside(within: SqlTransaction, driver: Driver, lent: WithinLent): Promise<SubmittedWithin> {
  if (!driver.within)
    throw new UntildoneError('transaction-unsupported', undefined, within === null ? { fix: LEFT_OUT } : {})
  let tx = lent.newTx()
  const answers = await driver.within(within, () => {
    tx = lent.newTx()
    return lent.plan(tx)
  })
  const ids = [...new Set(tx.changes.map(({ jobId }) => jobId))]
  return {
    answers,
    async announce() {
      const found = ids.length > 0 ? await lent.look(ids) : []
      // As they are now: what was rolled back is not among them.
      if (found.length > 0) lent.told(found, tx.toOutbox)
    },
  }
}

function ignore(): void {}
