/**
 * What happened, written with the change itself, for whoever hears of it. Who that is, and what becomes of it, is found
 * out later (src/webhooks/relay.ts); here it costs nothing where nobody listens.
 */
import type { ApprovalRow } from '../../core/approval.js'
import { partsOf, TIES } from '../../core/job.js'
import { type Decision, statusOf } from '../../core/lifecycle.js'
import type { Happened } from '../../core/webhook.js'
import type { NewJob } from '../store.js'
import { all, type Plan, put, type Row } from './plan.js'
import type { Tx } from './tx.js'

/** Tenants with a webhook that is enabled. Asked within each commit, and remembered where nobody else can change it. */
export class WebhookBook {
  private known: ReadonlySet<string> | null = null

  /** @param sole whether every change passes through this process */
  constructor(private readonly sole: boolean) {}

  /** Something changed, or a transaction that may have changed something was rolled back. */
  forget(): void {
    this.known = null
  }

  *heard(): Plan<ReadonlySet<string>> {
    const heard = this.known ?? heardOf(yield* all(HEARD))
    if (this.sole) this.known = heard
    return heard
  }
}

export const HEARD = 'select distinct tenant from webhooks where enabled = 1'
export const heardOf = (rows: readonly Row[]): ReadonlySet<string> => new Set(rows.map(({ tenant }) => tenant))

const someoneHears = (tx: Tx, tenant: string, ties: number): boolean => (ties & TIES.told) !== 0 || tx.heard.has(tenant)

/** A move that changed the public status. */
export function announceMove({ from, live, outcome, history }: Decision, tx: Tx): void {
  // The usual case: nobody has asked.
  if (tx.heard.size === 0 && (from.ties & TIES.told) === 0) return
  const { tenant } = partsOf(from.lane)
  if (!someoneHears(tx, tenant, from.ties)) return
  const status = outcome?.status ?? statusOf(live!)
  if (status === statusOf(from)) return
  const { seq } = history
  tx.happened.push({ ...{ id: `${from.id}:${seq}`, tenant, type: `job.${status}` }, jobId: from.id, at: tx.now, seq })
}

export function announceSubmit({ record, live }: NewJob, tx: Tx): void {
  if (tx.heard.size === 0 && (live.ties & TIES.told) === 0) return
  const { id, tenant } = record
  if (!someoneHears(tx, tenant, live.ties)) return
  tx.happened.push({ id: `${id}:1`, tenant, type: 'job.accepted', jobId: id, at: tx.now, seq: 1 })
}

/** An approval as it is now. */
export function announceApproval(row: ApprovalRow, type: Happened['type'], tx: Tx): void {
  const { id, tenant, jobId, jobType, gate, risk, state, version } = row
  announce({ id: `${id}:${version}`, tenant, type, jobId }, tx, { approvalId: id, jobType, gate, risk, state })
}

/** Anything else that tenants' webhooks can hear. */
export function announce(
  what: Pick<Happened, 'id' | 'tenant' | 'type' | 'jobId'>,
  tx: Tx,
  details?: Happened['details'],
): void {
  if (!tx.heard.has(what.tenant)) return
  tx.happened.push({ ...what, at: tx.now, seq: null, ...(details ? { details } : {}) })
}

/** With the commit of what happened. */
export function* writeOutbox({ happened }: Tx): Plan<void> {
  yield* put(
    'insert into outbox (at, id, body) values (?1, ?2, ?3) on conflict do nothing',
    happened.map((one) => [one.at, one.id, JSON.stringify(one)]),
  )
}
