/**
 * Schedules over HTTP: what `client.schedules` offers, and how each call is sent. What is harmless to send twice is
 * repeated after a lost answer, the rest only when the server says that nothing was done.
 */
import { type ScheduleChanges, type ScheduleOptions, scheduleMembers } from '../core/schedule-options.js'
import type { WireJob, WireSchedule, WireUpcoming } from '../core/wire.js'
import type { AnySchema, InputOf, JobDefinition } from '../define/index.js'
import { keyHeader, newKey } from './key.js'
import type { CallOptions } from './options.js'
import { type Page, type Paged, paged } from './paged.js'
import type { Call } from './transport.js'

export interface CreateScheduleOptions extends ScheduleOptions, CallOptions {
  /** Your name for it, unique in the tenant: 1 to 100 letters, digits, `.`, `_`, `-`. */
  id: string
  /** Create it paused. @default false */
  paused?: boolean
  /** Kept in the audit trail. */
  reason?: string
}

export interface ScheduleActionOptions extends CallOptions {
  /** Kept in the audit trail. */
  reason?: string
  /** Refuse (`version-mismatch`) unless the schedule still has this version. */
  ifVersion?: number
}

export interface UpdateScheduleOptions extends ScheduleChanges, ScheduleActionOptions {
  /** Another job type. */
  type?: string
  /** Another input, as a whole. */
  input?: unknown
}

export interface ScheduleCalls {
  /**
   * A timetable that makes a job at each of its instants, exactly one. The same definition again gives the schedule as it
   * is; another one under the same id is refused.
   * @throws UntildoneApiError `schedule-exists`, `input-invalid`, `validation-failed`
   */
  create<I extends AnySchema>(
    job: JobDefinition<I, any>,
    input: InputOf<I>,
    options: CreateScheduleOptions,
  ): Promise<WireSchedule>
  /** The same by name, without types. */
  create(type: string, input: unknown, options: CreateScheduleOptions): Promise<WireSchedule>
  /** All checks of a create, nothing stored: the first instants. */
  validate(
    job: JobDefinition<any, any> | string,
    input: unknown,
    options: CreateScheduleOptions,
  ): Promise<{ valid: true; type: string; upcoming: WireUpcoming[] }>
  /** @throws UntildoneApiError `not-found` */
  get(id: string, options?: CallOptions): Promise<WireSchedule>
  /** By id, without inputs. */
  list(options?: CallOptions & { limit?: number; cursor?: string }): Paged<WireSchedule>
  /** Members that are left out stay; `cron` and `every` replace each other. @throws UntildoneApiError `schedule-declared` */
  update(id: string, changes: UpdateScheduleOptions): Promise<WireSchedule>
  pause(id: string, options?: ScheduleActionOptions): Promise<WireSchedule>
  resume(id: string, options?: ScheduleActionOptions): Promise<WireSchedule>
  /** One job now, whatever timetable and pause say; the timetable does not move. Always sends an idempotency key. */
  run(id: string, options?: ScheduleActionOptions & { key?: string }): Promise<WireJob>
  /** Its jobs stay. @throws UntildoneApiError `schedule-declared` */
  delete(id: string, options?: ScheduleActionOptions): Promise<void>
  /** The next instants, paused or not. @param options.count at most 100. @default 10 */
  upcoming(id: string, options?: CallOptions & { count?: number }): Promise<WireUpcoming[]>
}

/** @param body sends a call and gives the body of its answer */
export function scheduleCalls(body: <T>(call: Call) => Promise<T>): ScheduleCalls {
  const at = (id: string, rest = '') => `/v1/schedules/${encodeURIComponent(id)}${rest}`
  const create = (
    job: JobDefinition | string,
    input: unknown,
    options: CreateScheduleOptions,
    query?: Call['query'],
  ) => {
    const { id, paused, reason, signal, ...members } = options
    const type = typeof job === 'string' ? job : job.name
    const json = { id, type, input, ...scheduleMembers(members), paused, reason }
    return body<any>({ method: 'POST', path: '/v1/schedules', query, json, signal })
  }
  const act =
    (what: string) =>
    (id: string, options: ScheduleActionOptions = {}) => {
      const { signal, ...json } = options
      return body<WireSchedule>({ method: 'POST', path: at(id, what), json, repeat: repeatOf(options), signal })
    }
  return {
    create,
    validate: (job, input, options) => create(job, input, options, { validateOnly: true }),
    get: (id, { signal } = {}) => body({ path: at(id), signal }),
    list: ({ signal, limit, cursor } = {}) =>
      paged(
        (from) => body<Page<WireSchedule>>({ path: '/v1/schedules', query: { limit, cursor: from }, signal }),
        cursor,
      ),
    update: (id, { type, input, reason, ifVersion, signal, ...changes }) => {
      const json = { type, input, ...scheduleMembers(changes), reason, ifVersion }
      return body({ method: 'PATCH', path: at(id), json, repeat: repeatOf({ ifVersion }), signal })
    },
    pause: act('/pause'),
    resume: act('/resume'),
    run: async (id, { signal, key, ...json } = {}) =>
      body({
        method: 'POST',
        path: at(id, '/run'),
        json,
        headers: keyHeader(key ?? newKey()),
        repeat: repeatOf(json),
        signal,
      }),
    delete: async (id, { signal, ...query } = {}) => {
      // Sent again after a lost answer, it would say that there is no such schedule.
      await body({ method: 'DELETE', path: at(id), query, repeat: 'refused', signal })
    },
    upcoming: async (id, { count, signal } = {}) =>
      (await body<{ items: WireUpcoming[] }>({ path: at(id, '/upcoming'), query: { count }, signal })).items,
  }
}

/** With a version it works once: sent again after a lost answer, it would be refused because of itself. */
function repeatOf({ ifVersion }: { ifVersion?: number }): Call['repeat'] {
  return ifVersion === undefined ? 'always' : 'refused'
}
