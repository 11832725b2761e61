/**
 * Failures as rows: counted in the transaction that ends the attempt, one row per fingerprint, and one per job that met
 * it. Jobs without errors pay nothing. What a failure means is decided elsewhere.
 */
import type { FailureFilter, FailureRow, FailureSeen, FailureStore } from '../failures.js'
import { all, hold, one, type Plan, put, run, type Value } from './plan.js'
import type { Lent, Tx } from './tx.js'

/** Kept per tenant and type; what was not seen for the longest is forgotten for what is new. */
const KEPT = 1000

/** An error that an attempt of a job met. */
export interface Met {
  jobId: string
  failure: FailureSeen
}

const nameOf = ({ failure: { tenant, fingerprint } }: Met): string => `failure/${tenant}/${fingerprint}`

/** At the end of the transaction: in their crowds they would keep those waiting who hold what others need. */
export function* writeFailures({ failures: met, dialect }: Tx): Plan<void> {
  if (met.length === 0) return
  // Whether an input is a new one is asked before it is counted. In one order: failures come in crowds, from everywhere.
  yield* hold([...new Set(met.map(nameOf))], dialect)
  for (const { jobId, failure } of met) yield* countFailure(jobId, failure)
}

/** Before the names: who changes a rule holds its row and then writes its entry in the audit trail. */
export function* writeUses({ failures }: Tx): Plan<void> {
  const used = failures.flatMap(({ failure: { tenant, taught, at } }) =>
    taught === null ? [] : [{ tenant, taught, at }],
  )
  // In one order everywhere, so that two never wait for each other.
  used.sort((a, b) => (a.tenant === b.tenant ? a.taught - b.taught : a.tenant < b.tenant ? -1 : 1))
  yield* put(
    'update rules set used = used + 1, last_used_at = ?3 where tenant = ?1 and id = ?2',
    used.map(({ tenant, taught, at }) => [tenant, taught, at]),
  )
}

function* countFailure(jobId: string, failure: FailureSeen): Plan<void> {
  const { tenant, type, fingerprint, input, attempt, at, facts } = failure
  const seen = yield* one<{ known: number; input: number }>(
    `select exists (select 1 from failures where tenant = ?1 and fingerprint = ?2) as known,
       exists (select 1 from failure_jobs where tenant = ?1 and fingerprint = ?2 and input = ?3) as input`,
    ...[tenant, fingerprint, input],
  )
  if (!seen!.known) yield* makeRoom(tenant, type)
  const [newJob] = yield* run(
    'insert into failure_jobs (tenant, fingerprint, job_id, input) values (?1, ?2, ?3, ?4) on conflict do nothing',
    [[tenant, fingerprint, jobId, input]],
  )
  const newInput = seen!.input ? 0 : 1
  yield* put(
    `insert into failures (tenant, fingerprint, type, count, jobs, inputs, first_at, last_at, job_id, attempt, facts)
     values (?1, ?2, ?3, 1, 1, 1, ?4, ?4, ?5, ?6, ?7) on conflict (tenant, fingerprint) do update set
       count = failures.count + 1, jobs = failures.jobs + ?8, inputs = failures.inputs + ?9,
       last_at = excluded.last_at, job_id = excluded.job_id, attempt = excluded.attempt, facts = excluded.facts`,
    [[tenant, fingerprint, type, at, jobId, attempt, JSON.stringify(facts), newJob!, newInput]],
  )
}

function* makeRoom(tenant: string, type: string): Plan<void> {
  const old = yield* all<{ fingerprint: string }>(
    'select fingerprint from failures where tenant = ?1 and type = ?2 order by last_at desc, fingerprint limit 1000000 offset ?3',
    ...[tenant, type, KEPT - 1],
  )
  const keys = old.map(({ fingerprint }) => [tenant, fingerprint])
  yield* put('delete from failure_jobs where tenant = ?1 and fingerprint = ?2', keys)
  yield* put('delete from failures where tenant = ?1 and fingerprint = ?2', keys)
}

function failureOf(row: Record<string, any>): FailureRow {
  return {
    ...{ tenant: row.tenant, type: row.type, fingerprint: row.fingerprint },
    ...{ count: row.count, jobs: row.jobs, inputs: row.inputs, firstAt: row.first_at, lastAt: row.last_at },
    example: { jobId: row.job_id, attempt: row.attempt, facts: JSON.parse(row.facts) },
  }
}

function* listPlan({ tenant, types, since, limit, after }: FailureFilter): Plan<FailureRow[]> {
  const params: Value[] = []
  const bind = (value: Value) => `?${params.push(value)}`
  const where = [`tenant = ${bind(tenant)}`]
  if (types) {
    const each = types.map((type) => {
      if (!type.endsWith('*')) return `type = ${bind(type)}`
      const prefix = type.slice(0, -1)
      return `substr(type, 1, ${bind(prefix.length)}) = ${bind(prefix)}`
    })
    where.push(`(${each.join(' or ')})`)
  }
  if (since !== undefined) where.push(`last_at >= ${bind(since)}`)
  if (after) {
    const at = bind(after.lastAt)
    where.push(`(last_at < ${at} or (last_at = ${at} and fingerprint > ${bind(after.fingerprint)}))`)
  }
  const sql = `select * from failures where ${where.join(' and ')} order by last_at desc, fingerprint limit ${bind(limit)}`
  return (yield* all(sql, ...params)).map(failureOf)
}

function* getPlan(tenant: string, fingerprint: string): Plan<FailureRow | null> {
  const row = yield* one('select * from failures where tenant = ?1 and fingerprint = ?2', tenant, fingerprint)
  return row ? failureOf(row) : null
}

function* recentPlan(
  { tenant, type, fingerprint }: Pick<FailureRow, 'tenant' | 'type' | 'fingerprint'>,
  limit: number,
): Plan<{ jobs: number; met: number }> {
  const row = yield* one<{ jobs: number; met: number }>(
    `select count(*) as jobs, coalesce(sum(case when exists (
         select 1 from failure_jobs f where f.tenant = ?1 and f.fingerprint = ?3 and f.job_id = j.id) then 1 else 0 end), 0) as met
       from (select id from jobs where tenant = ?1 and type = ?2 order by id desc limit ?4) j`,
    ...[tenant, type, fingerprint, limit],
  )
  return { jobs: Number(row!.jobs), met: Number(row!.met) }
}

export function failuresOf({ read }: Lent): FailureStore {
  return {
    list: (filter) => read(() => listPlan(filter)),
    get: (tenant, fingerprint) => read(() => getPlan(tenant, fingerprint)),
    recent: (failure, limit) => read(() => recentPlan(failure, limit)),
  }
}
