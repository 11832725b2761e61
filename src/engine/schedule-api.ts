/**
 * What the engine offers for schedules, in the words of the wire. Types only. Every method checks the caller's rights and
 * throws UntildoneError with a code of the registry.
 */
import type { Json } from '../core/json.js'
import type { MissedRule, OverlapRule } from '../core/schedule.js'
import type { WireJob, WireSchedule, WireUpcoming } from '../core/wire.js'
import type { ActionRequest, Caller, Page } from './api.js'

/** What a schedule is made of; a member that is left out or null has its default. Instants are RFC 3339. */
export interface ScheduleMembers {
  description?: string | null
  /** Five or six fields, or `@daily` and its like. Either this or `everyMs`. */
  cron?: string | null
  everyMs?: number | null
  timeZone?: string | null
  startAt?: string | null
  endAt?: string | null
  jitterMs?: number | null
  missed?: MissedRule | null
  missedLimit?: number | null
  overlap?: OverlapRule | null
  priority?: number | null
  groupId?: string | null
  operationKey?: string | null
  tags?: string[] | null
  metadata?: Record<string, string> | null
}

export interface ScheduleBody extends ScheduleMembers {
  id: string
  type: string
  input?: Json
  /** Made paused. */
  paused?: boolean
}

/** Members that are left out stay as they are; giving `cron` takes the place of `everyMs`, and the reverse. */
export interface ScheduleUpdate extends ScheduleMembers {
  type?: string
  input?: Json
}

export interface ScheduleUses {
  /** The same definition again answers the schedule as it is, with `created: false`. @throws schedule-exists */
  create(
    caller: Caller,
    body: ScheduleBody,
    reason?: string | null,
  ): Promise<{ schedule: WireSchedule; created: boolean }>
  /** All checks of a create, nothing stored; the first instants. */
  validate(caller: Caller, body: ScheduleBody): Promise<{ valid: true; type: string; upcoming: WireUpcoming[] }>
  /** @throws not-found */
  get(caller: Caller, id: string): Promise<WireSchedule>
  /** By id; without inputs. */
  list(caller: Caller, page: { limit?: number; cursor?: string }): Promise<Page<WireSchedule>>
  /** A changed timetable starts anew from now. @throws schedule-declared, version-mismatch */
  update(
    caller: Caller,
    id: string,
    changes: ScheduleUpdate,
    request?: Omit<ActionRequest, 'key'>,
  ): Promise<WireSchedule>
  pause(caller: Caller, id: string, request: Omit<ActionRequest, 'key'>): Promise<WireSchedule>
  /** What passed while it was paused is dealt with by its missed-run rule. */
  resume(caller: Caller, id: string, request: Omit<ActionRequest, 'key'>): Promise<WireSchedule>
  /** A job now, whatever the timetable, a pause or the overlap rule say; the timetable does not move. */
  run(caller: Caller, id: string, request: ActionRequest): Promise<WireJob>
  /** Its jobs stay. @throws schedule-declared */
  remove(caller: Caller, id: string, request: Omit<ActionRequest, 'key'>): Promise<void>
  /** The next instants after now, paused or not. */
  upcoming(caller: Caller, id: string, count: number): Promise<WireUpcoming[]>
}
