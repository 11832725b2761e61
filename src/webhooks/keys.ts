/** Keys that sign webhooks, made of the machine's randomness. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Webhook } from '../core/webhook.js'
import { publicKeyOf } from '../core/webhook-signature.js'

/** Bytes of a secret, and of the two halves of an ed25519 key: seed and public key. */
const SECRET_BYTES = 32

/** `whsec_…`, or `whsk_…` with the `whpk_…` that receivers verify with. */
export async function newSecret(signing: Webhook['signing']): Promise<{ secret: string; publicKey: string | null }> {
  if (signing === 'hmac') return { secret: `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`, publicKey: null }
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const secret = `whsk_${Buffer.concat([Buffer.from(d!, 'base64url'), Buffer.from(x!, 'base64url')]).toString('base64')}`
  return { secret, publicKey: await publicKeyOf(secret) }
}
