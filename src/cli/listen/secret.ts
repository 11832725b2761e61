/**
 * The signing secret of `webhooks listen`: made once, kept in the data folder, the same at every start, so that a receiver
 * is told of it once. It signs what stays on this machine and is no secret of a server.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** `kept: false`: the folder cannot be written, so that the next start has another one. */
export function listenSecret(dataDir: string): { secret: string; kept: boolean } {
  const path = join(dataDir, 'webhook-secret')
  const known = read(path)
  if (known) return { secret: known, kept: true }
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  try {
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(path, `${secret}\n`, { mode: 0o600 })
    return { secret, kept: true }
  } catch {
    return { secret, kept: false }
  }
}

function read(path: string): string | null {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/.test(text) ? text : null
  } catch {
    return null
  }
}
