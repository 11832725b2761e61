/** API keys, and the secret of the store. */
import { expect } from 'vitest'
import type { ApiKeyRow } from '../../stores/store.js'
import { audit } from './bench.js'
import type { Suite } from './index.js'

const key = (id: string, more: Partial<ApiKeyRow> = {}): ApiKeyRow => ({
  ...{ id, tenant: 'default', name: 'crm', hash: 'abc', scopes: ['jobs:submit'], types: ['ocr.*'], createdAt: 5 },
  ...{ person: null, groups: null, maxRisk: null },
  ...{ expiresAt: null, revokedAt: null, lastUsedAt: null },
  ...more,
})

export function keyTests({ test }: Suite): void {
  test('a key is kept as it was put, audited, and belongs to one tenant', async ({ store }) => {
    expect(await store.keys.any()).toBe(false)
    const rows = [
      key('key_a'),
      key('key_b', { types: null, expiresAt: 99, createdAt: 6 }),
      key('key_c', { tenant: 'other' }),
    ]
    for (const row of rows) await store.keys.put(row, audit({ action: 'key.create', tenant: row.tenant }))
    for (const row of rows) expect(await store.keys.get(row.id)).toEqual(row)
    expect(await store.keys.list('default')).toEqual(rows.slice(0, 2))
    expect(await store.keys.get('key_x')).toBeNull()
    expect(await store.keys.any()).toBe(true)
    expect((await store.audit('default', 0, 5)).map(({ action }) => action)).toEqual(['key.create', 'key.create'])
  })

  test('a change of a key keeps its secret; use is noted', async ({ store }) => {
    await store.keys.put(key('key_a'), audit())
    await store.keys.used('key_a', 50)
    await store.keys.put(key('key_a', { revokedAt: 70, hash: 'other', scopes: ['admin'], tenant: 'other' }), audit())
    expect(await store.keys.get('key_a')).toEqual(key('key_a', { revokedAt: 70, lastUsedAt: 50 }))
    await store.keys.used('key_x', 50)
    expect(await store.keys.any()).toBe(true)
  })

  test('the secret of a store is random, and the same after a restart', async (bench) => {
    const secret = await bench.store.secret()
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(await bench.store.secret()).toBe(secret)
    await bench.reopen()
    expect(await bench.store.secret()).toBe(secret)
  })
}
