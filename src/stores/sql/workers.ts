/** Workers and the child processes they left: plain rows. Who is dead is decided by the lease that was written. */
import type { AuditDraft } from '../../core/history.js'
import type { ProcessRow, Store, WorkerLoad, WorkerRow } from '../store.js'
import { audited } from './audit.js'
import { operationFirst } from './ledger.js'
import { all, one, type Plan, put, type Row, run } from './plan.js'
import type { Lent, Tx } from './tx.js'

/** A worker that lost its lease goes on under a new id: what was asked of it under the old one still holds. */
const STATE = `case when ?7 = 'up' and exists (select 1 from workers w where w.boot = ?2 and w.state = 'draining') then 'draining' else ?7 end`
const BEAT = `insert into workers (id, boot, host, pid, started_at, lease_until, state, serves) values (?1, ?2, ?3, ?4, ?5, ?6, ${STATE}, ?8)
  on conflict (id) do update set lease_until = excluded.lease_until, state = excluded.state, serves = excluded.serves where workers.state <> 'gone'
  returning state`

function* beatPlan(worker: WorkerRow): Plan<WorkerRow['state']> {
  const { id, boot, host, pid, startedAt, leaseUntil, state, serves } = worker
  const row = [id, boot, host, pid, startedAt, leaseUntil, state, serves === null ? null : JSON.stringify(serves)]
  return (yield* one<Pick<WorkerRow, 'state'>>(BEAT, ...row))?.state ?? 'gone'
}

function* drainPlan(id: string, audit: AuditDraft, tx: Tx): Plan<WorkerRow | null> {
  const asked = (yield* run(`update workers set state = 'draining' where id = ?1 and state = 'up'`, [[id]]))[0] === 1
  const row = yield* one('select * from workers where id = ?1', id)
  if (asked) audited(audit, tx)
  return row ? workerOf(row) : null
}

const workerOf = (row: Row): WorkerRow => ({
  id: row.id,
  boot: row.boot,
  host: row.host,
  pid: row.pid,
  startedAt: row.started_at,
  leaseUntil: row.lease_until,
  state: row.state,
  serves: row.serves === null ? null : JSON.parse(row.serves),
})

function* workersPlan(): Plan<WorkerRow[]> {
  return (yield* all('select * from workers order by started_at, id')).map(workerOf)
}

const LOAD = `select worker, lane, count(*) as running, min(attempt_at) as oldest_at from live where worker is not null group by worker, lane`

function* loadPlan(): Plan<WorkerLoad[]> {
  return (yield* all(LOAD)).map(({ worker, lane, running, oldest_at }) => ({
    ...{ worker, lane, running: Number(running), oldestAt: Number(oldest_at) },
  }))
}

const LEASE = `insert into leases (name, holder, until) values (?1, ?2, ?3)
  on conflict (name) do update set holder = excluded.holder, until = excluded.until where leases.holder = excluded.holder or leases.until <= ?4`

function* straysPlan(now: number): Plan<ProcessRow[]> {
  const rows = yield* all(
    `select * from processes p where not exists (select 1 from workers w where w.id = p.worker and w.state <> 'gone' and w.lease_until > ?1)`,
    now,
  )
  return rows.map((row) => ({
    jobId: row.job_id,
    pgid: row.pgid,
    startTime: row.start_time,
    bootId: row.boot_id,
    worker: row.worker,
  }))
}

export function workersOf({ read, write, alone, now }: Lent): Store['workers'] {
  return {
    // What others wait for must not cost a worker its lease.
    beat: (worker) => alone(() => beatPlan(worker)),
    drain: (id, audit) => write((tx) => drainPlan(id, audit, tx)),
    list: () => read(workersPlan),
    load: () => read(loadPlan),
    lead: (name, holder, ms) =>
      write(function* ({ now }) {
        return (yield* run(LEASE, [[name, holder, now + ms, now]]))[0] === 1
      }),
    first: (name) => write(({ now }) => operationFirst('', name, now)),
    addProcess: (row) =>
      write(function* () {
        yield* put(
          'insert into processes (job_id, pgid, start_time, boot_id, worker) values (?1, ?2, ?3, ?4, ?5) on conflict do nothing',
          [[row.jobId, row.pgid, row.startTime, row.bootId, row.worker]],
        )
      }),
    removeProcess: (jobId, pgid) =>
      write(function* () {
        yield* put('delete from processes where job_id = ?1 and pgid = ?2', [[jobId, pgid]])
      }),
    strays: () => {
      const at = now()
      return read(() => straysPlan(at))
    },
  }
}
