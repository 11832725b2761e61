/**
 * Jobs as they are, for readers who have no place to go on from. Read page by page, as far as somebody takes them; the
 * store says what there is, so nothing that ended while nobody listened is missed.
 */
import type { Status, WireJob } from '../../core/index.js'
import type { Caller, Engine, ListQuery } from '../../engine/api.js'
import type { Filter } from './filter.js'
import { aboutOf } from './news.js'

/** A reader who names its jobs is told the newest ones first, and no more than these. */
export const FIRST = 1000
/** Clocks of processes differ, and a commit takes its time: so much earlier than the cursor says we begin to look. */
export const SLACK_MS = 60_000

const PAGE = 200
const UNFINISHED: readonly Status[] = ['accepted', 'processing', 'blocked']

/** The newest jobs of the filter; returns whether there are more. */
export async function* newest(engine: Engine, caller: Caller, filter: Filter): AsyncGenerator<WireJob, boolean> {
  let told = 0
  for await (const job of listed(engine, caller, filter, filter.statuses, { order: '-createdAt' })) {
    if (told++ === FIRST) return true
    yield job
  }
  return false
}

/** Jobs of the filter that are unfinished, or ended since `since`. */
export async function* changedSince(
  engine: Engine,
  caller: Caller,
  filter: Filter,
  since: number,
): AsyncGenerator<WireJob, boolean> {
  const { statuses } = filter
  const isUnfinished = (status: Status) => UNFINISHED.includes(status)
  yield* listed(engine, caller, filter, statuses.filter(isUnfinished), { order: 'createdAt' })
  yield* listed(
    engine,
    caller,
    filter,
    statuses.filter((status) => !isUnfinished(status)),
    { order: '-finishedAt', updatedAfter: since - SLACK_MS },
  )
  return false
}

async function* listed(
  engine: Engine,
  caller: Caller,
  filter: Filter,
  status: Status[],
  how: Pick<ListQuery, 'order' | 'updatedAfter'>,
): AsyncGenerator<WireJob, void> {
  if (status.length === 0) return
  const query: ListQuery = { ...filter.query, ...how, limit: PAGE, ...(status.length < 6 ? { status } : {}) }
  for (let cursor: string | undefined; ; ) {
    const page = await engine.list(caller, cursor === undefined ? query : { ...query, cursor })
    for (const job of page.items) if (filter.wantsJob(aboutOf(job), job.status)) yield job
    if (page.nextCursor === null) return
    cursor = page.nextCursor
  }
}
