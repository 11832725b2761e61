/**
 * The one guarded write: rows are read, the decision handed in says what follows, and its rows are written only if the
 * version still holds. Also the claim, which is a move of many, and what an attempt records besides (steps, progress,
 * warnings, logs), fenced by its epoch. Nothing here knows which state follows which.
 */
import { chain } from '../../core/history.js'
import { LEVELS, type LiveJob, partsOf } from '../../core/job.js'
import { plainText, utf8Length } from '../../core/json.js'
import { type Decision, transition } from '../../core/lifecycle.js'
import type { AttemptRecord, Change, Claimed, ClaimRequest, Move, Moved, ProgressRow } from '../store.js'
import { all, type Dialect, each, one, type Plan, type Row, run, unpack, type Value } from './plan.js'
import {
  actorOf,
  actorText,
  attemptValues,
  claimedValues,
  DELETE_LIVE,
  historyValues,
  INSERT_ATTEMPT,
  INSERT_HISTORY,
  INSERT_OUTCOME,
  JOB_COLUMNS,
  JOB_WIDTH,
  jobOf,
  LIVE_COLUMNS,
  liveOf,
  liveValues,
  outcomeValues,
  UPDATE_CLAIMED,
  UPDATE_LIVE,
} from './rows.js'
import { changeOf, INLINE_BYTES, pinFiles } from './submit.js'

type Sha256 = (text: string) => string

export function* movePlan(
  moves: readonly Move[],
  now: number,
  changes: Change[],
  sha256: Sha256,
  dialect: Dialect,
): Plan<Moved[]> {
  const answers = new Array<Moved>(moves.length)
  const known: (LiveJob | undefined)[] = moves.map((move) => move.known)
  let open = moves.map((_, i) => i)
  while (open.length > 0) {
    // Two moves of one job follow each other: the second sees what the first has left.
    const seen = new Set<string>()
    const round = open.filter((i) => !seen.has(moves[i]!.jobId) && seen.add(moves[i]!.jobId))
    const later = open.filter((i) => !round.includes(i))
    const again = yield* moveRound(round, moves, known, answers, now, changes, sha256, dialect)
    open = again.length + later.length === 0 ? [] : [...again, ...later]
  }
  return answers
}

function* readLive(ids: readonly string[], dialect: Dialect): Plan<(LiveJob | undefined)[]> {
  const rows = yield* each<{ t: unknown }>(
    `select ${dialect.tuple(LIVE_COLUMNS)} as t from live l where l.id = ?1`,
    ids.map((id) => [id]),
  )
  return rows.map((row) => row && liveOf(unpack(row.t)))
}

/** @returns the moves whose known row was out of date; they are read and decided anew. */
function* moveRound(
  round: number[],
  moves: readonly Move[],
  known: (LiveJob | undefined)[],
  answers: Moved[],
  now: number,
  changes: Change[],
  sha256: Sha256,
  dialect: Dialect,
): Plan<number[]> {
  const again: number[] = []
  const unread = round.filter((i) => !known[i])
  const rows = yield* readLive(
    unread.map((i) => moves[i]!.jobId),
    dialect,
  )
  const lives = new Map<number, LiveJob>(round.filter((i) => known[i]).map((i) => [i, known[i]!]))
  unread.forEach((i, n) => {
    if (rows[n]) lives.set(i, rows[n])
  })
  const decided: { i: number; decision: Decision }[] = []
  for (const i of round) {
    const move = moves[i]!
    const live = lives.get(i)
    if (move.operationId !== undefined && (yield* operationSeen(move.tenant ?? '', move.operationId, now))) {
      answers[i] = { outcome: 'repeated' }
      continue
    }
    if (!live || (move.tenant !== undefined && partsOf(live.lane).tenant !== move.tenant)) {
      answers[i] = yield* finishedOrMissing(move)
      continue
    }
    const decision = move.decide(live, now)
    if (decision.ok) decided.push({ i, decision })
    else if (known[i]) again.push(i)
    else answers[i] = { outcome: 'refused', reason: decision.reason, live }
    known[i] = undefined
  }
  const staying = decided.filter(({ decision }) => decision.live)
  const ending = decided.filter(({ decision }) => decision.outcome)
  const updated = yield* run(
    UPDATE_LIVE,
    staying.map(({ decision: { live, from } }) => [...liveValues(live!), from.version, from.revision]),
  )
  const deleted = yield* run(
    DELETE_LIVE,
    ending.map(({ decision: { from } }) => [from.id, from.version, from.revision]),
  )
  const done = [...staying.filter((_, n) => updated[n] === 1), ...ending.filter((_, n) => deleted[n] === 1)]
  again.push(
    ...staying.filter((_, n) => updated[n] !== 1).map(({ i }) => i),
    ...ending.filter((_, n) => deleted[n] !== 1).map(({ i }) => i),
  )
  yield* writeDecisions(
    done.map(({ i, decision }) => ({ move: moves[i]!, decision })),
    now,
    sha256,
  )
  for (const { i, decision } of done) {
    answers[i] = { outcome: 'moved', decision }
    changes.push(decision.live ? changeOf(decision.live) : endOf(decision, moves[i]!))
  }
  return again
}

function* writeDecisions(done: readonly { move: Move; decision: Decision }[], now: number, sha256: Sha256): Plan<void> {
  yield* writeRecords(done.flatMap(({ move }) => (move.record ? [move.record] : [])))
  const blobs: Value[][] = []
  yield* run(
    INSERT_OUTCOME,
    done
      .filter(({ decision }) => decision.outcome)
      .map(({ move, decision: { from, outcome } }) => {
        const result = outcome!.status === 'completed' ? (move.result ?? null) : null
        const bytes = result === null ? 0 : utf8Length(result)
        if (bytes > INLINE_BYTES) blobs.push([move.jobId, 'result', result])
        return outcomeValues(
          outcome!,
          bytes > INLINE_BYTES ? null : result,
          bytes,
          result === null ? null : (move.resultSha256 ?? null),
          move.expiresAt ? move.expiresAt(outcome!.finishedAt, from) : Number.MAX_SAFE_INTEGER,
        )
      }),
  )
  yield* run(
    'insert into blobs (job_id, name, data) values (?1, ?2, ?3) on conflict (job_id, name) do update set data = excluded.data',
    blobs,
  )
  yield* run(
    INSERT_ATTEMPT,
    done.filter(({ decision }) => decision.attempt).map(({ decision }) => attemptValues(decision.attempt!)),
  )
  yield* run(
    INSERT_HISTORY,
    done.map(({ move, decision }) => historyValues(move.jobId, decision.history)),
  )
  yield* pinFiles(done.flatMap(({ move }) => (move.files ?? []).map((file) => [file, move.jobId] as const)))
  for (const { move, decision } of done) {
    if (move.audit) yield* auditPlan(move.audit, now, sha256, { jobId: move.jobId, seq: decision.history.seq })
    if (move.operationId !== undefined) {
      yield* run('insert into operations (tenant, op_id, at) values (?1, ?2, ?3)', [
        [move.tenant ?? '', move.operationId, now],
      ])
    }
  }
}

const OPERATION_TTL_MS = 86_400_000

function* operationSeen(tenant: string, id: string, now: number): Plan<boolean> {
  yield* run('delete from operations where at < ?1', [[now - OPERATION_TTL_MS]])
  return (yield* one('select 1 as found from operations where tenant = ?1 and op_id = ?2', tenant, id)) !== undefined
}

function* finishedOrMissing(move: Move): Plan<Moved> {
  const row = yield* one(
    'select o.status, j.tenant from outcomes o join jobs j on j.id = o.job_id where o.job_id = ?1',
    move.jobId,
  )
  if (!row || (move.tenant !== undefined && row.tenant !== move.tenant)) return { outcome: 'not-found' }
  return { outcome: 'finished', status: row.status }
}

function endOf({ from, outcome }: Decision, move: Move): Change {
  const { tenant, type } = partsOf(from.lane)
  return {
    jobId: from.id,
    tenant,
    type,
    groupId: null,
    lane: from.lane,
    status: outcome!.status,
    done: true,
    version: outcome!.version,
    revision: outcome!.revision,
    queuedAt: null,
    cancelling: null,
    end: {
      outcome: outcome!,
      result: outcome!.status === 'completed' ? (move.result ?? null) : null,
      since: from.budgetFrom,
    },
  }
}

/** The next entry of the tenant's audit chain. */
export function* auditPlan(
  draft: Parameters<typeof chain>[0],
  now: number,
  sha256: Sha256,
  job: { jobId: string; seq: number } | null = null,
): Plan<void> {
  const last = yield* one<{ seq: number; hash: string }>(
    'select seq, hash from audit where tenant = ?1 order by seq desc limit 1',
    draft.tenant,
  )
  // What is hashed must be what will be read again.
  const actor = actorOf(plainText(actorText(draft.actor)))
  const reason = draft.reason === null ? null : plainText(draft.reason)
  const entry = chain({ ...draft, actor, reason }, last ?? null, now, sha256)
  yield* run(
    'insert into audit (tenant, seq, at, actor, action, target, reason, details, prev_hash, hash, job_id, job_seq) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)',
    [
      [
        entry.tenant,
        entry.seq,
        entry.at,
        actorText(entry.actor),
        entry.action,
        entry.target,
        entry.reason,
        entry.details === null ? null : JSON.stringify(entry.details),
        entry.prevHash,
        entry.hash,
        job?.jobId ?? null,
        job?.seq ?? null,
      ],
    ],
  )
}

const ready = (
  dialect: Dialect,
) => `select ${dialect.tuple(`${JOB_COLUMNS}, ${LIVE_COLUMNS}`)} as t, j.input from live l cross join jobs j
  where l.lane = ?1 and l.state = 'queued' and l.level = ?2 and l.run_at <= ?3 and (l.deadline_at is null or l.deadline_at > ?3) and j.id = l.id order by l.run_at, l.id limit ?4`
const LEVELS_DOWN = [...LEVELS].reverse()

/**
 * Takes ready jobs in index order: per lane and level a range scan of (run_at, id), never a sort, so that its cost does
 * not depend on how many jobs wait for later or in other lanes.
 */
export function* claimPlan(request: ClaimRequest, now: number, changes: Change[], dialect: Dialect): Plan<Claimed[]> {
  const sql = ready(dialect)
  let free = request.limit()
  const taken: Row[] = []
  for (const { lane, limit } of request.lanes) {
    let quota = Math.min(limit, free)
    for (const level of request.reverse ? LEVELS_DOWN : LEVELS) {
      if (quota <= 0) break
      const rows = yield* all(sql, lane, level, now, quota)
      quota -= rows.length
      free -= rows.length
      taken.push(...rows)
    }
    if (free <= 0) break
  }
  if (taken.length === 0) return []
  const actor = { kind: 'worker' as const, id: request.worker }
  const claimed: Claimed[] = []
  const entries: Value[][] = []
  for (const row of taken) {
    const tuple = unpack(row.t)
    const decision = transition(liveOf(tuple, JOB_WIDTH), { type: 'claimed', worker: request.worker, actor }, now)
    if (!decision.ok) continue // the scan and the rule agree on what is ready; the rule has the last word
    claimed.push({ live: decision.live!, record: jobOf(tuple, row.input) })
    entries.push(historyValues(decision.live!.id, decision.history))
  }
  yield* run(
    UPDATE_CLAIMED,
    claimed.map(({ live }) => claimedValues(live)),
  )
  yield* run(INSERT_HISTORY, entries)
  const large = claimed.filter(({ record }) => record.input === null)
  const blobs = yield* each<{ data: string }>(
    `select data from blobs where job_id = ?1 and name = 'input'`,
    large.map(({ record }) => [record.id]),
  )
  large.forEach(({ record }, i) => {
    record.input = blobs[i]!.data
  })
  for (const { live, record } of claimed) changes.push(changeOf(live, record.groupId))
  return claimed
}

const FENCE = `select 1 as held from live where id = ?1 and epoch = ?2 and state in ('running', 'cancelling')`
const VISIBLE = `update live set revision = revision + 1, changed_at = ?3 where id = ?1 and epoch = ?2 and state in ('running', 'cancelling')`

/** What attempts write while they run. @returns per record whether its epoch still holds the job. */
export function* recordPlan(
  records: readonly AttemptRecord[],
  now: number,
  changes: Change[],
  dialect: Dialect,
): Plan<boolean[]> {
  const visible = records.map((record) => record.progress !== undefined || (record.warnings?.length ?? 0) > 0)
  const raised = yield* run(
    VISIBLE,
    records.filter((_, i) => visible[i]).map((record) => [record.jobId, record.epoch, now]),
  )
  const quiet = yield* each(
    FENCE,
    records.filter((_, i) => !visible[i]).map((record) => [record.jobId, record.epoch]),
  )
  let r = 0
  let q = 0
  const held = visible.map((is) => (is ? raised[r++] === 1 : quiet[q++] !== undefined))
  yield* writeRecords(records.filter((_, i) => held[i]))
  const lives = yield* readLive(
    records.filter((_, i) => held[i] && visible[i]).map((record) => record.jobId),
    dialect,
  )
  for (const live of lives) if (live) changes.push(changeOf(live))
  return held
}

/**
 * Progress within a stage never falls: a new attempt keeps the highest value until it has passed it. Rounds weigh more
 * than what is done of one, so that the next round may count from the start.
 */
const FELL = `(coalesce(progress.stage, '') = coalesce(excluded.stage, '') and (
  coalesce(excluded.iterations_completed < progress.iterations_completed, false)
  or (not coalesce(excluded.iterations_completed > progress.iterations_completed, false) and coalesce(excluded.completed < progress.completed, false))))`
const KEPT_IF_IT_FELL = ['message', 'completed', 'total', 'iterations_completed', 'iterations_total']
  .map((column) => `${column} = case when ${FELL} then progress.${column} else excluded.${column} end`)
  .join(', ')

function* writeRecords(records: readonly AttemptRecord[]): Plan<void> {
  const steps: Value[][] = []
  const blobs: Value[][] = []
  for (const { jobId, steps: rows = [] } of records) {
    for (const row of rows) {
      const bytes = row.result === null ? 0 : utf8Length(row.result)
      if (bytes > INLINE_BYTES) blobs.push([jobId, `step:${row.key}`, row.result])
      steps.push([
        jobId,
        row.key,
        row.kind,
        row.attempt,
        row.startedAt,
        row.endedAt,
        bytes > INLINE_BYTES ? null : row.result,
        bytes,
        row.info,
      ])
    }
  }
  yield* run(
    'insert into steps (job_id, key, kind, attempt, started_at, ended_at, result, bytes, info) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)',
    steps,
  )
  yield* run('insert into blobs (job_id, name, data) values (?1, ?2, ?3)', blobs)
  yield* run(
    `insert into progress (job_id, stage, message, completed, total, unit, iterations_completed, iterations_total, updated_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     on conflict (job_id) do update set stage = excluded.stage, unit = excluded.unit, updated_at = excluded.updated_at, ${KEPT_IF_IT_FELL}`,
    records.flatMap(({ jobId, progress: p }) => (p ? [progressRow(jobId, p)] : [])),
  )
  yield* run(
    'insert into warnings (job_id, code, step, message, at) values (?1, ?2, ?3, ?4, ?5) on conflict do nothing',
    records.flatMap(({ jobId, warnings = [] }) => warnings.map((w) => [jobId, w.code, w.step ?? '', w.message, w.at])),
  )
  yield* run(
    'insert into logs (job_id, at, attempt, level, message, data) values (?1, ?2, ?3, ?4, ?5, ?6)',
    records.flatMap(({ jobId, logs = [] }) => logs.map((l) => [jobId, l.at, l.attempt, l.level, l.message, l.data])),
  )
}

function progressRow(jobId: string, p: ProgressRow): Value[] {
  const { completed: rounds = null, total: ofRounds = null } = p.iterations ?? {}
  return [jobId, p.stage, p.message, p.completed, p.total, p.unit, rounds, ofRounds, p.updatedAt]
}
