/**
 * Audit entries and their hash chain (rulings 16): sha256hex(prevHash + '\n' + canonical JSON of the entry without its
 * hashes), the first prevHash being 64 zeros. One chain per tenant. Pure; the hash function comes in.
 */
import type { Actor } from './job.js'
import { canonicalJson, type Json } from './json.js'

/** Who did what to what, and why. */
export interface AuditEntry {
  /** 1, 2, 3 … per tenant, without a gap. */
  seq: number
  at: number
  tenant: string
  actor: Actor
  /** e.g. `job.cancel`, `job.retry`, `key.create`. */
  action: string
  /** What it was done to, e.g. `job/019a…`. */
  target: string
  reason: string | null
  details: Json
  prevHash: string
  hash: string
}

export type AuditDraft = Pick<AuditEntry, 'tenant' | 'actor' | 'action' | 'target' | 'reason' | 'details'>

export const FIRST_PREV_HASH = '0'.repeat(64)

/** The next entry of a chain. */
export function chain(
  draft: AuditDraft,
  previous: { seq: number; hash: string } | null,
  at: number,
  sha256: (text: string) => string,
): AuditEntry {
  const prevHash = previous?.hash ?? FIRST_PREV_HASH
  const body = {
    seq: (previous?.seq ?? 0) + 1,
    at,
    tenant: draft.tenant,
    actor: draft.actor,
    action: draft.action,
    target: draft.target,
    reason: draft.reason,
    details: draft.details,
  }
  return { ...body, prevHash, hash: sha256(`${prevHash}\n${canonicalJson(body)}`) }
}

/**
 * The first entry that does not follow from its predecessor, or null when all of them do.
 * @param before the entry before the first; null at the beginning of a chain
 */
export function firstBreak(
  entries: readonly AuditEntry[],
  sha256: (text: string) => string,
  before: AuditEntry | null = null,
): AuditEntry | null {
  let previous = before
  for (const entry of entries) {
    const again = chain(entry, previous, entry.at, sha256)
    if (again.seq !== entry.seq || again.prevHash !== entry.prevHash || again.hash !== entry.hash) return entry
    previous = entry
  }
  return null
}
