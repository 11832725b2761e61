/** The query that lists share, and how it reaches the engine. */
import { z } from 'zod'
import { ORIGINS, STATUSES } from '../../core/index.js'
import type { ListQuery } from '../../engine/api.js'
import { bool, instant, list, oneOf, text } from '../query.js'
import { json, type Reply, underBase } from '../reply.js'
import type { Call } from '../route.js'
import { checkInclude, LIMIT, nextLink } from './shared.js'

export const listQuery = {
  status: list(z.enum(STATUSES), 'Only these statuses.', { example: ['processing', 'blocked'] }),
  type: list(z.string().min(1).max(129), 'Only these job types; a trailing `*` is a prefix.', {
    example: ['ocr.extract', 'ocr.*'],
  }),
  groupId: text('Only this group.'),
  operationKey: text('Only this business operation.'),
  parentId: text('Only children of this job.'),
  tag: text('Only jobs with this tag.', 64),
  schedule: text('Only jobs that this schedule made.', 100),
  createdAfter: instant('Created after this instant.'),
  createdBefore: instant('Created before this instant.'),
  updatedAfter: instant('Changed after this instant.'),
  late: bool('Only jobs that are late (or, with false, that are not).'),
  needsAttention: bool('Only jobs a person should look at: blocked, late, or failed without a resolution.'),
  origin: oneOf(ORIGINS, 'Only jobs with an attempt that failed for this origin.'),
  model: text('Only jobs in which this model decided something.'),
  modelVersion: text('Only jobs with a decision by this version of a model.'),
  tool: text('Only jobs with a decision that used this tool.'),
  order: oneOf(
    ['-createdAt', 'createdAt', '-updatedAt', '-finishedAt'],
    'A minus is newest first. Default -createdAt.',
  ),
  limit: LIMIT,
  cursor: text('`nextCursor` of the page before, with the same filters.', 2000),
  include: list(z.enum(['ops']), 'Further members for each job; needs jobs:operate.'),
}

export async function listJobs(call: Call<typeof listQuery>, fixed: Partial<ListQuery> = {}): Promise<Reply> {
  const { engine, settings } = call.server
  checkInclude(call.caller, call.query.include)
  const query: ListQuery = { ...call.query, ...fixed }
  if (query.limit !== undefined) query.limit = Math.min(query.limit, 200)
  const page = await engine.list(call.caller, query)
  const items = page.items.map((job) => underBase(job, settings.base))
  return json(
    { items, nextCursor: page.nextCursor, estimatedTotal: null },
    200,
    nextLink(call, 'cursor', page.nextCursor),
  )
}
