/**
 * What one reading of a job says to all streams: events as they are sent, written out once and shared. Who of the readers
 * may have them is decided elsewhere, for each of them.
 */
import type { Status, WireEvent, WireJob, WireProgress } from '../../core/index.js'
import type { JobReading } from '../../engine/api.js'

/** What rights and filters look at. */
export type About = Pick<WireJob, 'id' | 'tenant' | 'type' | 'groupId' | 'tags' | 'createdBy'>

export interface News {
  about: About
  items: readonly Item[]
}

const encoder = new TextEncoder()

/** One event for many readers. */
export class Item {
  readonly type: string
  readonly status: Status
  readonly version: number
  /** The event as JSON. */
  readonly json: string
  #frame: Uint8Array | null = null

  /**
   * @param id the cursor of a reader who has it; null for what is not repeated
   * @param operators told to callers with jobs:operate only
   */
  constructor(
    event: WireEvent,
    base: string,
    readonly id: string | null,
    readonly operators = false,
  ) {
    this.type = event.type
    this.status = event.data.status
    this.version = event.data.version
    this.json = JSON.stringify(base === '' ? event : { ...event, source: base + event.source })
  }

  /** The bytes of its server-sent event. */
  get frame(): Uint8Array {
    return (this.#frame ??= encoder.encode(frameOf(this.type, this.json, this.id)))
  }
}

/** A server-sent event. JSON has no raw line breaks, so one `data:` line always holds it. */
export function frameOf(event: string, json: string, id: string | null): string {
  return id === null ? `event: ${event}\ndata: ${json}\n\n` : `id: ${id}\nevent: ${event}\ndata: ${json}\n\n`
}

/**
 * @param id cursor of a reader who has all of it
 * @param before gives the cursor of a reader who has nothing of it: whoever is cut in the middle gets it again
 */
export function newsOf({ job, events }: JobReading, base: string, id: string, before: () => string): News {
  const last = events.length - 1
  return {
    about: aboutOf(job),
    items: events.map(({ event, operators }, i) => new Item(event, base, i === last ? id : before(), operators)),
  }
}

/** Small, because many are kept. */
export function aboutOf({ id, tenant, type, groupId, tags, createdBy }: WireJob): About {
  return { id, tenant, type, groupId, tags, createdBy }
}

/** Progress has no place in the history, so its event is made from the job. */
export function progressEvent(job: WireJob, progress: WireProgress): WireEvent {
  return {
    specversion: '1.0',
    id: `${job.id}:${job.version}:${job.revision}`,
    source: '/v1',
    type: 'job.progress',
    subject: `job/${job.id}`,
    time: progress.updatedAt,
    timestamp: progress.updatedAt,
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
      progress,
    },
  }
}
