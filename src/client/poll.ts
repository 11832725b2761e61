/**
 * Hearing of many jobs by asking again and again, where streams are not to be had. Gives each job as it is now; what is
 * new about it is for the reader to say. All instants are the server's: the clock here may be wrong.
 */
import type { WireJob } from '../core/wire.js'
import { UntildoneApiError } from './errors.js'
import { compact, type EventFilter, namesJobs, wantsJob } from './filter.js'
import type { Page } from './paged.js'
import { endsFollowing } from './retry.js'
import type { Call, Query, Transport } from './transport.js'

/** A job as a round found it. */
export interface Polled {
  job: WireJob
  /** It was so before the reader began; to be remembered, not told. */
  before: boolean
}

const FIRST_MS = 2000
const LONGEST_MS = 15_000
// Transactions that run at the same time become visible in another order than that of their instants.
const OVERLAP_MS = 10_000
const PAGE = 200

export class Poller {
  private readonly filter: EventFilter
  /** Everything that changed until then is told; null: nothing is known yet. */
  private since: number | null = null
  /** What the last round found so late that the next one finds it again. */
  private overlap = new Set<string>()
  private readonly tags = new Map<string, string>()
  private readonly gone = new Set<string>()
  private pause = FIRST_MS

  /** @param all begin with all jobs of the filter instead of with what changes from now on */
  constructor(
    private readonly transport: Transport,
    filter: EventFilter,
    private readonly all: boolean,
    private readonly call: Pick<Call, 'signal' | 'onTrouble'>,
  ) {
    this.filter = compact(filter)
  }

  /** Nothing that changed before this instant of the server has to be asked for. */
  heardUntil(instant: number | null): void {
    if (instant !== null && !Number.isNaN(instant)) this.since = Math.max(this.since ?? 0, instant)
  }

  get knowsSince(): boolean {
    return this.since !== null
  }

  /** One look at everything. @throws UntildoneApiError when it may not be read, the abort reason */
  async *round(): AsyncGenerator<Polled, void> {
    let changed = false
    for await (const polled of this.filter.jobId ? this.each(this.filter.jobId) : this.changed()) {
      changed ||= !polled.before
      if (wantsJob(this.filter, polled.job)) yield polled
    }
    this.pause = changed ? FIRST_MS : Math.min(LONGEST_MS, this.pause * 1.5)
  }

  /** Until the next round. */
  get pauseMs(): number {
    return this.pause * (0.8 + 0.4 * this.transport.clock.random())
  }

  /** Takes the present as the beginning, where the server has not said what time it is. */
  async begin(patient: boolean): Promise<void> {
    if (this.since !== null) return
    const newest = (await this.page({ order: '-updatedAt', limit: 1 }, patient)).items[0]
    this.heardUntil(newest ? Date.parse(newest.updatedAt) : 0)
  }

  /** Named jobs, each by its own tag. */
  private async *each(ids: readonly string[]): AsyncGenerator<Polled, void> {
    for (const id of ids) {
      if (this.gone.has(id)) continue
      try {
        const tag = this.tags.get(id)
        const path = `/v1/jobs/${encodeURIComponent(id)}`
        const headers: Record<string, string> = tag ? { 'if-none-match': tag } : {}
        const answer = await this.transport.json<WireJob | undefined>({ path, headers, patient: true, ...this.call })
        if (!answer.body) continue
        const next = answer.headers.get('etag')
        if (next) this.tags.set(id, next)
        yield { job: answer.body, before: false }
      } catch (error) {
        // One of them is not there; that is no reason to say nothing of the others.
        if (!(error instanceof UntildoneApiError) || !endsFollowing(error) || error.status < 404) throw error
        this.gone.add(id)
      }
    }
  }

  private async *changed(): AsyncGenerator<Polled, void> {
    // What changed shortly before the beginning is looked at once, so that the overlap does not tell it later.
    const first = this.since === null && !this.all
    if (first) await this.begin(true)
    const after = this.since === null ? undefined : new Date(Math.max(0, this.since - OVERLAP_MS)).toISOString()
    let newest: number | null = null
    let cursor: string | undefined
    const overlap = new Set<string>()
    do {
      const page: Page<WireJob> = await this.page(
        { updatedAfter: after, order: '-updatedAt', limit: PAGE, cursor },
        true,
      )
      // Jobs that change meanwhile move to pages that we have passed: the next round begins where this one did.
      newest ??= page.items[0] ? Date.parse(page.items[0].updatedAt) : null
      for (const job of page.items) {
        const found = `${job.id} ${job.revision}`
        if (Date.parse(job.updatedAt) > newest! - OVERLAP_MS) overlap.add(found)
        if (!this.overlap.has(found)) yield { job, before: first }
      }
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
    this.overlap = overlap
    this.heardUntil(newest)
  }

  private page(query: Query, patient: boolean): Promise<Page<WireJob>> {
    return listPage(this.transport, this.filter, query, { ...this.call, patient })
  }
}

/** One page of the jobs of a filter, without their results. */
export async function listPage(
  transport: Transport,
  { types, groupId, status, tag }: EventFilter,
  more: Query,
  call: Partial<Call>,
): Promise<Page<WireJob>> {
  const query: Query = { type: types, groupId, status, tag, ...more }
  return (await transport.json<Page<WireJob>>({ ...call, path: '/v1/jobs', query })).body
}

/** All of them. */
export async function* listAll(
  transport: Transport,
  filter: EventFilter,
  more: Query,
  call: Partial<Call>,
): AsyncGenerator<WireJob, void> {
  let cursor: string | undefined
  do {
    const page: Page<WireJob> = await listPage(transport, filter, { ...more, limit: PAGE, cursor }, call)
    yield* page.items
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}

/** True when the first round must tell all jobs: the server would begin with them, or the reader was here before. */
export function beginsWithAll(filter: EventFilter, after: string | null): boolean {
  return namesJobs(filter) || after !== null
}
