/** What is paused: rows that people set and clear, and the book in which a claim looks them up. */
import type { AuditDraft } from '../../core/history.js'
import { partsOf } from '../../core/job.js'
import type { PauseRow, Store } from '../store.js'
import { audited } from './audit.js'
import { type Asked, all, answerTo, ask, hold, type Plan, type Row, run, share } from './plan.js'
import { actorOf, actorText } from './rows.js'
import type { Lent, Tx } from './tx.js'

/** The name that a claim shares and that a change of what is paused holds. */
const PAUSES = 'pauses'

/** Which lanes are paused. Asked within the transaction of a claim, and remembered where nobody else can change it. */
export class PauseBook {
  /** What is known; where others may change it, what the last transaction saw. */
  private known: ReadonlySet<string> | null = null

  /** @param sole whether every change passes through this process */
  constructor(private readonly sole: boolean) {}

  /** Something changed, or a transaction that may have changed something was rolled back. */
  forget(): void {
    this.known = null
  }

  /**
   * At the beginning of a transaction that claims. From there to its end nothing is paused: once a pause is answered, no
   * claim that is still under way takes anything.
   */
  *ask(tx: Tx): Plan<void> {
    if (this.sole) return
    yield* share(PAUSES, tx.dialect)
    tx.paused = yield* ask(PAUSED)
  }

  /** What was paused when somebody last asked: where it is worth looking, and no more than that. */
  lately(): (lane: string) => boolean {
    return isPaused(this.known ?? NONE)
  }

  /** @param asked what was asked within this transaction */
  *paused(asked: Asked | null = null): Plan<(lane: string) => boolean> {
    if (this.sole && this.known) return isPaused(this.known)
    const names = new Set((asked ? yield* answerTo(asked) : yield* all(PAUSED)).map(nameOf))
    this.known = names
    return isPaused(names)
  }
}

const NONE: ReadonlySet<string> = new Set()
const PAUSED = 'select tenant, kind, name from pauses'
const nameOf = ({ tenant, kind, name }: Row): string => `${kind}/${tenant}/${name}`

function isPaused(names: ReadonlySet<string>): (lane: string) => boolean {
  if (names.size === 0) return () => false
  return (lane) => {
    const { tenant, type, queue } = partsOf(lane)
    return (
      names.has(nameOf({ tenant, kind: 'type', name: type })) ||
      names.has(nameOf({ tenant, kind: 'queue', name: queue }))
    )
  }
}

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
