// How jobs reach the shop: over HTTP, or in the same process for tests with a clock of their own. Errors keep status and
// code, so that the built-in rules tell a busy shop from a wrong request.
import type { Order, Refund, Shop, Ticket } from './shop.js'

/** What a step hands over: the key by which the shop knows a repeat. */
interface Keyed {
  key: string
  signal?: AbortSignal
}

export interface ShopClient {
  order(id: string): Promise<Order>
  ticket(id: string): Promise<Ticket>
  permissions(person: string): Promise<string[]>
  /** The refund that was made under this key, if there is one. */
  findRefund(key: string): Promise<Refund | null>
  refund(order: string, what: { amount: number; ticket: string }, step: Keyed): Promise<Refund>
  voidRefund(receipt: string, step: Keyed): Promise<Refund>
  /** Answers the customer and closes the ticket. */
  answer(ticket: string, text: string, step: Keyed): Promise<Ticket>
}

/** @param base URL of the shop */
export function shopAt(base: string): ShopClient {
  const ask = async (method: string, path: string[], { key, signal }: Partial<Keyed> = {}, body?: unknown) => {
    const response = await fetch([base, ...path.map(encodeURIComponent)].join('/'), {
      method,
      signal,
      headers: { 'content-type': 'application/json', ...(key ? { 'idempotency-key': key } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const answer = await response.json()
    if (response.ok) return answer
    throw Object.assign(new Error(`The shop says: ${answer.error}`), { status: response.status, code: answer.code })
  }
  return {
    order: (id) => ask('GET', ['orders', id]),
    ticket: (id) => ask('GET', ['tickets', id]),
    permissions: (person) => ask('GET', ['people', person]),
    findRefund: async (key) => {
      const found = await ask('GET', ['refunds', key])
      return found.receipt === null ? null : found
    },
    refund: (order, what, step) => ask('POST', ['orders', order, 'refunds'], step, what),
    voidRefund: (receipt, step) => ask('POST', ['refunds', receipt, 'void'], step),
    answer: (ticket, text, step) => ask('POST', ['tickets', ticket, 'answer'], step, { text }),
  }
}

export function shopHere(shop: Shop): ShopClient {
  return {
    order: async (id) => shop.order(id),
    ticket: async (id) => shop.ticket(id),
    permissions: async (person) => shop.permissions(person),
    findRefund: async (key) => shop.findRefund(key),
    refund: async (order, what, { key }) => shop.refund(order, what, key),
    voidRefund: async (receipt, { key }) => shop.voidRefund(receipt, key),
    answer: async (ticket, text, { key }) => shop.answer(ticket, text, key),
  }
}
