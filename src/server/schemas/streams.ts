/** Filters and tickets of live streams, as they are sent and answered. */
import { z } from 'zod'
import { STATUSES } from '../../core/index.js'
import type { StreamFilter as Shape } from '../live/filter.js'
import { instant } from './base.js'

export const filterItems = {
  types: z
    .string()
    .regex(/^[A-Za-z0-9._-]{0,128}\*?$/)
    .min(1),
  jobId: z.string().min(1).max(64),
  events: z
    .string()
    .regex(/^[A-Za-z.]{0,64}\*?$/)
    .min(1),
  status: z.enum(STATUSES),
}

export const StreamFilter: z.ZodType<Shape> = z
  .strictObject({
    types: z.array(filterItems.types).min(1).max(100).optional().describe('Job types; a trailing `*` is a prefix.'),
    groupId: z.string().min(1).max(200).optional().describe('Jobs of this group.'),
    status: z.array(filterItems.status).min(1).optional().describe('Only what leads to one of these statuses.'),
    tag: z.string().min(1).max(64).optional().describe('Jobs with this tag.'),
    jobId: z.array(filterItems.jobId).min(1).max(100).optional().describe('These jobs.'),
    events: z
      .array(filterItems.events)
      .min(1)
      .max(100)
      .optional()
      .describe('Kinds of events, e.g. `job.completed`; a trailing `*` is a prefix.'),
  })
  .describe('All members must fit; `{}` is everything the key may see.')

export const StreamTicketRequest = z
  .strictObject({
    filter: StreamFilter.optional().describe(
      'All that the ticket can be used for. Default everything the key may see.',
    ),
    ttlMs: z
      .int()
      .min(1000)
      .max(3_600_000)
      .optional()
      .describe('How long streams can be opened with it. Default 10 minutes; for sockets at most 1 minute.'),
    use: z
      .enum(['sse', 'ws'])
      .optional()
      .describe('`sse`: any number of event streams until it expires. `ws`: one socket, within a minute. Default sse.'),
  })
  .describe('What stands in for the key in the address of a stream.')

export const StreamTicket = z
  .object({
    ticket: z.string().describe('For `?ticket=`. Treat it like a key that can only watch.'),
    expiresAt: instant,
  })
  .describe('A right to watch, for a short time.')
