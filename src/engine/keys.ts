/**
 * API keys: `ud_<env>_<8 id>_<43 secret>`, shown once, stored as SHA-256 (the secret has 256 bits, so a slow hash would
 * add nothing), compared in constant time. Every change is audited.
 */
import { timingSafeEqual } from 'node:crypto'
import { UntildoneError } from '../core/errors.js'
import type { WireApiKey } from '../core/wire.js'
import type { ApiKeyRow } from '../stores/store.js'
import { type Caller, type KeyRequest, SCOPES, type Scope } from './api.js'
import type { EngineParts } from './parts.js'
import { demand } from './rights.js'
import { iso } from './view.js'

/** How long an accepted key is believed without asking the store again. */
const CACHE_MS = 1000
const USED_EVERY_MS = 60_000

export class Keys {
  private readonly cache = new Map<string, { caller: Caller | null; until: number }>()
  private exist = false
  constructor(
    private readonly parts: EngineParts,
    private readonly env: string,
  ) {}

  async any(): Promise<boolean> {
    this.exist ||= await this.parts.store.keys.any()
    return this.exist
  }

  async create(caller: Caller, request: KeyRequest): Promise<WireApiKey> {
    demand(caller, 'admin')
    const unknown = request.scopes.filter((scope) => !SCOPES.includes(scope))
    if (unknown.length > 0 || request.scopes.length === 0) {
      throw new UntildoneError(
        'validation-failed',
        unknown.length > 0 ? `Unknown scopes: ${unknown.join(', ')}.` : 'A key needs at least one scope.',
        { errors: [{ pointer: '/scopes', code: 'invalid', message: `must be some of ${SCOPES.join(', ')}` }] },
      )
    }
    return this.mint(caller, 'key.create', {
      name: request.name,
      scopes: request.scopes,
      types: request.types ?? null,
      person: request.person ?? null,
      groups: request.groups ?? null,
      maxRisk: request.maxRisk ?? null,
      expiresAt: request.expiresAt ? Date.parse(request.expiresAt) : null,
    })
  }

  private async mint(
    caller: Caller,
    action: string,
    wanted: Pick<ApiKeyRow, 'name' | 'types' | 'person' | 'groups' | 'maxRisk' | 'expiresAt'> & { scopes: string[] },
  ): Promise<WireApiKey> {
    const { entropy, store } = this.parts
    const short = entropy
      .token(16)
      .replace(/[^A-Za-z0-9]/g, '')
      .slice(0, 8)
    const key = `ud_${this.env}_${short}_${entropy.token(32)}`
    const row: ApiKeyRow = {
      id: `key_${short}`,
      tenant: caller.tenant,
      ...wanted,
      hash: entropy.sha256(key),
      createdAt: store.now(),
      revokedAt: null,
      lastUsedAt: null,
    }
    await this.put(caller, row, action, null)
    this.exist = true
    return { ...wireKey(row), key }
  }

  async list(caller: Caller): Promise<WireApiKey[]> {
    demand(caller, 'admin')
    return (await this.parts.store.keys.list(caller.tenant)).map(wireKey)
  }

  async get(caller: Caller, id: string): Promise<WireApiKey> {
    return wireKey(await this.load(caller, id))
  }

  async rotate(caller: Caller, id: string, overlapMs: number): Promise<WireApiKey> {
    const old = await this.load(caller, id)
    if (old.revokedAt !== null)
      throw new UntildoneError('invalid-transition', `Key ${id} is revoked.`, {
        fix: 'Create a new key: untildone keys create --name my-app --role submitter',
      })
    const fresh = await this.mint(caller, 'key.rotate', {
      name: old.name,
      scopes: old.scopes,
      types: old.types,
      person: old.person,
      groups: old.groups,
      maxRisk: old.maxRisk,
      expiresAt: old.expiresAt,
    })
    const ends = this.parts.store.now() + overlapMs
    await this.put(
      caller,
      { ...old, expiresAt: old.expiresAt === null ? ends : Math.min(ends, old.expiresAt) },
      'key.expire',
      `replaced by ${fresh.id}`,
    )
    return fresh
  }

  async revoke(caller: Caller, id: string, reason: string | null): Promise<void> {
    const row = await this.load(caller, id)
    if (row.revokedAt === null)
      await this.put(caller, { ...row, revokedAt: this.parts.store.now() }, 'key.revoke', reason)
  }

  private async load(caller: Caller, id: string): Promise<ApiKeyRow> {
    demand(caller, 'admin')
    const row = await this.parts.store.keys.get(id)
    if (!row || row.tenant !== caller.tenant)
      throw new UntildoneError('not-found', `There is no key ${id}.`, { params: { id } })
    return row
  }

  private async put(caller: Caller, row: ApiKeyRow, action: string, reason: string | null): Promise<void> {
    await this.parts.store.keys.put(row, {
      tenant: caller.tenant,
      actor: caller.actor,
      action,
      target: `key/${row.id}`,
      reason,
      details: { name: row.name, scopes: row.scopes },
    })
    this.cache.clear()
  }

  async authenticate(key: string): Promise<Caller | null> {
    const now = this.parts.store.now()
    const known = this.cache.get(key)
    if (known && known.until > now) return known.caller
    const { caller, until } = await this.check(key, now)
    // Wrong keys are remembered as well, so that guessing costs the guesser and not the store; the map stays small.
    if (this.cache.size > 1000) this.cache.clear()
    this.cache.set(key, { caller, until })
    return caller
  }

  private async check(key: string, now: number): Promise<{ caller: Caller | null; until: number }> {
    const match = /^ud_[a-z]+_([A-Za-z0-9]{1,8})_[A-Za-z0-9_-]{43}$/.exec(key)
    const row = match ? await this.parts.store.keys.get(`key_${match[1]}`) : null
    const hash = Buffer.from(this.parts.entropy.sha256(key), 'hex')
    const matches = timingSafeEqual(hash, row ? Buffer.from(row.hash, 'hex') : Buffer.alloc(32))
    if (!row || !matches || row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= now))
      return { caller: null, until: now + CACHE_MS }
    if (row.lastUsedAt === null || now - row.lastUsedAt > USED_EVERY_MS)
      void this.parts.store.keys.used(row.id, now).catch(() => undefined)
    return { caller: callerOf(row), until: Math.min(now + CACHE_MS, row.expiresAt ?? Number.POSITIVE_INFINITY) }
  }

  /** What the key may do now, by its id: asked for connections that were opened with it a while ago. */
  async standing(id: string): Promise<{ caller: Caller; expiresAt: number | null } | null> {
    const row = await this.parts.store.keys.get(id)
    const now = this.parts.store.now()
    if (!row || row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= now)) return null
    return { caller: callerOf(row), expiresAt: row.expiresAt }
  }
}

function callerOf(row: ApiKeyRow): Caller {
  return {
    tenant: row.tenant,
    actor: { kind: 'apiKey', id: row.id, name: row.name },
    scopes: row.scopes as Scope[],
    types: row.types,
    ...(row.person ? { person: row.person } : {}),
    ...(row.groups ? { groups: row.groups } : {}),
    ...(row.maxRisk ? { maxRisk: row.maxRisk } : {}),
  }
}

function wireKey(row: ApiKeyRow): WireApiKey {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes,
    types: row.types,
    person: row.person,
    groups: row.groups,
    maxRisk: row.maxRisk,
    createdAt: iso(row.createdAt),
    expiresAt: iso(row.expiresAt),
    lastUsedAt: iso(row.lastUsedAt),
    revokedAt: iso(row.revokedAt),
  }
}
