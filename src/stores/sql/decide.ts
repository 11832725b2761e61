/**
 * A change of an approval and all that follows for its job, in one transaction: the wait ends or is set anew, the job
 * wakes, stops or says how far it is. What is decided comes from outside; two that decide at once follow each other, and
 * the second sees what the first has left.
 */
import type { ApprovalRow } from '../../core/approval.js'
import { shownOf } from '../../core/approval-decide.js'
import { wakeOf } from '../../core/approval-expire.js'
import { type LiveJob, TIES } from '../../core/job.js'
import { type Event, transition } from '../../core/lifecycle.js'
import type { EventType } from '../../core/webhook.js'
import type { ApprovalChange, ApprovalChanged, ApprovalWrite } from '../store.js'
import { approvalPlan, forgetStep, writeApproval } from './approvals.js'
import { audited } from './audit.js'
import { touchOf } from './changes.js'
import { holdLive, keepStill } from './live.js'
import { announceApproval } from './outbox.js'
import { one, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'
import { recordValue, toWait, wakePlan } from './waits.js'

export function* decidePlan(change: ApprovalChange, tx: Tx): Plan<ApprovalChanged> {
  for (;;) {
    const before = yield* heldApproval(change.id, tx)
    if (!before || (change.tenant !== undefined && before.tenant !== change.tenant)) return { outcome: 'not-found' }
    if (change.epoch !== undefined && !(yield* holds(before.jobId, change.epoch, tx))) return { outcome: 'stale-lease' }
    const write = change.apply(before, tx.now)
    if (!write) return { outcome: 'unchanged', row: before }
    if (!(yield* writeApproval(write.row, before.version))) continue
    const seq = write.row.state === 'pending' ? yield* waitOn(write.row, tx) : yield* close(write, change.expiresAt, tx)
    const told = toldOf(before, write.row)
    if (told) announceApproval(write.row, told, tx)
    audited(write.audit, tx, seq === null ? null : { jobId: write.row.jobId, seq })
    return { outcome: 'changed', row: write.row }
  }
}

/** The job is held first, as where it ends: in another order each would wait for the other. */
function* heldApproval(id: string, { dialect }: Tx): Plan<ApprovalRow | null> {
  const found = yield* approvalPlan(id)
  if (!found || dialect.held === '') return found
  yield* keepStill([found.jobId], dialect)
  return yield* approvalPlan(id)
}

/** What a webhook hears of this change; null for what is between the lines, like the first of two approvals. */
function toldOf(before: ApprovalRow, { state, requestedAt }: ApprovalRow): EventType | null {
  if (state === 'pending') return requestedAt === before.requestedAt ? null : 'approval.requested'
  if (state === before.state || state === 'withdrawn') return null
  return state === 'expired' ? 'approval.expired' : 'approval.decided'
}

function* holds(jobId: string, epoch: number, { dialect }: Tx): Plan<boolean> {
  const sql = `select 1 as held from live l where l.id = ?1 and l.epoch = ?2 and l.worker is not null${dialect.shared}`
  return (yield* one(sql, jobId, epoch)) !== undefined
}

/** Open, or open again: its job waits for it, and says how far it is. */
function* waitOn(row: ApprovalRow, tx: Tx): Plan<null> {
  const { jobId, key } = row
  yield* forgetStep(jobId, key)
  yield* put(
    `insert into waits (job_id, key, kind, name, due_at, child_id, created_at) values (?1, ?2, 'approval', ?3, ?4, null, ?5)
     on conflict (job_id, key) do update set due_at = excluded.due_at`,
    [[jobId, key, row.gate, wakeOf(row), row.requestedAt]],
  )
  const [live] = yield* holdLive([jobId], tx.dialect)
  if (!live) return null
  const shown = live.state === 'waiting' && live.why?.wait?.id === row.id
  const why = shown ? { ...live.why, wait: shownOf(row) } : live.why
  // `changed_at` stays: it is since when the job waits.
  yield* put('update live set ties = ?2, why = ?3, revision = revision + 1 where id = ?1', [
    [jobId, live.ties | TIES.waits, why && JSON.stringify(why)],
  ])
  tx.changes.push(touchOf({ ...live, why, revision: live.revision + 1 }))
  return null
}

/** @returns the seq of the job's history entry, null when the job did not move */
function* close(
  { row, actor, by, reason, details, stop }: ApprovalWrite,
  expiresAt: ApprovalChange['expiresAt'],
  tx: Tx,
): Plan<number | null> {
  const { id, jobId, key, state } = row
  const found = yield* one('select * from waits where job_id = ?1 and key = ?2', jobId, key)
  if (found) yield* recordValue(toWait(found), JSON.stringify({ is: 'value', value: { approval: id, state } }), tx.now)
  if (!stop) return yield* wakePlan({ jobId, kind: 'approval' }, actor, by, tx, details)
  const event: Event = { type: 'stopped', actor, reason, details, ...stop }
  const decide = (live: LiveJob, at: number) => transition(live, event, at)
  const [moved] = yield* tx.move([{ jobId, decide, ...(expiresAt ? { expiresAt } : {}) }], tx)
  return moved!.outcome === 'moved' ? moved!.decision.history.seq : null
}
