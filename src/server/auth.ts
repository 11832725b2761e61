/**
 * Who asks, and may they use this address: the host's own authentication, a bearer key, or (while no key exists) the
 * admin of this machine. Deny by default. Rights on single jobs are the engine's, not ours.
 */
import { type Clock, isDeliveries, UntildoneError } from '../core/index.js'
import { type Caller, type Engine, LOCAL, type Scope } from '../engine/api.js'
import { guardLoopback, guardOrigin } from './guard.js'
import type { Credential, Standing } from './live/credentials.js'
import { type Holder, type Ticket, type Tickets, ticketVoided } from './live/tickets.js'
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

/** Scopes of those who may watch. Reading one's own jobs comes with the right to submit; the engine shows no others. */
export const READERS = ['jobs:read', 'jobs:submit'] as const

/** What let a caller in: a key, the host application, or that the server has no key yet. */
export type By = 'key' | 'host' | 'loopback' | 'nobody'

export interface Admission {
  caller: Caller
  by: By
  /** The ticket that stood in for it. */
  ticket?: Ticket
}

export class Gate {
  readonly #engine: Engine
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #tickets: Tickets
  #guarded = 0
  /** Once true, for ever: revoking the last key does not open the server again. */
  #locked = false
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(engine: Engine, settings: Settings, tickets: Tickets) {
    this.#engine = engine
    this.#settings = settings
    this.#tickets = tickets
    this.#clock = engine.clock
  }

  /**
   * @param socket a WebSocket is asked for: no CORS keeps foreign pages from reading what comes
   * @throws UntildoneError unauthenticated, host-not-allowed
   */
  async admit(request: Request, env: Env, socket = false): Promise<Admission> {
    const { authenticate, allowedHosts, origins } = this.#settings
    if (authenticate) {
      const caller = await authenticate(request)
      if (caller) {
        if (isDeliveries(caller.tenant)) throw reserved(caller.tenant)
        // It may rest on a cookie, which a browser sends for any page.
        if (socket || (request.method !== 'GET' && request.method !== 'HEAD')) guardOrigin(request, origins)
        return { caller, by: 'host' }
      }
    } else if (!this.#locked && !(await this.#keysExist())) {
      guardLoopback(request, env, allowedHosts, origins)
      return { caller: LOOPBACK_ADMIN, by: 'loopback' }
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
    return { caller, by: 'key' }
  }

  /**
   * Lets in by a ticket, with the rights that what it rests on has now.
   * @throws UntildoneError unauthenticated, host-not-allowed
   */
  async admitTicket(text: string, use: Ticket['use'], request: Request, env: Env): Promise<Admission> {
    const ticket = this.#tickets.open(text, use)
    const { holder } = ticket
    if ('caller' in holder) return { caller: holder.caller, by: 'host', ticket }
    if ('key' in holder) {
      const standing = await this.#engine.standing(holder.key)
      if (!standing) throw ticketVoided()
      return { caller: standing.caller, by: 'key', ticket }
    }
    if (this.#settings.authenticate || this.#locked || (await this.#keysExist())) throw ticketVoided()
    guardLoopback(request, env, this.#settings.allowedHosts, this.#settings.origins)
    return { caller: LOOPBACK_ADMIN, by: 'loopback', ticket }
  }

  /** What a ticket for this caller rests on. */
  holderOf({ caller, by }: Admission): Holder {
    return by === 'key' ? { key: caller.actor.id } : by === 'loopback' ? { loopback: true } : { caller }
  }

  /** How to ask later whether a caller who was let in may still watch. */
  credentialOf({ caller, by, ticket }: Admission, request: Request): Credential {
    const { id } = caller.actor
    if (by === 'key')
      return { name: `key/${id}`, ask: async () => standingOf((await this.#engine.standing(id))?.caller ?? null) }
    if (by === 'loopback')
      return { name: 'loopback', ask: async () => ((await this.#engine.keysExist()) ? 'void' : 'valid') }
    const { authenticate } = this.#settings
    const name = `host/${++this.#guarded}`
    // Behind a ticket there is no request of theirs that could be judged again: it holds as long as the ticket.
    if (ticket || !authenticate) {
      const until = ticket?.use === 'sse' ? ticket.expiresAt : Number.POSITIVE_INFINITY
      return { name, ask: async () => (this.#clock.now() < until ? 'valid' : 'void') }
    }
    return {
      name,
      ask: async () => {
        const now = await authenticate(request)
        return now && (now.tenant !== caller.tenant || now.actor.id !== id) ? 'void' : standingOf(now)
      },
    }
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

function standingOf(caller: Caller | null): Standing {
  if (!caller) return 'void'
  return caller.scopes.some((scope) => scope === 'admin' || READERS.includes(scope as never)) ? 'valid' : 'forbidden'
}

/** Names of tenants are the host's to choose, but for those in which the server keeps deliveries of others. */
function reserved(tenant: string): UntildoneError {
  return new UntildoneError(
    'forbidden',
    `There is no tenant "${tenant}": names that begin with ~ are the server's own.`,
    {
      params: { tenant },
      fix: 'Have authenticate() return another name for this tenant.',
    },
  )
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
