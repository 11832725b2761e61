/**
 * Uniqueness at submit: which of the new jobs are duplicates of one that is under way, or of one of this very transaction,
 * and what that means for each. It decides over names only; the rows are submit.ts's to write.
 */
import type { JobRecord } from '../../core/job.js'
import type { NewJob, Submitted } from '../store.js'
import { keepStill } from './live.js'
import { each, hold, type Plan, put } from './plan.js'
import { actorText } from './rows.js'
import type { Tx } from './tx.js'

interface Taken {
  jobId: string
  createdBy: string
  /** Not begun, so another may take its place. */
  fresh: boolean
  done: boolean
}

/** A job that gives way to another of the same name. */
export interface Replaced {
  jobId: string
  by: NewJob
}

const TAKEN = `select u.job_id, u.expires_at, l.id as live, l.started_at, l.worker, j.created_by
  from uniques u left join live l on l.id = u.job_id left join jobs j on j.id = u.job_id where u.name = ?1`

/** The names that stored jobs have, as far as these calls ask for them. */
export function* readUniques(calls: readonly (readonly NewJob[])[], { now, dialect }: Tx): Plan<Uniques> {
  const asked = new Set(calls.flatMap((jobs) => jobs.flatMap(({ unique }) => unique?.name ?? [])))
  const names = [...asked].map((name) => [name])
  yield* hold([...asked], dialect)
  let rows = yield* each(TAKEN, names)
  const lives = rows.flatMap((row) => row?.live ?? [])
  if (lives.length > 0 && dialect.held !== '') {
    // Not begun is asked of them, so they must not begin meanwhile.
    yield* keepStill(lives, dialect)
    rows = yield* each(TAKEN, names)
  }
  const taken = new Map<string, Taken>()
  ;[...asked].forEach((name, i) => {
    const row = rows[i]
    // A name that is held until the end is free once its job is no more, whatever became of the row.
    if (!row || (row.expires_at === null ? row.live === null : row.expires_at <= now)) return
    taken.set(name, {
      jobId: row.job_id,
      createdBy: row.created_by ?? '',
      fresh: row.live !== null && row.started_at === null && row.worker === null,
      done: row.live === null,
    })
  })
  return new Uniques(taken)
}

export class Uniques {
  private undo: (() => void)[] = []
  readonly replaced: Replaced[] = []

  constructor(private readonly taken: Map<string, Taken>) {}

  /** Null: the name was free, or its job gives way; it is the new job's now. */
  judge(job: NewJob): Submitted | null {
    const { unique } = job
    if (!unique) return null
    const before = this.taken.get(unique.name)
    if (!before || (unique.again && before.done)) return this.take(job, unique.name)
    if (unique.onDuplicate === 'return') return { outcome: 'duplicate', jobId: before.jobId }
    const why = unique.onDuplicate === 'reject' ? 'exists' : whyNot(before, job)
    if (why !== null) return { outcome: 'duplicate-refused', jobId: before.jobId, why }
    this.replaced.push({ jobId: before.jobId, by: job })
    this.undo.push(() => this.replaced.pop())
    return this.take(job, unique.name)
  }

  private take({ record }: NewJob, name: string): null {
    const before = this.taken.get(name)
    this.taken.set(name, { jobId: record.id, createdBy: actorText(record.createdBy), fresh: true, done: false })
    this.undo.push(() => (before ? this.taken.set(name, before) : this.taken.delete(name)))
    return null
  }

  /** The names of a call that is stored stay taken; those of one that is refused are given back. */
  settle(stored: boolean): void {
    if (!stored) for (const undo of this.undo.reverse()) undo()
    this.undo = []
  }
}

function whyNot(before: Taken, { unique, record }: NewJob): 'started' | 'done' | 'not-yours' | null {
  if (before.done) return 'done'
  if (!before.fresh) return 'started'
  return unique!.ownOnly && before.createdBy !== actorText(record.createdBy) ? 'not-yours' : null
}

/** The last job of a transaction that took a name has it. */
export function* writeUniques(jobs: readonly NewJob[]): Plan<void> {
  const last = new Map(jobs.flatMap((job) => (job.unique ? [[job.unique.name, job] as const] : [])))
  yield* put(
    `insert into uniques (name, job_id, expires_at) values (?1, ?2, ?3)
     on conflict (name) do update set job_id = excluded.job_id, expires_at = excluded.expires_at`,
    [...last].map(([name, { record }]) => [name, record.id, expiryOf(record)]),
  )
}

function expiryOf({ options }: JobRecord): number | null {
  const until = options.unique?.until ?? 'done'
  return until === 'done' ? null : until
}
