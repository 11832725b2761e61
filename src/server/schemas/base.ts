/** What all schemas are made of: instants, ids, counts, who did it, and the six words. */
import { z } from 'zod'
import type { Json } from '../../core/index.js'

export const instant = z.string().meta({ format: 'date-time' })
export const uuid = z.string().meta({ format: 'uuid' })
export const count = z.int().min(0)
/** Any JSON value. */
export const anyJson = z.custom<Json>()

export const Status = z
  .enum(['accepted', 'processing', 'blocked', 'completed', 'failed', 'cancelled'])
  .describe(
    'What a customer can be told. `accepted`: stored, not begun. `processing`: we work on it, waiting to try again ' +
      'included. `blocked`: waits for somebody outside, see `blockedOn`. `completed`, `failed`, `cancelled`: final.',
  )

export const Actor = z
  .object({
    kind: z.enum(['apiKey', 'user', 'worker', 'system']),
    id: z.string(),
    name: z.string().optional(),
  })
  .describe('Who caused something.')

export const Person = z
  .object({ id: z.string(), name: z.string().nullable().optional() })
  .describe('Somebody in your world; compared by `id`.')
