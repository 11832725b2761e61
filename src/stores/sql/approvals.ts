/**
 * Rows of approvals: stored with the attempt that asks, listed for the inbox, taken back when their job ends. How one
 * changes is in decide.ts.
 */
import type { ApprovalRow } from '../../core/approval.js'
import { withdraw } from '../../core/approval-expire.js'
import type { ApprovalFilter } from '../store.js'
import { all, type Dialect, one, type Plan, put, run, type Value } from './plan.js'

type Body = { body: string }
const rowOf = ({ body }: Body): ApprovalRow => JSON.parse(body)

/** The body has everything; the columns beside it are what is searched by. */
const UPDATE = `update approvals set risk = ?3, state = ?4, due_at = ?5, requested_at = ?6, assignees = ?7, version = ?8, body = ?9 where id = ?1 and version = ?2`
const changing = (row: ApprovalRow): Value[] => [
  ...[row.risk, row.state, row.dueAt, row.requestedAt, JSON.stringify(row.assignees), row.version],
  JSON.stringify(row),
]

/** A key of a job is asked once; whoever asks again changes the row that is there. */
export function* addApprovals(rows: readonly ApprovalRow[]): Plan<void> {
  // What another job recorded under this key (a replay takes over steps) is no answer here.
  for (const { jobId, key, state } of rows) if (state === 'pending') yield* forgetStep(jobId, key)
  yield* put(
    'insert into approvals (id, tenant, job_id, job_type, key, gate, risk, state, due_at, requested_at, assignees, version, body) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)',
    rows.map((row) => [row.id, row.tenant, row.jobId, row.jobType, row.key, row.gate, ...changing(row)]),
  )
}

/** @returns whether the row was still as it had been read */
export function* writeApproval(row: ApprovalRow, before: number): Plan<boolean> {
  return (yield* run(UPDATE, [[row.id, before, ...changing(row)]]))[0] === 1
}

export function* forgetStep(jobId: string, key: string): Plan<void> {
  yield* put(`delete from steps where job_id = ?1 and key = ?2 and kind = 'approval'`, [[jobId, key]])
}

/** The job ends: what nobody has decided yet is taken back. */
export function* withdrawPlan(jobId: string, reason: string, now: number): Plan<void> {
  const rows = yield* all<Body>(`select body from approvals where job_id = ?1 and state = 'pending'`, jobId)
  for (const row of rows.map(rowOf)) yield* writeApproval(withdraw(row, reason, now)!, row.version)
}

export function* approvalPlan(id: string): Plan<ApprovalRow | null> {
  const row = yield* one<Body>('select body from approvals where id = ?1', id)
  return row ? rowOf(row) : null
}

export function* approvalsOfPlan(jobId: string): Plan<ApprovalRow[]> {
  const rows = yield* all<Body>('select body from approvals where job_id = ?1', jobId)
  return rows.map(rowOf).sort((a, b) => a.requestedAt - b.requestedAt || a.round - b.round || (a.key < b.key ? -1 : 1))
}

const ORDER = {
  dueAt: { column: 'due_at', after: '>', by: 'due_at, id' },
  '-requestedAt': { column: 'requested_at', after: '<', by: 'requested_at desc, id desc' },
} as const

export function* approvalsPlan(filter: ApprovalFilter, dialect: Dialect): Plan<ApprovalRow[]> {
  const params: Value[] = []
  const bind = (value: Value) => `?${params.push(value)}`
  const oneOf = (column: string, values: readonly string[]) => `${column} in (${values.map(bind).join(', ')})`
  const where = [`tenant = ${bind(filter.tenant)}`]
  const { states, risks, types, gate, jobId, assignees, order, after } = filter
  if (states?.length) where.push(oneOf('state', states))
  if (risks?.length) where.push(oneOf('risk', risks))
  if (types?.length) {
    const patterns = types.map((type) =>
      type.endsWith('*')
        ? `substr(job_type, 1, ${bind(type.length - 1)}) = ${bind(type.slice(0, -1))}`
        : `job_type = ${bind(type)}`,
    )
    where.push(`(${patterns.join(' or ')})`)
  }
  if (gate !== undefined) where.push(`gate = ${bind(gate)}`)
  if (jobId !== undefined) where.push(`job_id = ${bind(jobId)}`)
  // A JSON array of texts; a quoted name is found in it as it stands.
  if (assignees?.length)
    where.push(`(${assignees.map((group) => dialect.contains('assignees', bind(JSON.stringify(group)))).join(' or ')})`)
  const { column, after: comes, by } = ORDER[order]
  if (after) where.push(`(${column}, id) ${comes} (${bind(after.value)}, ${bind(after.id)})`)
  const rows = yield* all<Body>(
    `select body from approvals where ${where.join(' and ')} order by ${by} limit ${bind(filter.limit)}`,
    ...params,
  )
  return rows.map(rowOf)
}
