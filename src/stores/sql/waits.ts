/**
 * What jobs wait for: settling a wait once, and waking the job. Signals, timers, callbacks, approvals and
 * children all end the same way: the value becomes a recorded step, and the state machine says whether the job wakes.
 */

import type { Actor, LiveJob } from '../../core/job.js'
import { seqAfter, TIES } from '../../core/job.js'
import type { Json } from '../../core/json.js'
import { type Event, transition } from '../../core/lifecycle.js'
import type {
  CallbackAnswer,
  CallbackAnswered,
  CallbackRow,
  Settle,
  SettleAnswer,
  SignalAnswer,
  SignalRow,
  StepRow,
  WaitRow,
  WaitValue,
} from '../store.js'
import { audited } from './audit.js'
import { touchOf } from './changes.js'
import { holdLive, keepStill, readLive } from './live.js'
import { all, each, one, type Plan, put, type Row } from './plan.js'
import { actorOf, actorText } from './rows.js'
import { insertSteps } from './steps.js'
import type { Tx } from './tx.js'

const SYSTEM: Actor = { kind: 'system', id: 'engine' }

/** The oldest signal of this name that nobody has taken. */
export function* unread(wait: WaitRow): Plan<string | null> {
  if (wait.kind !== 'signal' && wait.kind !== 'callback') return null
  const name = wait.kind === 'signal' ? wait.name : `callback:${wait.key}`
  const mail = yield* one(
    'select signal_id, payload, actor from mailbox where job_id = ?1 and name = ?2 and taken_by is null order by seq limit 1',
    wait.jobId,
    name,
  )
  if (!mail) return null
  yield* take(wait, mail.signal_id)
  return valueText({ is: 'value', value: JSON.parse(mail.payload), by: actorOf(mail.actor) })
}

function* take(wait: Pick<WaitRow, 'jobId' | 'key'>, signalId: string): Plan<void> {
  yield* put('update mailbox set taken_by = ?3 where job_id = ?1 and signal_id = ?2', [
    [wait.jobId, signalId, wait.key],
  ])
}

const valueText = (value: WaitValue): string => JSON.stringify(value)

/** How a child ended, as its parent's value; null while it has not. */
export function* endOfChild(childId: string): Plan<string | null> {
  const row = yield* one(
    `select o.status, o.error, coalesce(o.result, b.data) as result from outcomes o
     left join blobs b on b.job_id = o.job_id and b.name = 'result' where o.job_id = ?1`,
    childId,
  )
  if (!row) return null
  const error = row.error === null ? null : JSON.parse(row.error)
  return valueText({
    is: 'child',
    id: childId,
    status: row.status,
    result: row.result === null ? null : JSON.parse(row.result),
    error: error && { code: error.code, message: error.message },
  })
}

export const toWait = (row: Row): WaitRow => ({
  jobId: row.job_id,
  key: row.key,
  kind: row.kind,
  name: row.name,
  dueAt: row.due_at,
  childId: row.child_id,
  createdAt: row.created_at,
})

/** The value becomes the step that the handler finds under this key; the wait is over. */
export function* recordValue(wait: WaitRow, value: string, now: number): Plan<void> {
  const live = yield* one<{ attempt: number }>('select attempt from live where id = ?1', wait.jobId)
  const row: StepRow = {
    key: wait.key,
    kind: wait.kind,
    attempt: live?.attempt ?? 0,
    seq: seqAfter(live?.attempt ?? 0),
    startedAt: wait.createdAt,
    endedAt: now,
    result: value,
    info: JSON.stringify({ name: wait.name, ...(wait.childId ? { child: wait.childId } : {}) }),
    effect: null,
    undo: null,
  }
  yield* put('delete from waits where job_id = ?1 and key = ?2', [[wait.jobId, wait.key]])
  yield* insertSteps([{ jobId: wait.jobId, row }])
}

/** Settles one wait and wakes its job. */
export function* settlePlan(settle: Settle, tx: Tx): Plan<SettleAnswer> {
  if (settle.tenant !== undefined) {
    const job = yield* one<{ tenant: string }>('select tenant from jobs where id = ?1', settle.jobId)
    if (job?.tenant !== settle.tenant) return 'not-found'
  }
  // It may be ending just now; then its waits are over, and nothing is recorded for it any more.
  yield* keepStill([settle.jobId], tx.dialect)
  const row = yield* one('select * from waits where job_id = ?1 and key = ?2', settle.jobId, settle.key)
  if (!row) return 'late'
  const wait = toWait(row)
  yield* recordValue(wait, settle.value, tx.now)
  const seq = yield* wakePlan(wait, settle.actor, settle.by, tx)
  if (settle.audit) audited(settle.audit, tx, seq === null ? null : { jobId: settle.jobId, seq })
  return 'settled'
}

/** How many milliseconds a wake may wait for further children of the same fan-out. */
const GATHER_MS = 1000

/**
 * Wakes a suspended job. While other children of it are under way it is woken a moment later, so that a fan-out of a
 * thousand is not replayed a thousand times; the last one wakes it at once.
 * @returns the seq of the history entry, null when it did not move
 */
export function* wakePlan(
  wait: Pick<WaitRow, 'jobId' | 'kind'>,
  actor: Actor,
  by: string,
  tx: Tx,
  details?: Json,
): Plan<number | null> {
  const { now, changes, dialect } = tx
  const [live] = yield* holdLive([wait.jobId], dialect)
  if (!live || live.state !== 'waiting' || live.waitKind === 'review') return null
  // While a pause holds no handler is replayed, so there is nothing to gather for.
  if (wait.kind === 'child' && live.waitKind !== 'pause') {
    const left = yield* one<{ n: number }>(
      `select count(*) as n from waits where job_id = ?1 and kind = 'child'`,
      wait.jobId,
    )
    const delay = Math.min(Number(left!.n), GATHER_MS)
    if (delay > 0) {
      const wakeAt = Math.min(live.wakeAt ?? Number.POSITIVE_INFINITY, now + delay)
      yield* put('update live set wake_at = ?2, revision = revision + 1 where id = ?1', [[live.id, wakeAt]])
      changes.push(touchOf({ ...live, wakeAt, revision: live.revision + 1 }))
      return null
    }
  }
  return yield* wakeNow(live, actor, by, tx, details)
}

function* wakeNow(known: LiveJob, actor: Actor, by: string, tx: Tx, details?: Json): Plan<number | null> {
  const event: Event = { type: 'woken', actor, by, ...(details ? { details } : {}) }
  const decide = (live: LiveJob, at: number) => transition(live, event, at)
  const [moved] = yield* tx.move([{ jobId: known.id, known, decide }], tx)
  return moved!.outcome === 'moved' ? moved!.decision.history.seq : null
}

/** Right after a job was suspended: what it waits for may be there already. */
export function* wakeIfSettled(live: LiveJob, keys: readonly string[], tx: Tx): Plan<void> {
  const row = yield* one<{ key: string }>(
    `select key from steps where job_id = ?2 and ${tx.dialect.inList('key', 1)} limit 1`,
    JSON.stringify(keys),
    live.id,
  )
  if (row) {
    const [current] = yield* readLive([live.id], tx.dialect)
    yield* wakeNow(current!, SYSTEM, row.key, tx)
  }
}

export function* signalPlan(signal: SignalRow, tx: Tx): Plan<SignalAnswer> {
  const { jobId, signalId, name, payload, actor } = signal
  // Whether its job waits for it must not change between the look and the write.
  yield* keepStill([jobId], tx.dialect)
  const job = yield* one(
    'select j.tenant, l.id as live, o.status from jobs j left join live l on l.id = j.id left join outcomes o on o.job_id = j.id where j.id = ?1',
    jobId,
  )
  if (!job || job.tenant !== signal.tenant) return { outcome: 'not-found' }
  const before = yield* one(
    'select name, payload, taken_by from mailbox where job_id = ?1 and signal_id = ?2',
    jobId,
    signalId,
  )
  if (before && (before.name !== name || before.payload !== payload)) return { outcome: 'conflict' }
  if (before) return { outcome: 'repeated', delivered: before.taken_by !== null }
  if (job.live === null) return { outcome: 'finished', status: job.status }
  const row = name.startsWith('callback:')
    ? yield* one(`select * from waits where job_id = ?1 and kind = 'callback' and key = ?2`, jobId, name.slice(9))
    : yield* one(
        `select * from waits where job_id = ?1 and kind = 'signal' and name = ?2 order by created_at, key limit 1`,
        jobId,
        name,
      )
  // What somebody waits for needs no room: a mailbox full of other signals must not keep it from its job.
  if (!row && (yield* unreadCount(jobId)) >= signal.limit) return { outcome: 'full' }
  // Instants are too coarse to say which signal came first.
  yield* put(
    `insert into mailbox (job_id, seq, signal_id, name, payload, actor, at, taken_by)
     select ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6, null from mailbox where job_id = ?1`,
    [[jobId, signalId, name, payload, actorText(actor), tx.now]],
  )
  if (!row) return { outcome: 'buffered' }
  const wait = toWait(row)
  yield* take(wait, signalId)
  yield* recordValue(wait, valueText({ is: 'value', value: JSON.parse(payload), by: actor }), tx.now)
  yield* wakePlan(wait, actor, `signal ${name}`, tx)
  return { outcome: 'delivered' }
}

function* unreadCount(jobId: string): Plan<number> {
  const row = yield* one<{ n: number }>(
    'select count(*) as n from mailbox where job_id = ?1 and taken_by is null',
    jobId,
  )
  return Number(row!.n)
}

/** One transaction uses the token up and delivers its value, so that neither is ever without the other. */
export function* answerCallbackPlan({ hash, answerHash, payload }: CallbackAnswer, tx: Tx): Plan<CallbackAnswered> {
  // Two that answer at once follow each other.
  const row = yield* callbackPlan(hash, tx.dialect.heldRow)
  if (!row) return 'not-found'
  if (row.usedAt !== null) return row.answerHash === answerHash ? 'repeated' : 'used'
  if (row.expiresAt <= tx.now) return 'expired'
  const { jobId, tenant, key } = row
  const name = `callback:${key}`
  const actor: Actor = { kind: 'system', id: 'callback' }
  const limit = Number.MAX_SAFE_INTEGER
  const mail: SignalRow = { jobId, tenant, name, signalId: name, payload, actor, limit }
  const { outcome } = yield* signalPlan(mail, tx)
  if (outcome !== 'delivered' && outcome !== 'buffered') return outcome === 'finished' ? 'finished' : 'not-found'
  yield* put('update callbacks set used_at = ?2, answer_hash = ?3 where hash = ?1', [[hash, tx.now, answerHash]])
  return 'answered'
}

/**
 * Before any of their waits is settled, and in one order: two that each end children of several parents, or a parent
 * that ends meanwhile, would wait for each other.
 */
export function* holdParents(children: readonly string[], { dialect }: Tx): Plan<void> {
  if (dialect.held === '' || children.length === 0) return
  const rows = yield* all<{ job_id: string }>(
    `select distinct job_id from waits where ${dialect.inList('child_id', 1)} order by job_id`,
    JSON.stringify(children),
  )
  yield* keepStill(
    rows.map(({ job_id }) => job_id),
    dialect,
  )
}

/** The waits for a child end with it, in the same transaction: its parent's, and those of jobs that asked for the same. */
export function* settleParent(child: LiveJob, tx: Tx): Plan<void> {
  if ((child.ties & TIES.parent) === 0) return
  const rows = yield* all('select * from waits where child_id = ?1 order by job_id', child.id)
  if (rows.length === 0) return
  const value = (yield* endOfChild(child.id))!
  for (const wait of rows.map(toWait)) {
    yield* recordValue(wait, value, tx.now)
    yield* wakePlan(wait, SYSTEM, `child ${child.id}`, tx)
  }
}

export function* dueWaitsPlan(now: number, limit: number): Plan<WaitRow[]> {
  return (yield* all('select * from waits where due_at <= ?1 order by due_at limit ?2', now, limit)).map(toWait)
}

export function* waitsPlan(jobId: string): Plan<WaitRow[]> {
  return (yield* all('select * from waits where job_id = ?1 order by created_at, key', jobId)).map(toWait)
}

export function* callbackPlan(hash: string, held = ''): Plan<CallbackRow | null> {
  const [row] = yield* each(`select * from callbacks where hash = ?1${held}`, [[hash]])
  return row
    ? {
        hash: row.hash,
        tenant: row.tenant,
        jobId: row.job_id,
        key: row.key,
        expiresAt: row.expires_at,
        usedAt: row.used_at,
        answerHash: row.answer_hash,
      }
    : null
}
