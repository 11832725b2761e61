/** Workers and the child processes they left: plain rows. Who is dead is decided by the lease that was written. */
import type { ProcessRow, Store, WorkerRow } from '../store.js'
import { operationFirst } from './ledger.js'
import { all, type Plan, put, run } from './plan.js'
import type { Tx } from './tx.js'

/** What the store lends to the groups of its methods. */
export interface Lent {
  read<T>(plan: () => Plan<T>): Promise<T>
  write<T>(plan: (tx: Tx) => Plan<T>): Promise<T>
  now(): number
}

const BEAT = `insert into workers (id, boot, host, pid, started_at, lease_until, state, serves) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
  on conflict (id) do update set lease_until = excluded.lease_until, state = excluded.state, serves = excluded.serves where workers.state <> 'gone'`

function* beatPlan(worker: WorkerRow): Plan<boolean> {
  const { id, boot, host, pid, startedAt, leaseUntil, state, serves } = worker
  const row = [id, boot, host, pid, startedAt, leaseUntil, state, serves === null ? null : JSON.stringify(serves)]
  return (yield* run(BEAT, [row]))[0] === 1
}

function* workersPlan(): Plan<WorkerRow[]> {
  const rows = yield* all('select * from workers order by started_at')
  return rows.map((row) => ({
    id: row.id,
    boot: row.boot,
    host: row.host,
    pid: row.pid,
    startedAt: row.started_at,
    leaseUntil: row.lease_until,
    state: row.state,
    serves: row.serves === null ? null : JSON.parse(row.serves),
  }))
}

const LEASE = `insert into leases (name, holder, until) values (?1, ?2, ?3)
  on conflict (name) do update set holder = excluded.holder, until = excluded.until where leases.holder = excluded.holder or leases.until <= ?4`

function* straysPlan(now: number): Plan<ProcessRow[]> {
  const rows = yield* all(
    `select * from processes p where not exists (select 1 from workers w where w.id = p.worker and w.state <> 'gone' and w.lease_until > ?1)`,
    now,
  )
  return rows.map((row) => ({ jobId: row.job_id, pgid: row.pgid, startTime: row.start_time, bootId: row.boot_id }))
}

export function workersOf({ read, write, now }: Lent): Store['workers'] {
  return {
    beat: (worker) => write(() => beatPlan(worker)),
    list: () => read(workersPlan),
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
