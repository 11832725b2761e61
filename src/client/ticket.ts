/**
 * Tickets: what stands in for the key where no key may be, above all in browsers. Must never put a ticket anywhere but
 * into the address of a stream or socket.
 */
import { UntildoneApiError } from './errors.js'

/** A ticket, or what gives one: called for the first stream and again when the server no longer takes the last one. */
export type TicketGiver = string | (() => string | Promise<string>)

/** Answer of `POST /v1/stream-tickets`. */
export interface StreamTicket {
  /** Reads what its filter finds and nothing else. Never log it. */
  ticket: string
  expiresAt: string
}

export class TicketSource {
  private ticket: string | null = null
  private refused = false
  /** True once there was a ticket. */
  worked = false

  constructor(private readonly giver: TicketGiver) {}

  /** The present ticket. @throws whatever the giver throws */
  async get(): Promise<string> {
    this.ticket ??= typeof this.giver === 'string' ? this.giver : await this.giver()
    this.worked = true
    return this.ticket
  }

  /** The last ticket worked. */
  taken(): void {
    this.refused = false
  }

  /** True when it is worth another try with a new ticket: the giver can make one, and the last one was not new. */
  renew(error: UntildoneApiError): boolean {
    if (typeof this.giver === 'string' || this.refused || error.status !== 401) return false
    this.refused = true
    this.ticket = null
    return true
  }
}

/** Why nothing but streams can be read with a ticket. */
export function needsKey(what: string): UntildoneApiError {
  const detail = `A ticket reads streams only, and ${what} is none.`
  const fix = 'Ask your own server for it, which holds the key, or give this client a key.'
  const problem = { code: 'unauthenticated', detail, fix }
  return new UntildoneApiError(401, problem, { requestId: null, retryAfterMs: null, retryable: false })
}
