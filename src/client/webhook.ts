/**
 * For who receives webhooks: whether a request is a real delivery, and whether its event is newer than what is known.
 * Keeps nothing: what was seen before is the caller's to store.
 */
import { checkWebhook, type WebhookProblem } from '../core/webhook-signature.js'
import type { WireEvent } from '../core/wire.js'

export {
  type OutgoingWebhook,
  type SignedHeaders,
  signWebhook,
  type WebhookProblem,
} from '../core/webhook-signature.js'
export type { WireEvent as WebhookEvent } from '../core/wire.js'

export interface VerifyWebhookOptions {
  /**
   * How far the time of the delivery may be from now, either way, in milliseconds. Longer lets a recorded delivery be
   * played back for longer. @default 300 000
   */
  toleranceMs?: number
  /** Milliseconds since the epoch; for tests. @default Date.now() */
  now?: number
}

/** What headers may come as: fetch's `Headers`, Node's `request.headers`, or any object with names in any case. */
export type WebhookHeaders = { get(name: string): string | null } | Record<string, string | string[] | undefined>

const TOLERANCE_MS = 300_000
const REPEAT = 'A real delivery comes again, with a new time.'

const FIXES: Record<WebhookProblem, { status: 400 | 500; fix: string }> = {
  'webhook-header-missing': {
    status: 400,
    fix: 'Hand over the headers of the request as they came. If they are missing there, something in between removes them, or this is no webhook.',
  },
  'webhook-header-invalid': { status: 400, fix: 'Refuse it: a server of ours does not send this.' },
  'webhook-too-old': {
    status: 400,
    fix: `Refuse it: somebody may be playing it back. ${REPEAT} If all are too old, set the clock of this machine.`,
  },
  'webhook-too-new': { status: 400, fix: 'Set the clock of this machine, or that of the server.' },
  'webhook-signature-mismatch': {
    status: 400,
    fix: 'Compare the key with that of the webhook, and hand over the body as it came: the bytes or the text, before any parser.',
  },
  'webhook-body-not-json': { status: 400, fix: 'Hand over the whole body; it is one JSON object.' },
  'webhook-body-parsed': {
    status: 500,
    fix: "Pass the raw body: with Express use express.raw({ type: 'application/json' }) for this route, with fetch handlers and Next use await request.text().",
  },
  'webhook-key-invalid': {
    status: 500,
    fix: 'Give the key as it was shown when the webhook was made: whsec_…, or whpk_… for ed25519.',
  },
}

/** A request that must not be believed, or a receiver that is set up wrong. `code` says which. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError'
  readonly code: WebhookProblem
  readonly fix: string
  /** What to answer: 400 for what came, 500 for what is wrong with this receiver. */
  readonly status: 400 | 500

  constructor(code: WebhookProblem, message: string) {
    super(message)
    this.code = code
    this.fix = FIXES[code].fix
    this.status = FIXES[code].status
  }
}

/**
 * The event of a webhook, once it is certain that an owner of the key sent exactly this, and lately. Believe nothing of
 * a request before. Works in any runtime with WebCrypto.
 *
 * A delivery may come more than once with the same `event.id` (answers get lost): store the id together with what you do
 * about it. Events may come in another order than they happened: see `isNewer`.
 *
 * @param headers of the request: `Headers`, Node's `request.headers`, or an object with names in any case
 * @param body as it came: text or bytes. Parsed and written again it is another text, and no signature fits
 * @param keys `whsec_…` or `whpk_…`; several while a key is being replaced
 * @throws WebhookVerificationError with `code`, `fix` and the `status` to answer with
 *
 * @example Express
 * app.post('/hooks', express.raw({ type: 'application/json' }), async (request, response) => {
 *   const event = await verifyWebhook(request.headers, request.body, secret)
 *   response.sendStatus(204)
 * })
 *
 * @example Hono, and any handler of fetch requests
 * app.post('/hooks', async (c) => {
 *   const event = await verifyWebhook(c.req.raw.headers, await c.req.text(), c.env.WEBHOOK_SECRET)
 *   return c.body(null, 204)
 * })
 *
 * @example Next, app/hooks/route.ts
 * export async function POST(request: Request) {
 *   const event = await verifyWebhook(request.headers, await request.text(), secret)
 *   return new Response(null, { status: 204 })
 * }
 */
export async function verifyWebhook<E = WireEvent>(
  headers: WebhookHeaders,
  body: string | Uint8Array | ArrayBuffer,
  keys: string | readonly string[],
  options: VerifyWebhookOptions = {},
): Promise<E> {
  const { toleranceMs = TOLERANCE_MS, now = Date.now() } = options
  const given = (Array.isArray(keys) ? keys : [keys]) as readonly string[]
  const checked = await checkWebhook({ headers, body, keys: given, toleranceMs, now })
  if (!checked.ok) throw new WebhookVerificationError(checked.code, checked.message)
  return checked.event as E
}

/**
 * Whether an event tells of a later state than the one you know. Keep the version of the last event you took for each
 * job, and leave out what is not newer: then an event that was overtaken changes nothing.
 * @param lastVersion `event.data.version` of the last one taken for this job; null or undefined when there is none
 */
export function isNewer(event: { data: { version: number } }, lastVersion: number | null | undefined): boolean {
  return lastVersion === null || lastVersion === undefined || event.data.version > lastVersion
}
