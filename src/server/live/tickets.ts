/**
 * Tickets: what stands in for a key in the address of a stream or socket, where no header can be set. Sealed with the
 * secret of the store, so no table is needed and every process that shares it can open them; bound to a filter; for
 * watching only. A ticket rests on the key that asked for it and has that key's rights at the time of use. Never written
 * to a log.
 */
import { UntildoneError } from '../../core/index.js'
import type { Caller, Engine } from '../../engine/api.js'
import type { StreamFilter } from './filter.js'

const PREFIX = 'udt_'
const BELONGS = { is: 'ticket' }
const TTL_MS = 600_000
/** Of tickets that can be used once. */
const ONCE_MS = 60_000
/** So many used tickets are remembered until they expire; with more in a minute, further ones are refused. */
const USED_MAX = 100_000

/** What a ticket rests on: a key, this machine while there is no key, or whomever the host application let in. */
export type Holder = { key: string } | { loopback: true } | { caller: Caller }

export interface Ticket {
  use: 'sse' | 'ws'
  id: string
  expiresAt: number
  filter: StreamFilter
  holder: Holder
}

export interface TicketWish {
  filter?: StreamFilter
  ttlMs?: number
  use?: 'sse' | 'ws'
}

export class Tickets {
  readonly #engine: Engine
  /** Ids of used tickets, in the order of use, with the instant at which they expire. */
  readonly #used = new Map<string, number>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** A ticket that never lasts longer than the key it rests on. */
  async issue(holder: Holder, { filter = {}, ttlMs = TTL_MS, use = 'sse' }: TicketWish) {
    const now = this.#engine.clock.now()
    let expiresAt = now + (use === 'ws' ? Math.min(ttlMs, ONCE_MS) : ttlMs)
    if ('key' in holder) {
      const standing = await this.#engine.standing(holder.key)
      if (!standing) throw ticketVoided()
      expiresAt = Math.min(expiresAt, standing.expiresAt ?? expiresAt)
    }
    const ticket: Ticket = { use, id: crypto.randomUUID(), expiresAt, filter, holder }
    return {
      ticket: PREFIX + this.#engine.seal('ticket', ticket, BELONGS),
      expiresAt: new Date(expiresAt).toISOString(),
    }
  }

  /** @throws UntildoneError unauthenticated */
  open(text: string, use: Ticket['use']): Ticket {
    const ticket = text.startsWith(PREFIX)
      ? this.#engine.unseal<Ticket>('ticket', text.slice(PREFIX.length), BELONGS)
      : null
    if (!ticket || ticket.expiresAt <= this.#engine.clock.now()) throw ticketVoided()
    if (ticket.use === use) return ticket
    throw refused(`This ticket is for ${ticket.use === 'ws' ? 'one WebSocket' : 'event streams'}.`, {
      fix: `Ask for one with "use": "${use}": POST /v1/stream-tickets`,
    })
  }

  /** Uses up a ticket for a socket. @throws UntildoneError unauthenticated, too-many-streams */
  async useUp({ id, expiresAt }: Ticket): Promise<void> {
    if (this.#used.has(id)) throw usedBefore()
    const now = this.#engine.clock.now()
    for (const [old, until] of this.#used) {
      if (until > now) break
      this.#used.delete(old)
    }
    if (this.#used.size >= USED_MAX)
      throw new UntildoneError('too-many-streams', 'Too many sockets were opened within a minute.')
    this.#used.set(id, expiresAt)
    if (this.#engine.store.sole) return
    try {
      if (!(await this.#engine.first(`ticket/${id}`))) throw usedBefore()
    } catch (error) {
      // While the store is away nobody is let in, and the ticket is as good as before.
      if (!(error instanceof UntildoneError && error.code === 'unauthenticated')) this.#used.delete(id)
      throw error
    }
  }
}

function usedBefore(): UntildoneError {
  return refused('This ticket was used before; one for a socket can be used once.')
}

export function ticketVoided(): UntildoneError {
  return refused('This ticket is unknown or has expired, or the key behind it is no longer valid.')
}

function refused(message: string, { fix = 'Ask for a new one with a key: POST /v1/stream-tickets' } = {}) {
  return new UntildoneError('unauthenticated', message, { fix, params: { offered: true } })
}
