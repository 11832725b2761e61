/**
 * Registering what an attempt will wait for, and storing the child jobs that are waited for. What is there already
 * settles a wait at once.
 */
import { TIES } from '../../core/job.js'
import type { AttemptRecord, NewJob, Submitted, WaitRow, WaitValue } from '../store.js'
import { keepStill } from './live.js'
import { each, type Plan, put, run } from './plan.js'
import { submitPlan } from './submit.js'
import type { Tx } from './tx.js'
import { endOfChild, recordValue, unread } from './waits.js'

/** A wait whose value is recorded already is not registered again. */
const INSERT_WAIT = `insert into waits (job_id, key, kind, name, due_at, child_id, created_at)
  select ?1, ?2, ?3, ?4, ?5, ?6, ?7 where not exists (select 1 from steps where job_id = ?1 and key = ?2) on conflict (job_id, key) do nothing`

export function* addWaits(record: AttemptRecord, tx: Tx): Plan<void> {
  const { jobId, waits = [], children = [] } = record
  const found = yield* storeChildren(jobId, children, tx)
  const idOf = (wait: WaitRow): string | null => {
    const child = found.get(wait.key)
    return typeof child === 'string' ? child : wait.childId
  }
  const added = yield* run(
    INSERT_WAIT,
    waits.map((w) => [jobId, w.key, w.kind, w.name, w.dueAt, idOf(w), w.createdAt]),
  )
  for (const [i, row] of waits.entries()) {
    if (added[i] !== 1) continue
    const wait = { ...row, childId: idOf(row) }
    const child = found.get(row.key)
    // It may be ending just now; then its end, or this wait, comes first.
    if (wait.childId !== null) yield* keepStill([wait.childId], tx.dialect)
    const value =
      wait.childId !== null
        ? yield* endOfChild(wait.childId)
        : typeof child === 'object'
          ? JSON.stringify(child)
          : yield* unread(wait)
    if (value !== null) yield* recordValue(wait, value, tx.now)
  }
}

/** By the key of the wait: the id of the child, or why there is none. */
function* storeChildren(parentId: string, children: readonly NewJob[], tx: Tx): Plan<Map<string, string | WaitValue>> {
  const found = new Map<string, string | WaitValue>()
  if (children.length === 0) return found
  const answers = yield* submitPlan(
    children.map((child) => [child]),
    tx,
  )
  const adopted: string[] = []
  const circular = yield* waitsForItself(parentId, answers)
  children.forEach(({ record }, i) => {
    const answer = answers[i]![0]!
    const { key } = record.options.child!
    const refused = refusal(answer, circular.has(i))
    if (refused !== null) found.set(key, notMade(refused, answer))
    else if ('jobId' in answer) {
      found.set(key, answer.jobId)
      if (answer.outcome === 'duplicate') adopted.push(answer.jobId)
    }
  })
  // Its end settles this wait as well. The revision moves so that nobody writes the row as it was before.
  yield* put(
    'update live set ties = ties | ?2, revision = revision + 1 where id = ?1 and ties & ?2 <> ?2',
    adopted.map((id) => [id, TIES.parent]),
  )
  return found
}

const WAITS_FOR = `with recursive up(id) as (select id from jobs where id = ?1 union select w.job_id from waits w join up on w.child_id = up.id)
  select 1 as found from up where id = ?2`

/** The children for which the parent would wait in vain: the job that is there waits for it, through however many others. */
function* waitsForItself(parentId: string, answers: readonly Submitted[][]): Plan<ReadonlySet<number>> {
  const shared = answers.flatMap(([answer], i) => (answer!.outcome === 'duplicate' ? [{ i, id: answer!.jobId }] : []))
  const rows = yield* each(
    WAITS_FOR,
    shared.map(({ id }) => [parentId, id]),
  )
  return new Set(shared.flatMap(({ i }, n) => (rows[n] ? [i] : [])))
}

function refusal(answer: Submitted, circular: boolean): { code: string; message: string } | null {
  switch (answer.outcome) {
    case 'duplicate':
      return circular ? duplicate(answer.jobId, 'it waits for this one') : null
    case 'duplicate-refused':
      return duplicate(answer.jobId, 'its type refuses a second one')
    case 'file-missing':
      return {
        code: 'file-not-found',
        message: `It was not started: the file ${answer.file} of its input does not exist, belongs to another tenant or has expired.`,
      }
    case 'key-reused':
      return { code: 'idempotency-key-reused', message: 'The key belongs to a job with other content.' }
    default:
      return null
  }
}

function duplicate(jobId: string, why: string) {
  return { code: 'duplicate-operation', message: `Job ${jobId} is doing this already, and ${why}.` }
}

function notMade(error: { code: string; message: string }, answer: Submitted): WaitValue {
  return { is: 'child', id: 'jobId' in answer ? answer.jobId : '', status: 'failed', result: null, error }
}
