/**
 * Who asks, and may they use this address: the host's own authentication, a bearer key, or (while no key exists) the
 * admin of this machine. Deny by default. Rights on single jobs are the engine's, not ours.
 */
import { type Clock, UntildoneError } from '../core/index.js'
import { type Caller, type Engine, LOCAL, type Scope } from '../engine/api.js'
import { guardLoopback, guardOrigin } from './guard.js'
import type { Settings } from './options.js'
import type { Env } from './route.js'

/** While no key exists, the store is asked again at most this often. */
const ASK_AGAIN_MS = 1000

/** The caller of a server without keys. */
const LOOPBACK_ADMIN: Caller = {
  ...LOCAL,
  actor: { kind: 'user', id: 'loopback', name: 'this machine' },
  person: null,
}

/** The caller of an address that asks for no credentials; it has no rights at all. */
export const NOBODY: Caller = { tenant: '', actor: { kind: 'user', id: 'anonymous' }, scopes: [], types: [] }

export class Gate {
  readonly #engine: Engine
  readonly #settings: Settings
  readonly #clock: Clock
  /** Once true, for ever: revoking the last key does not open the server again. */
  #locked = false
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(engine: Engine, settings: Settings) {
    this.#engine = engine
    this.#settings = settings
    this.#clock = engine.clock
  }

  /** @throws UntildoneError unauthenticated, host-not-allowed */
  async caller(request: Request, env: Env): Promise<Caller> {
    const { authenticate, allowedHosts, origins } = this.#settings
    if (authenticate) {
      const caller = await authenticate(request)
      if (caller) {
        // It may rest on a cookie, which a browser sends for any page.
        if (request.method !== 'GET' && request.method !== 'HEAD') guardOrigin(request, origins)
        return caller
      }
    } else if (!this.#locked && !(await this.#keysExist())) {
      guardLoopback(request, env, allowedHosts, origins)
      return LOOPBACK_ADMIN
    }
    const header = request.headers.get('authorization')
    const key = header === null ? null : /^bearer +([\x21-\x7e]{1,512}) *$/i.exec(header)?.[1]
    if (key === null) throw new UntildoneError('unauthenticated', 'The request has no API key.')
    const caller = key === undefined ? null : await this.#engine.authenticate(key)
    if (!caller) {
      throw new UntildoneError('unauthenticated', 'This API key is unknown, expired or revoked.', {
        params: { offered: true },
      })
    }
    return caller
  }

  /** A key was just made here: ask the store with the next request. */
  keyMade(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY
  }

  async #keysExist(): Promise<boolean> {
    const now = this.#clock.monotonic()
    if (now - this.#askedAt < ASK_AGAIN_MS) return false
    this.#locked = await this.#engine.keysExist()
    if (!this.#locked) this.#askedAt = now
    return this.#locked
  }
}

/** @throws UntildoneError forbidden when the caller holds none of `scopes`. */
export function requireScope(caller: Caller, scopes: readonly Scope[]): void {
  const held = caller.scopes
  for (const scope of scopes) if (held.includes(scope)) return
  if (held.includes('admin')) return
  const who = caller.actor.name ?? caller.actor.id
  const has = held.length === 0 ? 'none' : held.join(', ')
  throw new UntildoneError('forbidden', `This needs the scope ${scopes.join(' or ')}; "${who}" has ${has}.`, {
    params: { requiredScope: scopes[0], anyOf: scopes, scopes: held },
  })
}
