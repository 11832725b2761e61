/**
 * Reading: one job, lists, groups, and what belongs to a job. Every statement that a caller's request reaches names the tenant.
 */
import { type LiveJob, STATUSES, type Status } from '../../core/job.js'
import { isFinal } from '../../core/lifecycle.js'
import type {
  Change,
  GroupSummary,
  JobFilter,
  LogRow,
  ProgressRow,
  StepRow,
  StoredHistory,
  StoredJob,
  Tombstone,
  WarningRow,
} from '../store.js'
import { changeOf, endedOf } from './changes.js'
import { latestResolution } from './ledger.js'
import { heldByPlan } from './limits.js'
import { all, type Dialect, one, type Plan, type Tuple, unpack, type Value } from './plan.js'
import {
  actorPrefix,
  attemptOf,
  historyOf,
  JOB_COLUMNS,
  JOB_WIDTH,
  jobOf,
  LIVE_COLUMNS,
  LIVE_WIDTH,
  liveOf,
  OUTCOME_COLUMNS,
  OUTCOME_WIDTH,
  outcomeOf,
} from './rows.js'

const FROM =
  'from jobs j left join live l on l.id = j.id left join outcomes o on o.job_id = j.id left join progress p on p.job_id = j.id'
const PROGRESS =
  'p.stage, p.message, p.completed, p.total, p.unit, p.updated_at, p.iterations_completed, p.iterations_total'
/** What hangs on a job in other tables: the replay that replaced it, and whether there are warnings. Indexed probes. */
const NOTES = `(select max(r.id) from jobs r where r.replay_of = j.id), (select count(*) from warnings w where w.job_id = j.id), (select max(k.other_id) from links k where k.job_id = j.id and k.kind = 'compensated-by'), (select max(r.at) from resolutions r where r.job_id = j.id)`
const AT = { live: JOB_WIDTH, outcome: JOB_WIDTH + LIVE_WIDTH, progress: JOB_WIDTH + LIVE_WIDTH + OUTCOME_WIDTH }
const columns = (dialect: Dialect) =>
  `${dialect.tuple(`${JOB_COLUMNS}, ${LIVE_COLUMNS}, ${OUTCOME_COLUMNS}, ${PROGRESS}, ${NOTES}`)} as t`

/** At most so many warnings are shown (http-contract 2.7). */
const WARNINGS_MAX = 100

export function* findPlan(id: string, values: number, dialect: Dialect): Plan<StoredJob | Tombstone | null> {
  const row = yield* one<{ t: unknown; input: string | null; result: string | null }>(
    `select ${columns(dialect)}, j.input, o.result ${FROM} where j.id = ?1`,
    id,
  )
  if (!row) return yield* tombstone(id)
  const job = yield* storedOf(unpack(row.t), row.input ?? (yield* blob(id, 'input')) ?? 'null', row.result)
  const { outcome } = job
  if (outcome && outcome.resultBytes > values) outcome.result = null
  else if (outcome && outcome.result === null && outcome.resultBytes > 0) outcome.result = yield* blob(id, 'result')
  return job
}

function* blob(jobId: string, name: string): Plan<string | null> {
  return (
    (yield* one<{ data: string }>('select data from blobs where job_id = ?1 and name = ?2', jobId, name))?.data ?? null
  )
}

function* tombstone(id: string): Plan<Tombstone | null> {
  const row = yield* one('select * from tombstones where job_id = ?1', id)
  return row
    ? {
        jobId: row.job_id,
        tenant: row.tenant,
        type: row.type,
        status: row.status,
        finishedAt: row.finished_at,
        expiredAt: row.expired_at,
      }
    : null
}

function* storedOf(t: Tuple, input: string, result: string | null): Plan<StoredJob> {
  const p = AT.progress
  const record = jobOf(t, input)
  const live = t[AT.live] === null ? null : liveOf(t, AT.live)
  return {
    record,
    live,
    outcome: t[AT.outcome] === null ? null : outcomeOf(t, AT.outcome, result),
    progress: t[p + 5] === null ? null : progressOf(t, p),
    supersededBy: t[p + 8],
    warnings: t[p + 9] > 0 ? yield* warningsOf(t[0]) : [],
    compensatedBy: t[p + 10],
    resolution: t[p + 11] === null ? null : yield* latestResolution(t[0]),
    ...(live !== null && live.held !== null ? { heldBy: yield* heldByPlan(record, live) } : {}),
  }
}

function progressOf(t: Tuple, p: number): ProgressRow {
  const iterations = t[p + 6] === null ? null : { completed: t[p + 6], total: t[p + 7] }
  return {
    ...{ stage: t[p], message: t[p + 1], completed: t[p + 2], total: t[p + 3], unit: t[p + 4], updatedAt: t[p + 5] },
    iterations,
  }
}

function* warningsOf(id: string): Plan<WarningRow[]> {
  const rows = yield* all(
    'select code, step, message, at, rule from warnings where job_id = ?1 order by at, code limit ?2',
    id,
    WARNINGS_MAX,
  )
  return rows.map(({ code, message, step, at, rule }) => ({
    ...{ code, message, step: step || null, at },
    ...(rule === null ? {} : { rule }),
  }))
}

/** Jobs as a change notice would tell of them: for those who may have missed one. */
export function* lookPlan(ids: readonly string[], dialect: Dialect): Plan<Change[]> {
  const list = JSON.stringify(ids)
  const lives = yield* livesPlan(dialect.inList('l.id', 1), [list], dialect)
  const ended = yield* all(
    `select j.id, j.tenant, j.type, j.group_id, o.status, o.version, o.revision from outcomes o join jobs j on j.id = o.job_id where ${dialect.inList('o.job_id', 1)}`,
    list,
  )
  const done = ended.map((row) => endedOf(row, row.revision))
  return [...lives.map((live) => changeOf(live)), ...done]
}

/** How a job ended; `gone` for one that is neither finished nor unfinished; null while it is under way. */
export function* endedPlan(id: string): Plan<Status | 'gone' | null> {
  const row = yield* one<{ status: Status | null; live: number }>(
    'select (select status from outcomes where job_id = ?1) as status, (select count(*) from live where id = ?1) as live',
    id,
  )
  return row!.status ?? (Number(row!.live) > 0 ? null : 'gone')
}

/** SQL for each public status over (l, o); the words are defined by statusOf in core, asserted equal by the conformance suite. */
const STATUS_SQL: Record<Status, string> = {
  accepted: `(l.started_at is null and (l.state = 'queued' or l.wait_kind = 'pause'))`,
  processing: `(l.state in ('running', 'cancelling', 'compensating') or (l.state = 'queued' and l.started_at is not null) or (l.state = 'waiting' and l.wait_kind in ('timer', 'child')))`,
  blocked: `(l.state = 'waiting' and l.wait_kind not in ('timer', 'child') and (l.started_at is not null or l.wait_kind <> 'pause'))`,
  completed: `o.status = 'completed'`,
  failed: `o.status = 'failed'`,
  cancelled: `o.status = 'cancelled'`,
}

const ORDER: Record<JobFilter['order'], { value: string; direction: 'asc' | 'desc'; id: string }> = {
  createdAt: { value: 'j.created_at', direction: 'asc', id: 'j.id' },
  '-createdAt': { value: 'j.created_at', direction: 'desc', id: 'j.id' },
  '-updatedAt': { value: 'coalesce(l.changed_at, o.finished_at)', direction: 'desc', id: 'j.id' },
  '-finishedAt': { value: 'o.finished_at', direction: 'desc', id: 'o.job_id' },
}

export function* listPlan(filter: JobFilter, now: number, dialect: Dialect): Plan<StoredJob[]> {
  const where: string[] = []
  const params: Value[] = []
  const bind = (value: Value) => `?${params.push(value)}`
  where.push(`j.tenant = ${bind(filter.tenant)}`)
  // Drive from the smallest table that can hold the answer: unfinished jobs from `live`, unhappy ends from `outcomes`.
  let from = FROM
  let id = ORDER[filter.order].id
  if (filter.statuses?.length) where.push(`(${filter.statuses.map((status) => STATUS_SQL[status]).join(' or ')})`)
  const every = (is: (status: Status) => boolean) => filter.statuses?.length && filter.statuses.every(is)
  if (filter.order === '-finishedAt' || every((status) => status === 'failed' || status === 'cancelled')) {
    from = from
      .replace('from jobs j', 'from outcomes o join jobs j on j.id = o.job_id')
      .replace(' left join outcomes o on o.job_id = j.id', '')
  } else if (every((status) => !isFinal(status as never))) {
    from = from.replace('from jobs j left join live l on l.id = j.id', 'from live l join jobs j on j.id = l.id')
    // In the order of the table that is read first, so that nothing is sorted.
    if (filter.order === 'createdAt' || filter.order === '-createdAt') id = 'l.id'
  }
  if (filter.ids !== undefined) where.push(dialect.inList('j.id', params.push(JSON.stringify(filter.ids))))
  if (filter.types?.length) {
    const exact = filter.types.filter((type) => !type.endsWith('*'))
    const prefixes = filter.types.filter((type) => type.endsWith('*')).map((type) => type.slice(0, -1))
    where.push(
      `(${[...(exact.length ? [`j.type in (${exact.map(bind).join(', ')})`] : []), ...prefixes.map((prefix) => `substr(j.type, 1, ${bind(prefix.length)}) = ${bind(prefix)}`)].join(' or ')})`,
    )
  }
  if (filter.groupId !== undefined) where.push(`j.group_id = ${bind(filter.groupId)}`)
  if (filter.operationKey !== undefined) where.push(`j.operation_key = ${bind(filter.operationKey)}`)
  if (filter.parentId !== undefined) where.push(`j.parent_id = ${bind(filter.parentId)}`)
  if (filter.tag !== undefined)
    where.push(
      `exists (select 1 from tags t where t.tenant = j.tenant and t.tag = ${bind(filter.tag)} and t.job_id = j.id)`,
    )
  if (filter.schedule !== undefined)
    where.push(
      `j.id in (select f.job_id from firings f where f.tenant = ${bind(filter.tenant)} and f.schedule_id = ${bind(filter.schedule)})`,
    )
  if (filter.createdBy !== undefined) {
    const prefix = actorPrefix(filter.createdBy)
    where.push(`j.created_by >= ${bind(`${prefix}:`)} and j.created_by < ${bind(`${prefix};`)}`)
  }
  if (filter.createdAfter !== undefined) where.push(`j.created_at > ${bind(filter.createdAfter)}`)
  if (filter.createdBefore !== undefined) where.push(`j.created_at < ${bind(filter.createdBefore)}`)
  if (filter.updatedAfter !== undefined) {
    // Whoever asks by end gets ended jobs only, and their index.
    const changed = filter.order === '-finishedAt' ? 'o.finished_at' : 'coalesce(l.changed_at, o.finished_at)'
    where.push(`${changed} > ${bind(filter.updatedAfter)}`)
  }
  if (filter.late !== undefined)
    where.push(
      filter.late
        ? `(l.late_at is not null or l.escalate_at <= ${bind(now)})`
        : `(l.late_at is null and (l.escalate_at is null or l.escalate_at > ${bind(now)}))`,
    )
  if (filter.origin !== undefined)
    where.push(`exists (select 1 from attempts a where a.origin = ${bind(filter.origin)} and a.job_id = j.id)`)
  const decided = [
    ...(filter.model !== undefined ? [`d.model = ${bind(filter.model)}`] : []),
    ...(filter.modelVersion !== undefined ? [`d.model_version = ${bind(filter.modelVersion)}`] : []),
    // Tools are a JSON array of texts; a quoted name is found in it as it stands.
    ...(filter.tool !== undefined ? [dialect.contains('d.tools', bind(JSON.stringify(filter.tool)))] : []),
  ]
  if (decided.length > 0)
    where.push(`exists (select 1 from decisions d where d.job_id = j.id and ${decided.join(' and ')})`)
  if (filter.needsAttention !== undefined) {
    const attention = `(${STATUS_SQL.blocked} or l.late_at is not null or l.escalate_at <= ${bind(now)} or (o.status = 'failed' and not exists (select 1 from jobs r where r.replay_of = j.id) and not exists (select 1 from resolutions r where r.job_id = j.id)))`
    where.push(filter.needsAttention ? attention : `not coalesce(${attention}, false)`)
  }
  const { value, direction } = ORDER[filter.order]
  const comes = direction === 'asc' ? '>' : '<'
  // Ids are time-ordered (UUIDv7), so creation order is the primary key's order and needs no sort.
  const byCreation = filter.order === 'createdAt' || filter.order === '-createdAt'
  if (filter.after)
    where.push(
      byCreation
        ? `${id} ${comes} ${bind(filter.after.id)}`
        : `(${value}, ${id}) ${comes} (${bind(filter.after.value)}, ${bind(filter.after.id)})`,
    )
  const order = byCreation ? `${id} ${direction}` : `${value} ${direction}, ${id} ${direction}`
  const rows = yield* all<{ t: unknown }>(
    `select ${columns(dialect)} ${from} where ${where.join(' and ')} order by ${order} limit ${bind(filter.limit)}`,
    ...params,
  )
  const jobs: StoredJob[] = []
  for (const row of rows) jobs.push(yield* storedOf(unpack(row.t), 'null', null))
  return jobs
}

export function* groupPlan(tenant: string, groupId: string): Plan<GroupSummary | null> {
  const cases = STATUSES.map((status) => `sum(case when ${STATUS_SQL[status]} then 1 else 0 end) as ${status}`).join(
    ', ',
  )
  const row = yield* one(
    `select count(*) as total, min(j.created_at) as first, max(coalesce(l.changed_at, o.finished_at)) as last, ${cases}
     from jobs j left join live l on l.id = j.id left join outcomes o on o.job_id = j.id where j.tenant = ?1 and j.group_id = ?2`,
    tenant,
    groupId,
  )
  if (!row || Number(row.total) === 0) return null
  const latest = yield* all<{ type: string; id: string }>(
    'select type, max(id) as id from jobs where tenant = ?1 and group_id = ?2 group by type',
    tenant,
    groupId,
  )
  const counts = Object.fromEntries(STATUSES.map((status) => [status, Number(row[status])])) as Record<Status, number>
  return {
    groupId,
    counts,
    total: Number(row.total),
    firstCreatedAt: row.first,
    lastUpdatedAt: row.last,
    latestByType: Object.fromEntries(latest.map(({ type, id }) => [type, id])),
  }
}

/** @param rest what follows `where`, over `live l` */
export function* livesPlan(rest: string, params: readonly Value[], dialect: Dialect): Plan<LiveJob[]> {
  const sql = `select ${dialect.tuple(LIVE_COLUMNS)} as t from live l where ${rest}`
  return (yield* all<{ t: unknown }>(sql, ...params)).map((row) => liveOf(unpack(row.t)))
}

export function* stepsPlan(jobId: string): Plan<StepRow[]> {
  const rows = yield* all(
    'select key, kind, attempt, seq, started_at, ended_at, result, bytes, info, effect, undo from steps where job_id = ?1 order by seq, ended_at, key',
    jobId,
  )
  const steps: StepRow[] = []
  for (const row of rows) {
    const result = row.result === null && row.bytes > 0 ? yield* blob(jobId, `step:${row.key}`) : row.result
    steps.push({
      key: row.key,
      kind: row.kind,
      attempt: row.attempt,
      seq: row.seq,
      startedAt: row.started_at,
      endedAt: row.ended_at,
      result,
      info: row.info,
      effect: row.effect,
      undo: row.undo,
    })
  }
  return steps
}

export function* attemptsPlan(jobId: string) {
  return (yield* all('select * from attempts where job_id = ?1 order by epoch', jobId)).map(attemptOf)
}

export function* historyPlan(
  jobId: string,
  after: number,
  limit: number,
): Plan<{ entries: StoredHistory[]; before: StoredHistory | null }> {
  const rows = yield* all(
    `select h.*, a.hash, a.prev_hash from history h left join audit a on a.job_id = h.job_id and a.job_seq = h.seq where h.job_id = ?1 and h.seq >= ?2 order by h.seq limit ?3`,
    jobId,
    after,
    limit + 1,
  )
  const all_ = rows.map(historyOf)
  const before = all_[0] && all_[0].seq <= after ? all_.shift()! : null
  return { entries: all_.slice(0, limit), before }
}

export function* logsPlan(jobId: string, after: number, limit: number): Plan<{ id: number; row: LogRow }[]> {
  const rows = yield* all('select * from logs where job_id = ?1 and id > ?2 order by id limit ?3', jobId, after, limit)
  return rows.map((row) => ({
    id: row.id,
    row: { at: row.at, attempt: row.attempt, level: row.level, message: row.message, data: row.data },
  }))
}

/** The latest completed jobs, newest first, grouped by type; read once at start to know what is usual. */
export function* durationsPlan(perType: number): Plan<Map<string, number[]>> {
  const rows = yield* all<{ type: string; ms: number }>(
    `select j.type, o.finished_at - case when j.run_at > j.created_at then j.run_at else j.created_at end as ms from outcomes o join jobs j on j.id = o.job_id where o.status = 'completed' order by o.job_id desc limit ?1`,
    perType * 20,
  )
  const found = new Map<string, number[]>()
  for (const { type, ms } of rows) {
    const list = found.get(type) ?? []
    if (list.length < perType) list.push(ms)
    found.set(type, list)
  }
  return found
}

/** Numbers for `doctor`. */
export function* countsPlan(): Plan<Record<'unfinished' | 'running' | 'finished', number>> {
  const counts = (yield* one(
    `select (select count(*) from live) as unfinished, (select count(*) from outcomes) as finished, (select count(*) from live where state = 'running') as running`,
  ))!
  return {
    unfinished: Number(counts.unfinished),
    running: Number(counts.running),
    finished: Number(counts.finished),
  }
}
