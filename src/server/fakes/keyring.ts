/** API keys of the fake engine. Never in the package. */
import { UntildoneError, type WireApiKey } from '../../core/index.js'
import type { Caller, KeyRequest } from '../../engine/api.js'

export class Keyring {
  /** By bearer key. */
  readonly callers = new Map<string, Caller>()
  /** True once any key was made. */
  locked = false
  #made = 0

  /** Instants by key id. */
  readonly expiries = new Map<string, number>()

  add(key: string, scopes: Caller['scopes'], more: Partial<Caller> = {}): Caller {
    const caller: Caller = {
      tenant: 'default',
      actor: { kind: 'apiKey', id: `key_${key}`, name: key },
      scopes,
      types: null,
      ...more,
    }
    this.callers.set(key, caller)
    this.locked = true
    return caller
  }

  create(request: KeyRequest, createdAt: string): WireApiKey {
    const key = `ud_test_${++this.#made}`
    return { ...this.#wire(this.add(key, request.scopes), createdAt), key }
  }

  list(createdAt: string): WireApiKey[] {
    return [...this.callers.values()].map((caller) => this.#wire(caller, createdAt))
  }

  get(id: string, createdAt: string): WireApiKey {
    const caller = [...this.callers.values()].find(({ actor }) => actor.id === id)
    if (!caller) throw new UntildoneError('not-found')
    return this.#wire(caller, createdAt)
  }

  standing(id: string, now: number): { caller: Caller; expiresAt: number | null } | null {
    const caller = [...this.callers.values()].find(({ actor }) => actor.id === id)
    const expiresAt = this.expiries.get(id) ?? null
    return caller && (expiresAt === null || expiresAt > now) ? { caller, expiresAt } : null
  }

  revoke(id: string): void {
    this.get(id, '')
    this.callers.delete(id.slice('key_'.length))
  }

  #wire({ actor, scopes }: Caller, createdAt: string): WireApiKey {
    return {
      id: actor.id,
      name: actor.name!,
      scopes: [...scopes],
      types: null,
      person: null,
      groups: null,
      maxRisk: null,
      createdAt,
      expiresAt: null,
      lastUsedAt: null,
      revokedAt: null,
    }
  }
}
