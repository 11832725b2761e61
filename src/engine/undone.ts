/**
 * What was undone of an operation, in the effect ledger: read before keys are made, written with each undo. A charge that
 * was refunded has not happened any more, and the far side must not take the next one for a repeat of it.
 */
import type { JobRecord } from '../core/job.js'
import { type Undone, undoneKeyOf } from '../core/operation.js'
import type { EffectRow, Store } from '../stores/store.js'

type Sha256 = (text: string) => string

export async function undoneOf(store: Store, record: JobRecord, sha256: Sha256): Promise<Undone> {
  const row = await store.effect(record.tenant, undoneKeyOf(record, sha256))
  return row?.result ? (JSON.parse(row.result) as Undone) : {}
}

/** One more undo of a step, for the transaction in which it is recorded. */
export function undoneOnceMore(
  record: JobRecord,
  undone: Undone,
  step: string,
  at: number,
  sha256: Sha256,
): { undone: Undone; row: EffectRow } {
  const next = { ...undone, [step]: (Object.hasOwn(undone, step) ? undone[step]! : 0) + 1 }
  const { tenant, id: jobId } = record
  const key = undoneKeyOf(record, sha256)
  return { undone: next, row: { tenant, key, jobId, step: '', state: 'happened', result: JSON.stringify(next), at } }
}
