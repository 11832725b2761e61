/**
 * The headers of a delivery, after Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<body>` under the bytes of a
 * `whsec_` secret. As the server signs, so that a receiver needs no other code for development.
 */
import { createHmac } from 'node:crypto'

export interface SignedHeaders {
  'webhook-id': string
  'webhook-timestamp': string
  'webhook-signature': string
}

export function signed(
  { id, sentAt, body }: { id: string; sentAt: number; body: string },
  secret: string,
): SignedHeaders {
  const timestamp = String(Math.floor(sentAt / 1000))
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}
