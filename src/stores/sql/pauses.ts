/** What is paused: rows that people set and clear, and the book in which a claim looks them up. */
import type { AuditDraft } from '../../core/history.js'
import { partsOf } from '../../core/job.js'
import type { PauseRow, Store } from '../store.js'
import { audited } from './audit.js'
import { all, hold, type Plan, type Row, run } from './plan.js'
import { actorOf, actorText } from './rows.js'
import type { Tx } from './tx.js'
import type { Lent } from './workers.js'

/** The name that a claim shares and that a change of what is paused holds. */
export const PAUSES = 'pauses'

/** Which lanes are paused. Asked within the transaction of a claim, and remembered where nobody else can change it. */
export class PauseBook {
  private known: ReadonlySet<string> | null = null

  /** @param sole whether every change passes through this process */
  constructor(readonly sole: boolean) {}

  /** Something changed, or a transaction that may have changed something was rolled back. */
  forget(): void {
    this.known = null
  }

  /** @param asked what was asked already within this transaction */
  *paused(asked: ReadonlySet<string> | null = null): Plan<(lane: string) => boolean> {
    const names = this.known ?? asked ?? pausedOf(yield* all(PAUSED))
    if (this.sole) this.known = names
    if (names.size === 0) return none
    return (lane) => {
      const { tenant, type, queue } = partsOf(lane)
      return (
        names.has(nameOf({ tenant, kind: 'type', name: type })) ||
        names.has(nameOf({ tenant, kind: 'queue', name: queue }))
      )
    }
  }
}

export const PAUSED = 'select tenant, kind, name from pauses'
export const pausedOf = (rows: readonly Row[]): ReadonlySet<string> => new Set(rows.map(nameOf))
const nameOf = ({ tenant, kind, name }: Row): string => `${kind}/${tenant}/${name}`
const none = () => false

function* pausePlan(row: PauseRow, on: boolean, audit: AuditDraft, tx: Tx): Plan<boolean> {
  yield* hold([PAUSES], tx.dialect)
  const [changed] = on
    ? yield* run(
        'insert into pauses (tenant, kind, name, actor, reason, at) values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing',
        [[row.tenant, row.kind, row.name, actorText(row.by), row.reason, row.at]],
      )
    : yield* run('delete from pauses where tenant = ?1 and kind = ?2 and name = ?3', [[row.tenant, row.kind, row.name]])
  if (changed !== 1) return false
  audited(audit, tx)
  return true
}

function* pausesPlan(): Plan<PauseRow[]> {
  const rows = yield* all('select * from pauses order by at')
  return rows.map((row) => ({
    tenant: row.tenant,
    kind: row.kind,
    name: row.name,
    by: actorOf(row.actor),
    reason: row.reason,
    at: row.at,
  }))
}

/** @param stir wakes those who claim, wherever they are */
export function pausesOf({ read, alone }: Lent, book: PauseBook, stir: () => void): Store['pauses'] {
  return {
    set: (row, on, audit) =>
      // Beside a claim it would share the name and then hold it, as another may do at the same time.
      alone((tx) => {
        book.forget()
        return pausePlan(row, on, audit, tx)
      }).then((changed) => {
        if (changed) stir()
        return changed
      }),
    list: () => read(pausesPlan),
  }
}
