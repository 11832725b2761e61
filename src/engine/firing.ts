/**
 * What becomes of the instants of schedules: one job each, or a count of why not. Each job and the new place in the
 * timetable are one transaction, and the key of the job names schedule and instant, so that an instant has one job
 * however often, and after whatever jump of the clock, it is looked at. Keeps no time itself (worker/schedules.ts does).
 */
import { UntildoneError } from '../core/errors.js'
import type { Actor } from '../core/job.js'
import { parseJson } from '../core/json.js'
import type { Schedule, ScheduleDefinition, ScheduleProblem } from '../core/schedule.js'
import type { NewJob } from '../stores/store.js'
import type { Caller, SubmitBody } from './api.js'
import type { EngineParts } from './parts.js'
import type { Submission } from './submit.js'
import { instantsUntil, type Timetable, timetableOf } from './timetable.js'
import { iso } from './view.js'

/** An instant counts as missed once it is this late: a busy machine is not an outage. */
const LATE_MS = 60_000
/** Instants looked at in one go; each costs about 50 µs. */
const LOOK = 200
/** Jobs per transaction when instants are caught up. */
const CATCH_UP = 50
/** Schedules handled together. */
const CHUNK = 200

export interface Instants {
  /** Instants that get a job now, in order. */
  fire: number[]
  /** Instants that are given up. */
  missed: number
  /** Where the timetable goes on. */
  nextAt: number | null
}

/** The missed-run rule. @param schedule one whose `nextAt` has come */
export function instantsOf(
  schedule: Pick<Schedule, 'definition' | 'nextAt'>,
  timetable: Timetable,
  now: number,
): Instants {
  const { missed: rule, missedLimit } = schedule.definition
  const keep = rule === 'all' ? missedLimit : 1
  const first = schedule.nextAt!
  const most = LOOK + keep
  const come = [first, ...instantsUntil(timetable, first, now, most - 1)]
  // More than one look shows: all but the last `keep` are given up for certain, the next look goes on from there.
  if (come.length === most) return { fire: [], missed: LOOK, nextAt: come[LOOK]! }
  const last = come.at(-1)!
  const kept = rule === 'skip' && now - last > LATE_MS ? [] : come.slice(-keep)
  const missed = come.length - kept.length
  if (kept.length > CATCH_UP) return { fire: kept.slice(0, CATCH_UP), missed, nextAt: kept[CATCH_UP]! }
  return { fire: kept, missed, nextAt: timetable.next(last) }
}

/** What is submitted for one run. */
export function bodyOf(definition: ScheduleDefinition, input: string, runAt: number | null = null): SubmitBody {
  const { type, priority, groupId, operationKey, tags, metadata } = definition
  return { type, input: parseJson(input), priority, groupId, operationKey, tags, metadata, runAt: iso(runAt) }
}

export class Firings {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
  ) {}

  /**
   * Fires what has come, until nothing is left or it is `stopped`: an outage that is caught up takes a while.
   * @returns the next instant up to `horizonMs` ahead, if there is one
   */
  async pass(
    horizonMs: number,
    onError: (error: unknown) => void,
    stopped: () => boolean = () => false,
  ): Promise<number | null> {
    const { store } = this.parts
    // What could not be handled is tried again with the next pass.
    const failed = new Set<string>()
    const nameOf = ({ tenant, id }: Schedule) => `${tenant}/${id}`
    for (;;) {
      const now = store.now()
      const rows = await store.schedules.due(this.types(), now + horizonMs, CHUNK + failed.size)
      const came = rows.filter((row) => (row.nextAt !== null && row.nextAt <= now) || row.decidedAt > now)
      const moved = await Promise.all(
        came
          .filter((row) => !failed.has(nameOf(row)))
          .map((row) =>
            this.handle(row, now).catch((error) => {
              onError(error)
              failed.add(nameOf(row))
              return false
            }),
          ),
      )
      if (stopped()) return null
      if (!moved.includes(true)) return rows.find((row) => row.nextAt !== null && row.nextAt > now)?.nextAt ?? null
    }
  }

  /** Instants that lie ahead are worked out anew: the rules of a time zone may have changed since. */
  async recover(): Promise<void> {
    const { store } = this.parts
    const rows = await store.schedules.due(this.types(), Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    await Promise.all(rows.map((row) => this.reconsider(row)))
  }

  private types(): string[] {
    return this.parts.registry.all().map(({ name }) => name)
  }

  private handle(row: Schedule, now: number): Promise<boolean> {
    return row.nextAt !== null && row.nextAt <= now ? this.fire(row, now) : this.reconsider(row)
  }

  /** The clock went back, or the time zone changed. What was fired before is not fired again: its keys are known. */
  private async reconsider(row: Schedule): Promise<boolean> {
    const timetable = timetableOf(row.definition)
    const { outcome } = await this.parts.store.schedules.change({
      tenant: row.tenant,
      id: row.id,
      decide: (schedule, now) => {
        if (schedule?.revision !== row.revision || (schedule.nextAt !== null && schedule.nextAt <= now)) return null
        const nextAt = timetable.next(now)
        if (nextAt === schedule.nextAt && schedule.decidedAt <= now) return null
        return { next: { ...schedule, nextAt, decidedAt: now }, audit: null }
      },
    })
    return outcome === 'written'
  }

  private async fire(row: Schedule, now: number): Promise<boolean> {
    const { fire, missed, nextAt } = instantsOf(row, timetableOf(row.definition), now)
    const jobs: { at: number; job: NewJob }[] = []
    let problem: ScheduleProblem | null = null
    let problems = 0
    for (const at of fire) {
      try {
        jobs.push({ at, job: await this.prepare(row, at) })
      } catch (error) {
        problem = problemOf(error, at, now)
        problems++
      }
    }
    for (const { job } of jobs) this.parts.onSubmitting(job.live.lane, job.live.runAt)
    const fired = await this.parts.store.schedules.fire({
      tenant: row.tenant,
      id: row.id,
      revision: row.revision,
      jobs,
      afterPrevious: row.definition.overlap === 'skip',
      nextAt,
      missed,
      problems,
      problem,
      missingFile: (file, at) => ({
        code: 'file-not-found',
        message: `The file ${file} of the input is no longer there.`,
        at,
        occurredAt: now,
      }),
    })
    // Stale: somebody changed it meanwhile, so it is read again.
    return fired.outcome === 'fired' || fired.outcome === 'stale'
  }

  private async prepare(row: Schedule, at: number): Promise<NewJob> {
    const { tenant, id, definition, input } = row
    const caller: Caller = { tenant, actor: actorOf(id), scopes: [], types: null }
    const runAt = definition.jitterMs === 0 ? null : at + this.jitter(row, at)
    const key = { operation: 'schedule', key: `${id}/${at}`, fingerprint: '' }
    const job = await this.submission.prepare(caller, bodyOf(definition, input, runAt), key, '')
    job.record.options.schedule = { id, at }
    return job
  }

  /** The same for the same schedule and instant, spread evenly over 0 … jitterMs. */
  private jitter({ tenant, id, definition }: Schedule, at: number): number {
    const digits = this.parts.entropy.sha256(`${tenant}/${id}/${at}`).slice(0, 12)
    return Math.floor((Number.parseInt(digits, 16) / 2 ** 48) * (definition.jitterMs + 1))
  }
}

/** Who makes the jobs of a schedule. */
function actorOf(id: string): Actor {
  return { kind: 'system', id: `schedule/${id}`, name: `schedule ${id}` }
}

/** An instant whose job cannot be made. Trouble of the store is none: it is thrown on, and tried again. */
function problemOf(error: unknown, at: number, now: number): ScheduleProblem {
  if (!(error instanceof UntildoneError))
    return { code: 'input-invalid', message: `Its schema threw: ${String(error)}`, at, occurredAt: now }
  if (error.code === 'store-unavailable' || error.code === 'outcome-unknown') throw error
  return { code: error.code, message: error.message.replace(' Nothing was stored.', ''), at, occurredAt: now }
}
