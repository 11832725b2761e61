/**
 * Schedules: rows of `schedules`, and `firings`, which says which jobs a schedule made. Every write is guarded by the
 * revision that was read. What is due and what becomes of it is decided by the caller.
 */
import type { Schedule } from '../../core/schedule.js'
import type { Fired, Firing, NewJob, ScheduleChange, ScheduleChanged, Store, Submitted } from '../store.js'
import { audited } from './audit.js'
import { all, type Dialect, each, one, type Plan, put, type Row, run, type Value } from './plan.js'
import { actorOf, actorText } from './rows.js'
import { fileThere, pinFiles, submitPlan } from './submit.js'
import type { Lent, Tx } from './tx.js'

const MOVING =
  'type, definition, input, declared, paused, next_at, decided_at, previous_at, last_job_id, last_problem, fired_count, missed_count, skipped_count, problem_count, updated_at, version, revision'
const NAMES = MOVING.split(', ')
const INSERT = `insert into schedules (tenant, id, ${MOVING}, created_by, created_at) values (${Array.from({ length: NAMES.length + 4 }, (_, i) => `?${i + 1}`).join(', ')}) on conflict do nothing`
const UPDATE = `update schedules set ${NAMES.map((name, i) => `${name} = ?${i + 3}`).join(', ')} where tenant = ?1 and id = ?2 and revision = ?${NAMES.length + 3}`
const DELETE = 'delete from schedules where tenant = ?1 and id = ?2 and revision = ?3'
const LISTED = `tenant, id, ${NAMES.filter((name) => name !== 'input').join(', ')}, created_by, created_at`

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))
const parsed = (text: string | null) => (text === null ? null : JSON.parse(text))

function movingValues(schedule: Schedule): Value[] {
  return [
    schedule.definition.type,
    JSON.stringify(schedule.definition),
    schedule.input,
    schedule.declared ? 1 : 0,
    json(schedule.paused),
    schedule.nextAt,
    schedule.decidedAt,
    schedule.previousAt,
    schedule.lastJobId,
    json(schedule.lastProblem),
    schedule.firedCount,
    schedule.missedCount,
    schedule.skippedCount,
    schedule.problemCount,
    schedule.updatedAt,
    schedule.version,
    schedule.revision,
  ]
}

function scheduleOf(row: Row): Schedule {
  return {
    tenant: row.tenant,
    id: row.id,
    definition: JSON.parse(row.definition),
    input: row.input ?? 'null',
    declared: Number(row.declared) === 1,
    paused: parsed(row.paused),
    nextAt: row.next_at,
    decidedAt: row.decided_at,
    previousAt: row.previous_at,
    lastJobId: row.last_job_id,
    lastProblem: parsed(row.last_problem),
    firedCount: row.fired_count,
    missedCount: row.missed_count,
    skippedCount: row.skipped_count,
    problemCount: row.problem_count,
    createdBy: actorOf(row.created_by),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
  }
}

function* getPlan(tenant: string, id: string): Plan<Schedule | null> {
  const row = yield* one('select * from schedules where tenant = ?1 and id = ?2', tenant, id)
  return row ? scheduleOf(row) : null
}

function* listPlan(tenant: string, after: string | null, limit: number): Plan<Schedule[]> {
  const sql = `select ${LISTED} from schedules where tenant = ?1 and id > ?2 order by id limit ?3`
  return (yield* all(sql, tenant, after ?? '', limit)).map(scheduleOf)
}

function* duePlan(
  types: readonly string[],
  until: number,
  limit: number,
  now: number,
  dialect: Dialect,
): Plan<Schedule[]> {
  const rows = yield* all(
    `select * from schedules where paused is null and (next_at <= ?1 or decided_at > ?2) and ${dialect.inList('type', 3)} order by next_at, tenant, id limit ?4`,
    until,
    now,
    JSON.stringify(types),
    limit,
  )
  return rows.map(scheduleOf)
}

/** Its files are held like those of a job, under a name that no job has. */
const holder = (tenant: string, id: string) => `schedule/${tenant}/${id}`

function* changePlan({ tenant, id, decide }: ScheduleChange, tx: Tx, fileGraceMs: number): Plan<ScheduleChanged> {
  const { now } = tx
  for (;;) {
    const before = yield* getPlan(tenant, id)
    const decision = decide(before, now)
    if (!decision) return { outcome: 'left' }
    const { next, files, audit } = decision
    const missing = yield* missingFile(tenant, files ?? [], tx)
    if (missing !== undefined) return { outcome: 'file-missing', file: missing }
    const kept = next && { ...next, revision: (before?.revision ?? 0) + 1 }
    const [written] = yield* write(before, kept)
    // Somebody else was quicker (a database with several writers): read and decide anew.
    if (written !== 1) continue
    if (files || next === null) yield* holdFiles(holder(tenant, id), files ?? [], now + fileGraceMs, tx.dialect)
    if (audit) audited(audit, tx)
    return { outcome: 'written', schedule: kept }
  }
}

function write(before: Schedule | null, next: Schedule | null): Plan<number[]> {
  if (before && next) return run(UPDATE, [[before.tenant, before.id, ...movingValues(next), before.revision]])
  if (before) return run(DELETE, [[before.tenant, before.id, before.revision]])
  return run(INSERT, [[next!.tenant, next!.id, ...movingValues(next!), actorText(next!.createdBy), next!.createdAt]])
}

function* missingFile(tenant: string, files: readonly string[], { now, dialect }: Tx): Plan<string | undefined> {
  const found = yield* each(
    fileThere(dialect),
    files.map((file) => [tenant, file, now]),
  )
  return files.find((_, i) => !found[i])
}

/** Holds these files and lets go of the others it held; those that nobody else holds go after their grace. */
function* holdFiles(name: string, files: readonly string[], expiresAt: number, { heldRow }: Dialect): Plan<void> {
  const held = yield* all<{ file_id: string }>('select file_id from file_refs where job_id = ?1 order by file_id', name)
  const left = held.map(({ file_id }) => file_id).filter((file) => !files.includes(file))
  // Else a job that is stored just now might take one of them unseen.
  if (heldRow !== '')
    yield* put(
      `select id from files where id = ?1${heldRow}`,
      left.map((file) => [file]),
    )
  yield* put(
    'delete from file_refs where file_id = ?1 and job_id = ?2',
    left.map((file) => [file, name]),
  )
  yield* put(
    'update files set expires_at = ?2 where id = ?1 and not exists (select 1 from file_refs f where f.file_id = files.id)',
    left.map((file) => [file, expiresAt]),
  )
  yield* pinFiles(files.map((file) => [file, name] as const))
}

function* firePlan(firing: Firing, tx: Tx): Plan<Fired> {
  const { tenant, id } = firing
  // The guard comes first: it also holds the row against other writers until the commit.
  const [held] = yield* run(
    'update schedules set revision = revision + 1, decided_at = ?4, next_at = ?5 where tenant = ?1 and id = ?2 and revision = ?3',
    [[tenant, id, firing.revision, tx.now, firing.nextAt]],
  )
  if (held !== 1) return { outcome: 'stale' }
  const before = (yield* getPlan(tenant, id))!
  let { previousAt, lastJobId, lastProblem } = before
  if (firing.problem) lastProblem = firing.problem
  const counted = { created: 0, replayed: 0, skipped: 0, refused: 0 }
  const answers: (keyof typeof counted)[] = []
  for (const { at, job } of firing.jobs) {
    let answer: keyof typeof counted = 'skipped'
    if (!firing.afterPrevious || !(yield* underWay(lastJobId))) {
      const submitted = yield* store(job, id, at, tx)
      answer = ANSWERS[submitted.outcome]
      if (submitted.outcome === 'file-missing') lastProblem = firing.missingFile(submitted.file, at)
      if (answer === 'created') lastJobId = job.record.id
      if (answer === 'created' || answer === 'replayed') previousAt = at
    }
    counted[answer]++
    answers.push(answer)
  }
  yield* put(
    'update schedules set previous_at = ?3, last_job_id = ?4, last_problem = ?5, fired_count = fired_count + ?6, missed_count = missed_count + ?7, skipped_count = skipped_count + ?8, problem_count = problem_count + ?9 where tenant = ?1 and id = ?2',
    [
      [
        ...[tenant, id, previousAt, lastJobId, json(lastProblem)],
        ...[counted.created, firing.missed, counted.skipped, firing.problems + counted.refused],
      ],
    ],
  )
  return { outcome: 'fired', jobs: answers }
}

/** A type that lets no second job of an operation begin leaves the instant out, as an overlap does. */
const ANSWERS: Record<Submitted['outcome'], 'created' | 'replayed' | 'skipped' | 'refused'> = {
  created: 'created',
  replayed: 'replayed',
  duplicate: 'skipped',
  'duplicate-refused': 'skipped',
  'file-missing': 'refused',
  'key-reused': 'refused',
}

function* underWay(jobId: string | null): Plan<boolean> {
  return jobId !== null && (yield* one('select 1 as found from live where id = ?1', jobId)) !== undefined
}

function* runPlan(
  { tenant, id, at, job, audit }: Parameters<Store['schedules']['run']>[0],
  tx: Tx,
): Plan<Submitted | null> {
  const [held] = yield* run('update schedules set revision = revision + 1 where tenant = ?1 and id = ?2', [
    [tenant, id],
  ])
  if (held !== 1) return null
  const submitted = yield* store(job, id, at, tx)
  if (submitted.outcome !== 'created') return submitted
  yield* put('update schedules set previous_at = ?3, last_job_id = ?4 where tenant = ?1 and id = ?2', [
    [tenant, id, at, job.record.id],
  ])
  audited(audit, tx)
  return submitted
}

/** The job, and the note which schedule made it. */
function* store(job: NewJob, schedule: string, at: number, tx: Tx): Plan<Submitted> {
  const [[submitted]] = (yield* submitPlan([[job]], tx)) as [[Submitted]]
  if (submitted.outcome === 'created')
    yield* put('insert into firings (job_id, tenant, schedule_id, at) values (?1, ?2, ?3, ?4)', [
      [job.record.id, job.record.tenant, schedule, at],
    ])
  return submitted
}

/** What the store lends its schedules. */
interface Base extends Lent {
  dialect: Dialect
  fileGraceMs: number
}

export function schedulesOf({ read, write, now, dialect, fileGraceMs }: Base): Store['schedules'] {
  return {
    change: (change) => write((tx) => changePlan(change, tx, fileGraceMs)),
    get: (tenant, id) => read(() => getPlan(tenant, id)),
    list: (tenant, after, limit) => read(() => listPlan(tenant, after, limit)),
    due: (types, until, limit) => read(() => duePlan(types, until, limit, now(), dialect)),
    fire: (firing) => write((tx) => firePlan(firing, tx)),
    run: (request) => write((tx) => runPlan(request, tx)),
  }
}
