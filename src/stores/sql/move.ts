/**
 * The one guarded write: rows are read, the decision handed in says what follows, and its rows are written only if the
 * version still holds. Nothing here knows which state follows which.
 */
import { type LiveJob, partsOf, TIES } from '../../core/job.js'
import { utf8Length } from '../../core/json.js'
import type { Decision } from '../../core/lifecycle.js'
import type { AttemptRecord, Move, Moved } from '../store.js'
import { audited } from './audit.js'
import { moveOf } from './changes.js'
import { operationDone, operationSeen } from './ledger.js'
import { LIMITS, leaveLimits } from './limits.js'
import { readLive } from './live.js'
import { announceMove } from './outbox.js'
import { hold, one, type Plan, put, run, type Value } from './plan.js'
import { writeRecords } from './record.js'
import {
  attemptValues,
  DELETE_LIVE,
  historyValues,
  INSERT_ATTEMPT,
  INSERT_HISTORY,
  INSERT_OUTCOME,
  liveValues,
  outcomeValues,
  UPDATE_LIVE,
} from './rows.js'
import { INLINE_BYTES, pinFiles } from './submit.js'
import type { Tx } from './tx.js'
import { untie } from './untie.js'
import { holdParents, wakeIfSettled } from './waits.js'

export function* movePlan(moves: readonly Move[], tx: Tx): Plan<Moved[]> {
  const answers = new Array<Moved>(moves.length)
  const known: (LiveJob | undefined)[] = moves.map((move) => move.known)
  let open = moves.map((_, i) => i)
  while (open.length > 0) {
    // Two moves of one job follow each other: the second sees what the first has left.
    const seen = new Set<string>()
    const round = open.filter((i) => !seen.has(moves[i]!.jobId) && seen.add(moves[i]!.jobId))
    const later = open.filter((i) => !round.includes(i))
    const again = yield* moveRound(round, moves, known, answers, tx)
    open = again.length + later.length === 0 ? [] : [...again, ...later]
  }
  return answers
}

/** @returns the moves whose known row was out of date; they are read and decided anew. */
function* moveRound(
  round: number[],
  moves: readonly Move[],
  known: (LiveJob | undefined)[],
  answers: Moved[],
  tx: Tx,
): Plan<number[]> {
  const again: number[] = []
  const unread = round.filter((i) => !known[i])
  const rows = yield* readLive(
    unread.map((i) => moves[i]!.jobId),
    tx.dialect,
  )
  const lives = new Map<number, LiveJob>(round.filter((i) => known[i]).map((i) => [i, known[i]!]))
  unread.forEach((i, n) => {
    if (rows[n]) lives.set(i, rows[n])
  })
  const decided: { i: number; decision: Decision }[] = []
  for (const i of round) {
    const move = moves[i]!
    const live = lives.get(i)
    if (move.operationId !== undefined && (yield* operationSeen(move.tenant ?? '', move.operationId, tx.now))) {
      answers[i] = { outcome: 'repeated' }
      continue
    }
    if (!live || (move.tenant !== undefined && partsOf(live.lane).tenant !== move.tenant)) {
      answers[i] = yield* finishedOrMissing(move)
      continue
    }
    const decision = move.decide(live, tx.now)
    if (decision.ok) decided.push({ i, decision })
    else if (known[i]) again.push(i)
    else answers[i] = { outcome: 'refused', reason: decision.reason, live }
    known[i] = undefined
  }
  // Whoever grants places holds this name and then the jobs that stand in line; so does whoever takes one out of the line.
  if (decided.some(({ decision: { from } }) => from.held !== null && from.held !== 'granted'))
    yield* hold([LIMITS], tx.dialect)
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
    tx,
  )
  yield* holdParents(
    done.flatMap(({ decision: { from, outcome } }) => (outcome && from.ties & TIES.parent ? [from.id] : [])),
    tx,
  )
  for (const { i, decision } of done) {
    answers[i] = { outcome: 'moved', decision }
    tx.changes.push(moveOf(decision, moves[i]!.result ?? null))
    const { blockedOn } = moves[i]!
    if (blockedOn && decision.live) yield* wakeIfSettled(decision.live, blockedOn, tx)
    announceMove(decision, tx)
    if (decision.from.ties & TIES.limits) yield* leaveLimits(decision, tx)
    if (decision.from.ties !== 0) yield* untie(decision, tx)
  }
  return again
}

function* writeDecisions(done: readonly { move: Move; decision: Decision }[], tx: Tx): Plan<void> {
  const blobs: Value[][] = []
  yield* put(
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
  yield* put(
    'insert into blobs (job_id, name, data) values (?1, ?2, ?3) on conflict (job_id, name) do update set data = excluded.data',
    blobs,
  )
  // After the outcomes: a child that ends in this very round settles the wait for it at once.
  yield* writeRecords(
    done.flatMap(({ move, decision }) => (move.record ? [lasting(move.record, decision)] : [])),
    tx,
  )
  yield* put(
    INSERT_ATTEMPT,
    done.filter(({ decision }) => decision.attempt).map(({ decision }) => attemptValues(decision.attempt!)),
  )
  yield* put(
    INSERT_HISTORY,
    done.map(({ move, decision }) => historyValues(move.jobId, decision.history)),
  )
  yield* pinFiles(done.flatMap(({ move }) => (move.files ?? []).map((file) => [file, move.jobId] as const)))
  for (const { move, decision } of done) {
    if (move.audit) audited(move.audit, tx, { jobId: move.jobId, seq: decision.history.seq })
    if (move.operationId !== undefined) yield* operationDone(move.tenant ?? '', move.operationId, tx.now)
  }
}

/** A job that ends, or is undone from now on, waits for nothing and begins no children, whatever its attempt had in mind. */
function lasting(record: AttemptRecord, { live }: Decision): AttemptRecord {
  if (live && live.state !== 'compensating') return record
  const { waits: _waits, children: _children, ...rest } = record
  return rest
}

function* finishedOrMissing(move: Move): Plan<Moved> {
  const row = yield* one(
    'select o.status, j.tenant from outcomes o join jobs j on j.id = o.job_id where o.job_id = ?1',
    move.jobId,
  )
  if (!row || (move.tenant !== undefined && row.tenant !== move.tenant)) return { outcome: 'not-found' }
  return { outcome: 'finished', status: row.status }
}
