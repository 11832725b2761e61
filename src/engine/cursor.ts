/**
 * Sealed texts: something that a caller can hand back and cannot read or change. AES-256-GCM over the value and what it
 * belongs to (tenant, filters), so that it is useless elsewhere; one key per purpose. A cursor carries no rights.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { UntildoneError } from '../core/errors.js'
import { canonicalJson } from '../core/json.js'

export class Cursors {
  private readonly key: Buffer
  constructor(secret: string, purpose: 'cursor' | 'stream' | 'ticket' = 'cursor') {
    this.key = createHash('sha256').update(`${purpose}\n${secret}`).digest()
  }

  /** @param belongs what the cursor is good for: tenant and filters */
  seal(position: unknown, belongs: unknown): string {
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.key, iv)
    cipher.setAAD(Buffer.from(canonicalJson(belongs)))
    const body = Buffer.concat([cipher.update(JSON.stringify(position), 'utf8'), cipher.final()])
    return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')
  }

  /** @throws UntildoneError `invalid-cursor` */
  open<T>(cursor: string, belongs: unknown): T {
    try {
      return this.unsealed(cursor, belongs) as T
    } catch (cause) {
      throw new UntildoneError('invalid-cursor', 'The cursor was changed, or belongs to other filters.', { cause })
    }
  }

  /** What was sealed, or null when it cannot be opened. */
  tryOpen<T>(text: string, belongs: unknown): T | null {
    try {
      return this.unsealed(text, belongs) as T
    } catch {
      return null
    }
  }

  private unsealed(text: string, belongs: unknown): unknown {
    const bytes = Buffer.from(text, 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', this.key, bytes.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(Buffer.from(canonicalJson(belongs)))
    decipher.setAuthTag(bytes.subarray(12, 28))
    return JSON.parse(Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8'))
  }
}
