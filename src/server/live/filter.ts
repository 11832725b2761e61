/**
 * Which jobs and events a reader wants: as a test of what happens, and as the list query that finds the jobs themselves.
 * Pure; rights are somebody else's.
 */
import { STATUSES, type Status } from '../../core/index.js'
import type { ListQuery } from '../../engine/api.js'
import type { Change } from '../../stores/store.js'
import type { About } from './news.js'

/** As it is written in queries, tickets and sockets: all members must fit, an empty one wants everything. */
export interface StreamFilter {
  /** Exact names, or prefixes that end in `*`. */
  types?: string[]
  groupId?: string
  /** The status after what happened. */
  status?: Status[]
  tag?: string
  jobId?: string[]
  /** Kinds of events: exact, or prefixes that end in `*`. */
  events?: string[]
}

/** What there is to know of a change before the job is read. */
type Hint = Pick<Change, 'jobId' | 'type' | 'groupId'>

export class Filter {
  readonly #parts: readonly StreamFilter[]

  /** @param parts all of them must fit: what was asked for, and what a ticket is bound to */
  constructor(parts: readonly StreamFilter[]) {
    this.#parts = parts
  }

  /** It can name its jobs, so a new reader is told all of them first. */
  get namesJobs(): boolean {
    return this.#parts.some(({ groupId, jobId }) => groupId !== undefined || jobId !== undefined)
  }

  /** False when nothing of this job can be wanted, as far as a change notice tells. */
  mayWant({ jobId, type, groupId }: Hint): boolean {
    return this.#parts.every(
      (part) =>
        (part.jobId === undefined || part.jobId.includes(jobId)) &&
        (part.types === undefined || fits(part.types, type)) &&
        (part.groupId === undefined || groupId === null || part.groupId === groupId),
    )
  }

  wantsKind(type: string): boolean {
    return this.#parts.every(({ events }) => events === undefined || fits(events, type))
  }

  wants(about: About, { type, status }: { type: string; status: Status }): boolean {
    return this.wantsKind(type) && this.wantsJob(about, status)
  }

  wantsJob(about: About, status: Status): boolean {
    return this.#parts.every(
      (part) =>
        (part.jobId === undefined || part.jobId.includes(about.id)) &&
        (part.types === undefined || fits(part.types, about.type)) &&
        (part.groupId === undefined || part.groupId === about.groupId) &&
        (part.tag === undefined || about.tags.includes(part.tag)) &&
        (part.status === undefined || part.status.includes(status)),
    )
  }

  /** Statuses of jobs that are told as they are: a snapshot stands for the events that led there, so it obeys `events`. */
  get statuses(): Status[] {
    return STATUSES.filter(
      (status) =>
        this.#parts.every((part) => part.status === undefined || part.status.includes(status)) &&
        (this.wantsKind(`job.${status}`) ||
          (status === 'processing' && (this.wantsKind('job.progress') || this.wantsKind('job.retrying')))),
    )
  }

  /** Finds at least the jobs that `wantsJob` may take. */
  get query(): Pick<ListQuery, 'id' | 'type' | 'groupId' | 'tag'> {
    const first = <K extends keyof StreamFilter>(name: K) =>
      this.#parts.find((part) => part[name] !== undefined)?.[name]
    return { id: first('jobId'), type: first('types'), groupId: first('groupId'), tag: first('tag') }
  }
}

function fits(patterns: readonly string[], name: string): boolean {
  return patterns.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name))
}
