import { describe, expect, it } from 'vitest'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL } from './api.js'

const open = rigs()

describe('API keys', () => {
  it('are shown once, kept as a hash, and let in with their rights', async () => {
    const rig = await open([])
    expect(await rig.engine.keysExist()).toBe(false)
    const created = await rig.engine.createKey(LOCAL, {
      name: 'crm',
      scopes: ['jobs:submit', 'jobs:read'],
      types: ['ocr.*'],
    })
    expect(created).toMatchObject({
      name: 'crm',
      scopes: ['jobs:submit', 'jobs:read'],
      types: ['ocr.*'],
      expiresAt: null,
      revokedAt: null,
      lastUsedAt: null,
    })
    expect(created.key).toMatch(/^ud_live_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}$/)
    expect(await rig.engine.keysExist()).toBe(true)
    expect(await rig.engine.authenticate(created.key!)).toEqual({
      ...{ tenant: 'default', actor: { kind: 'apiKey', id: created.id, name: 'crm' } },
      ...{ scopes: ['jobs:submit', 'jobs:read'], types: ['ocr.*'] },
    })
    const { key: _, ...shown } = created
    await rig.settle()
    expect(await rig.engine.getKey(LOCAL, created.id)).toMatchObject({ ...shown, lastUsedAt: expect.any(String) })
    expect(JSON.stringify(await rig.engine.listKeys(LOCAL))).not.toContain(created.key!.slice(-20))
    expect(JSON.stringify(await rig.store.keys.get(created.id))).not.toContain(created.key!.slice(-20))
  })

  it.each(['', 'x', 'ud_live_', 'Bearer', 'ud_live_AAAAAAAA_' + 'a'.repeat(43)])('%j lets nobody in', async (text) => {
    const rig = await open([])
    await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'] })
    expect(await rig.engine.authenticate(text)).toBeNull()
  })

  it('a key with one character changed lets nobody in', async () => {
    const rig = await open([])
    const { key } = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'] })
    for (const at of [3, 9, 20, key!.length - 1]) {
      const other = key!.slice(0, at) + (key![at] === 'A' ? 'B' : 'A') + key!.slice(at + 1)
      expect(await rig.engine.authenticate(other), `${at}`).toBeNull()
    }
    expect(await rig.engine.authenticate(`${key} `)).toBeNull()
    expect(await rig.engine.authenticate(key!)).not.toBeNull()
  })

  it('revoked: refused from that moment, also by a process that has just let it in', async () => {
    const rig = await open([])
    const { id, key } = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'] })
    expect(await rig.engine.authenticate(key!)).not.toBeNull()
    await rig.engine.revokeKey(LOCAL, id, 'leaked')
    expect(await rig.engine.authenticate(key!)).toBeNull()
    await rig.engine.revokeKey(LOCAL, id, 'again')
    expect((await rig.engine.getKey(LOCAL, id)).revokedAt).not.toBeNull()
    await expect(rig.engine.rotateKey(LOCAL, id, 1000)).rejects.toMatchObject({ code: 'invalid-transition' })
    expect(await rig.engine.keysExist()).toBe(true)
    const actions = (await rig.store.audit('default', 0, 10)).map(({ action, reason }) => [action, reason])
    expect(actions).toEqual([
      ['key.create', null],
      ['key.revoke', 'leaked'],
    ])
  })

  it('expired: refused from its instant on', async () => {
    const rig = await open([])
    const expiresAt = new Date(rig.clock.now() + 10_000).toISOString()
    const { key } = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'], expiresAt })
    await rig.advance(9_999)
    expect(await rig.engine.authenticate(key!)).not.toBeNull()
    await rig.advance(1)
    expect(await rig.engine.authenticate(key!)).toBeNull()
  })

  it('what a key may do now can be asked by its id, without the key', async () => {
    const rig = await open([])
    const expiresAt = rig.clock.now() + 10_000
    const request = { name: 'a', scopes: ['jobs:read' as const], types: ['mail'] }
    const { id } = await rig.engine.createKey(LOCAL, { ...request, expiresAt: new Date(expiresAt).toISOString() })
    expect(await rig.engine.standing(id)).toMatchObject({
      caller: { tenant: 'default', actor: { kind: 'apiKey', id, name: 'a' }, scopes: ['jobs:read'], types: ['mail'] },
      expiresAt,
    })
    await rig.advance(10_000)
    expect(await rig.engine.standing(id)).toBeNull()
    const other = await rig.engine.createKey(LOCAL, request)
    expect((await rig.engine.standing(other.id))?.expiresAt).toBeNull()
    await rig.engine.revokeKey(LOCAL, other.id, null)
    expect(await rig.engine.standing(other.id)).toBeNull()
    expect(await rig.engine.standing('key_none')).toBeNull()
  })

  it('rotation: a new key with the same rights; the old one works for the overlap', async () => {
    const rig = await open([])
    const old = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['jobs:read'], types: ['mail'] })
    const fresh = await rig.engine.rotateKey(LOCAL, old.id, 60_000)
    expect(fresh).toMatchObject({ name: 'a', scopes: ['jobs:read'], types: ['mail'], expiresAt: null })
    expect(fresh.id).not.toBe(old.id)
    for (const { key } of [old, fresh])
      expect(await rig.engine.authenticate(key!)).toMatchObject({ scopes: ['jobs:read'] })
    await rig.advance('60s')
    expect(await rig.engine.authenticate(old.key!)).toBeNull()
    expect(await rig.engine.authenticate(fresh.key!)).not.toBeNull()
  })

  it('are made, seen and ended by admins of their tenant only', async () => {
    const rig = await open([])
    const { id } = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'] })
    const weak: Caller = { ...LOCAL, scopes: ['jobs:operate', 'jobs:read'] }
    const stranger: Caller = { ...LOCAL, tenant: 'other' }
    await expect(rig.engine.createKey(weak, { name: 'x', scopes: ['admin'] })).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(rig.engine.listKeys(weak)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(rig.engine.revokeKey(weak, id, null)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(rig.engine.getKey(stranger, id)).rejects.toMatchObject({ code: 'not-found' })
    await expect(rig.engine.revokeKey(stranger, id, null)).rejects.toMatchObject({ code: 'not-found' })
    expect(await rig.engine.listKeys(stranger)).toEqual([])
    for (const scopes of [[], ['root']])
      await expect(rig.engine.createKey(LOCAL, { name: 'x', scopes: scopes as never })).rejects.toMatchObject({
        code: 'validation-failed',
      })
  })

  it('survive a restart', async () => {
    const rig = await open([])
    const { key } = await rig.engine.createKey(LOCAL, { name: 'a', scopes: ['admin'] })
    await rig.restart()
    expect(await rig.engine.keysExist()).toBe(true)
    expect(await rig.engine.authenticate(key!)).toMatchObject({ scopes: ['admin'] })
  })
})
