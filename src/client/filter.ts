/**
 * Which jobs and events somebody wants to hear of: as a query, as a test, and a job as the event that it would have been.
 * Pure. The members are those of the HTTP API, because tickets and sockets carry the same object.
 */
import type { Status } from '../core/job.js'
import type { WireEvent, WireJob } from '../core/wire.js'
import type { Query } from './transport.js'

/** All members must fit; an empty filter is everything the key may see. */
export interface EventFilter {
  /** Job types: exact names, or prefixes that end in `*`. @default all */
  types?: readonly string[]
  /** Jobs of this group. @default all */
  groupId?: string
  /** Only while the job has one of these statuses. @default all */
  status?: readonly Status[]
  /** Jobs with this tag. @default all */
  tag?: string
  /** These jobs, 100 at most. @default all */
  jobId?: readonly string[]
  /** Kinds of events, for example `job.completed`; a trailing `*` is a prefix. @default all */
  events?: readonly string[]
}

/** The filter without its empty members, as it is sent. */
export function compact(filter: EventFilter): EventFilter {
  const given = Object.entries(filter).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(given) as EventFilter
}

export function queryOfFilter(filter: EventFilter): Query {
  return { ...compact(filter) } as Query
}

/** True when the server begins with the jobs themselves: it can name them all. */
export function namesJobs(filter: EventFilter): boolean {
  return filter.groupId !== undefined || filter.jobId !== undefined
}

export function wantsJob(filter: EventFilter, job: WireJob): boolean {
  const { types, groupId, status, tag, jobId } = filter
  return (
    (types === undefined || fits(types, job.type)) &&
    (groupId === undefined || job.groupId === groupId) &&
    (status === undefined || status.includes(job.status)) &&
    (tag === undefined || job.tags.includes(tag)) &&
    (jobId === undefined || jobId.includes(job.id))
  )
}

export function wantsEvent({ events }: EventFilter, type: string): boolean {
  return events === undefined || fits(events, type)
}

function fits(names: readonly string[], name: string): boolean {
  return names.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one))
}

/** The newest event of a job, as far as the job itself tells. */
export function eventOf(job: WireJob): WireEvent {
  return {
    specversion: '1.0',
    id: `${job.id}:${job.version}`,
    source: '/v1',
    type: `job.${job.status}`,
    subject: `job/${job.id}`,
    time: job.updatedAt,
    timestamp: job.updatedAt,
    datacontenttype: 'application/json',
    data: {
      jobId: job.id,
      jobType: job.type,
      status: job.status,
      done: job.done,
      version: job.version,
      groupId: job.groupId,
      operationKey: job.operationKey,
      previousStatus: null,
    },
  }
}

/** What a frame carries, when it carries an event. */
export function asEvent(data: unknown): WireEvent | null {
  const event = data as WireEvent | null | undefined
  const { jobId, version } = event?.data ?? {}
  return typeof event?.type === 'string' && typeof jobId === 'string' && typeof version === 'number' ? event : null
}

export function asJob(data: unknown): WireJob | null {
  const { job } = (data ?? {}) as { job?: WireJob }
  return typeof job?.id === 'string' && typeof job.version === 'number' ? job : null
}
