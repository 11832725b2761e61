/** What clients say on a socket. Strict like the rest of the API: an unknown member is refused, never ignored. */
import { z } from 'zod'
import { UntildoneError } from '../../core/index.js'
import { StreamFilter } from '../schemas/streams.js'
import { readBody } from '../validate.js'

/** The client's own name for a subscription. */
export type Ref = number | string

const ref = z.union([z.int().min(0), z.string().min(1).max(64)])

const FRAMES = {
  subscribe: z.strictObject({
    op: z.literal('subscribe'),
    ref,
    filter: StreamFilter.optional(),
    after: z.string().min(1).max(600).nullable().optional(),
  }),
  unsubscribe: z.strictObject({ op: z.literal('unsubscribe'), ref }),
  ping: z.strictObject({ op: z.literal('ping') }),
} as const

type Op = keyof typeof FRAMES
export type ClientFrame = { [K in Op]: z.infer<(typeof FRAMES)[K]> }[Op]

/** The `ref` of a text that may be wrong otherwise; null when it has none. */
export function refIn(value: unknown): Ref | null {
  const given = ref.safeParse((value as { ref?: unknown } | null)?.ref)
  return given.success ? given.data : null
}

/** @throws UntildoneError malformed-request */
export function parseFrame(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UntildoneError('malformed-request', 'This text is no JSON.', { fix: EXAMPLE })
  }
}

/** @throws UntildoneError malformed-request, validation-failed */
export function readFrame(value: unknown): ClientFrame {
  const { op } = (value ?? {}) as { op?: unknown }
  if (typeof op !== 'string' || !Object.hasOwn(FRAMES, op)) {
    throw new UntildoneError('malformed-request', `"op" must be one of ${Object.keys(FRAMES).join(', ')}.`, {
      fix: EXAMPLE,
    })
  }
  return readBody(FRAMES[op as Op] as z.ZodType<ClientFrame>, value)
}

const EXAMPLE = 'Send a JSON text like {"op":"subscribe","ref":1,"filter":{"groupId":"session-42"}}.'
