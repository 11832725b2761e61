/**
 * What happens on a server, for `webhooks listen`: read from lists at a pace, so that it needs no more than the right to
 * read jobs, and goes on where it was when the server comes back. Tells each event once, in the order of time.
 */
import { UntildoneApiError, UntildoneConnectionError } from '../../client/index.js'
import { type EventType, hears, type WebhookFilter } from '../../core/webhook.js'
import type { WireEvent, WireJob } from '../../core/wire.js'
import type { WireApprovalItem } from '../../core/wire-approval.js'
import type { Context } from '../context.js'

/** What is sent to webhooks: an event of a job, or of an approval. */
export type ListenEvent = Omit<WireEvent, 'data'> & { data: { jobId: string } & Record<string, unknown> }

export interface Wanted {
  events: readonly EventType[]
  filter: WebhookFilter
}

export interface EventSource {
  /**
   * Everything that happens from now on; what was already there when it resolves is not told.
   * @throws UntildoneApiError, UntildoneConnectionError before it resolves; afterwards only what no patience mends
   */
  open(wanted: Wanted, onConnection: (connected: boolean) => void): Promise<AsyncIterable<ListenEvent>>
}

/** Events that lists show. The others reach webhooks of a server only. */
export const LISTENABLE: readonly EventType[] = [
  ...(['job.accepted', 'job.processing', 'job.blocked', 'job.completed', 'job.failed', 'job.cancelled'] as const),
  ...(['approval.requested', 'approval.decided', 'approval.expired'] as const),
]

const EVERY_MS = 1000
/** Lists are asked again from so long before the latest change: commits become visible a little out of order. */
const OVERLAP_MS = 5000
/** So long a job is remembered by what was told of it; afterwards its events are told apart by their time. */
const KEEP_MS = 60_000
const PATIENCE_MS = 30_000

interface EventPage {
  items: WireEvent[]
  nextCursor: string | null
}

export function pollingSource(context: Context): EventSource {
  return {
    async open(wanted, onConnection) {
      const jobs = new JobPoll(context, wanted)
      const approvals = wanted.events.some((type) => type.startsWith('approval.')) ? new ApprovalPoll(context) : null
      await jobs.begin()
      await approvals?.begin()
      return follow(context, wanted, jobs, approvals, onConnection)
    },
  }
}

async function* follow(
  context: Context,
  { events, filter }: Wanted,
  jobs: JobPoll,
  approvals: ApprovalPoll | null,
  onConnection: (connected: boolean) => void,
): AsyncGenerator<ListenEvent> {
  const heard = ({ type, job }: Found) => hears({ events, filter, disabled: null }, type, job)
  for (;;) {
    let found: Found[] = []
    try {
      // Taken before the approvals are asked for: it is not told a second time.
      found = await jobs.look()
      found.push(...((await approvals?.look()) ?? []))
      onConnection(true)
    } catch (error) {
      if (!mayPass(error)) throw error
      onConnection(false)
    }
    // A stable sort: events of one job keep their order within a millisecond.
    found.sort((a, b) => Date.parse(a.event.time) - Date.parse(b.event.time))
    for (const one of found) if (heard(one)) yield one.event
    await context.sleep(EVERY_MS, context.interrupted)
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof UntildoneConnectionError || (error instanceof UntildoneApiError && error.retryable)
}

interface Found {
  type: EventType
  event: ListenEvent
  job: WireJob
}

class JobPoll {
  /** What was told of jobs that changed lately, by version. */
  private readonly told = new Map<string, { version: number; at: number }>()
  /** The latest change that was seen, by the clock of the server. */
  private since = 0

  constructor(
    private readonly context: Context,
    private readonly wanted: Wanted,
  ) {}

  async begin(): Promise<void> {
    const { client, interrupted: signal } = this.context
    const [latest] = (await client.list({ order: '-updatedAt', limit: 1, signal }).page()).items
    if (!latest) return
    this.since = Date.parse(latest.updatedAt)
    for (const job of await this.changed()) this.remember(job, job.version)
  }

  async look(): Promise<Found[]> {
    const floor = this.since - OVERLAP_MS
    const found: Found[] = []
    const changed = await this.changed()
    // All are read before any is remembered: after a lost connection the next look begins where this one did.
    const read: { job: WireJob; events: WireEvent[] }[] = []
    for (const job of changed)
      if (job.version > (this.told.get(job.id)?.version ?? 0)) read.push({ job, events: await this.eventsOf(job) })
    for (const { job, events } of read) {
      const before = this.told.get(job.id)?.version
      for (const event of events) {
        const isNew = before === undefined ? Date.parse(event.time) > floor : event.data.version > before
        if (isNew) found.push({ type: event.type as EventType, event: { ...event, source: '/v1' }, job })
      }
      this.remember(job, Math.max(job.version, events.at(-1)?.data.version ?? 0))
    }
    const [latest] = changed
    if (latest) this.since = Math.max(this.since, Date.parse(latest.updatedAt))
    for (const [id, { at }] of this.told) if (at < this.since - KEEP_MS) this.told.delete(id)
    return found
  }

  /** Newest change first: what changes while pages are read is in the next look. */
  private async changed(): Promise<WireJob[]> {
    const { types, groupId } = this.wanted.filter
    const found: WireJob[] = []
    const updatedAfter = new Date(Math.max(0, this.since - OVERLAP_MS))
    const query = { updatedAfter, order: '-updatedAt', limit: 200, group: groupId, type: types } as const
    for await (const job of this.context.client.list({ ...query, signal: this.context.interrupted })) found.push(job)
    return found
  }

  private remember({ id, updatedAt }: WireJob, version: number): void {
    this.told.set(id, { version, at: Date.parse(updatedAt) })
  }

  private async eventsOf({ id }: WireJob): Promise<WireEvent[]> {
    const events: WireEvent[] = []
    for (let after: string | null = ''; after !== null; ) {
      const page: EventPage = await this.page(id, after)
      events.push(...page.items)
      after = page.nextCursor
    }
    return events
  }

  private async page(id: string, after: string): Promise<EventPage> {
    const { io, address, interrupted } = this.context
    const base = address.url.replace(/\/+$/, '').replace(/\/v1$/, '')
    const headers: Record<string, string> = address.key ? { authorization: `Bearer ${address.key}` } : {}
    const query = new URLSearchParams({ limit: '200', ...(after === '' ? {} : { after }) })
    try {
      const answer = await io.fetch(`${base}/v1/jobs/${encodeURIComponent(id)}/events?${query}`, {
        headers,
        signal: AbortSignal.any([interrupted, AbortSignal.timeout(PATIENCE_MS)]),
      })
      if (answer.ok) return (await answer.json()) as EventPage
      await answer.body?.cancel()
      if (answer.status >= 500 || answer.status === 429) throw new Error(`it answered ${answer.status}`)
      // Removed meanwhile, or not for this key any more: nothing is told of it.
      return { items: [], nextCursor: null }
    } catch (error) {
      if (interrupted.aborted) throw interrupted.reason
      throw new UntildoneConnectionError(base, error)
    }
  }
}

/** Among the latest 200 requests: enough for development. */
class ApprovalPoll {
  private known = new Map<string, WireApprovalItem>()

  constructor(private readonly context: Context) {}

  async begin(): Promise<void> {
    this.known = new Map((await this.latest()).map((item) => [item.id, item]))
  }

  async look(): Promise<Found[]> {
    const found: Found[] = []
    const latest = await this.latest()
    for (const item of latest) {
      const type = toldOf(this.known.get(item.id), item)
      if (type === null) continue
      const job = await this.context.client.get(item.jobId, { signal: this.context.interrupted })
      found.push({ type, event: eventOf(type, item, job), job })
    }
    this.known = new Map(latest.map((item) => [item.id, item]))
    return found
  }

  private async latest(): Promise<WireApprovalItem[]> {
    const { client, interrupted: signal } = this.context
    return (await client.approvals.list({ order: '-requestedAt', limit: 200, signal }).page()).items
  }
}

/** As the server tells webhooks: what is between the lines, like the first of two approvals, is not told. */
function toldOf(before: WireApprovalItem | undefined, { state, requestedAt }: WireApprovalItem): EventType | null {
  if (state === 'pending') return before?.requestedAt === requestedAt ? null : 'approval.requested'
  if (state === before?.state || state === 'withdrawn') return null
  return state === 'expired' ? 'approval.expired' : 'approval.decided'
}

function eventOf(type: EventType, item: WireApprovalItem, job: WireJob): ListenEvent {
  const { id: approvalId, jobId, jobType, gate, risk, state, version: round } = item
  const time = item.decidedAt ?? (state === 'expired' ? item.dueAt : item.requestedAt)
  const { groupId, operationKey, status, done, version } = job
  return {
    ...{ specversion: '1.0', id: `${approvalId}:${round}`, source: '/v1', type, subject: `job/${jobId}` },
    ...{ time, timestamp: time, datacontenttype: 'application/json' },
    data: {
      ...{ jobId, jobType, groupId, operationKey, status, done, version, previousStatus: null },
      ...{ approvalId, gate, risk, state },
    },
  }
}
