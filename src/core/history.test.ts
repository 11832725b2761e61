import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type AuditDraft, type AuditEntry, chain, FIRST_PREV_HASH, firstBreak } from './history.js'
import { canonicalJson } from './json.js'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const draft = (action: string, more: Partial<AuditDraft> = {}): AuditDraft => ({
  tenant: 'default',
  actor: { kind: 'user', id: 'u-1', name: 'Ada' },
  action,
  target: 'job/1',
  reason: 'because',
  details: { requestId: 'r-1' },
  ...more,
})

function chainOf(length: number): AuditEntry[] {
  const entries: AuditEntry[] = []
  for (let i = 0; i < length; i++)
    entries.push(chain(draft(`job.cancel-${i}`), entries.at(-1) ?? null, 1000 + i, sha256))
  return entries
}

describe('the audit chain', () => {
  it('starts at 64 zeros and hashes the entry without its hashes', () => {
    const [first] = chainOf(1)
    const { prevHash, hash, ...body } = first!
    expect(prevHash).toBe(FIRST_PREV_HASH)
    expect(FIRST_PREV_HASH).toBe('0'.repeat(64))
    expect(hash).toBe(sha256(`${'0'.repeat(64)}\n${canonicalJson(body)}`))
    expect(first!.seq).toBe(1)
  })

  it('links each entry to the one before, without a gap', () => {
    const entries = chainOf(5)
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
    for (let i = 1; i < 5; i++) expect(entries[i]!.prevHash).toBe(entries[i - 1]!.hash)
    expect(firstBreak(entries, sha256)).toBeNull()
    expect(firstBreak([], sha256)).toBeNull()
  })

  it.each<[string, Partial<AuditEntry>]>([
    ['reason', { reason: 'other' }],
    ['instant', { at: 1 }],
    ['actor', { actor: { kind: 'user', id: 'u-2', name: 'Ada' } }],
    ['target', { target: 'job/2' }],
    ['details', { details: { requestId: 'r-2' } }],
    ['hash', { hash: 'f'.repeat(64) }],
    ['tenant', { tenant: 'other' }],
  ])('an edited %s is found', (_, edit) => {
    const entries = chainOf(5)
    entries[2] = { ...entries[2]!, ...edit }
    expect(firstBreak(entries, sha256)).toBe(entries[2])
  })

  it('an edit with a hash made to fit is found at the next entry', () => {
    const entries = chainOf(5)
    entries[2] = chain({ ...entries[2]!, reason: 'forged' }, entries[1]!, entries[2]!.at, sha256)
    expect(firstBreak(entries, sha256)).toBe(entries[3])
  })

  it('a removed or moved entry is found', () => {
    const entries = chainOf(5)
    expect(firstBreak(entries.toSpliced(2, 1), sha256)).toBe(entries[3])
    expect(firstBreak(entries.slice(1), sha256)).toBe(entries[1])
    const [a, b, c, d, e] = entries
    expect(firstBreak([a!, c!, b!, d!, e!], sha256)).toBe(c)
  })
})
