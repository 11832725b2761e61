/**
 * The far side of the guide's examples: a bank, a post office, a shop and two text engines that live in this process.
 * Each counts what it was asked and fails as often as it is told to, so that a test can see what a job really did.
 */

import type { Confirmation } from 'untildone'

/** What `fetch` gives for an answer like 503, as an error: the built-in rules look at `status`. */
export class HttpError extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`)
  }
}

export class FarSide {
  /** How often each call was made. */
  readonly calls: Record<string, number> = {}
  /** Errors that the next calls of a name throw, in order. */
  readonly trouble: Record<string, unknown[]> = {}

  protected called(name: string): void {
    this.calls[name] = (this.calls[name] ?? 0) + 1
    const error = this.trouble[name]?.shift()
    if (error) throw error
  }

  reset(): void {
    for (const name of Object.keys(this.calls)) delete this.calls[name]
    for (const name of Object.keys(this.trouble)) delete this.trouble[name]
  }
}

class Bank extends FarSide {
  private readonly receipts = new Map<string, string>()

  /** Charges once per key, as a payment service with idempotency keys does. */
  async charge(cents: number, { key }: { key: string; signal?: AbortSignal }): Promise<string> {
    this.called('charge')
    const receipt = this.receipts.get(key) ?? `r-${this.receipts.size + 1}-${cents}`
    this.receipts.set(key, receipt)
    return receipt
  }

  get receiptsGiven(): number {
    return this.receipts.size
  }

  override reset(): void {
    super.reset()
    this.receipts.clear()
  }
}

class Post extends FarSide {
  async send(_text: string): Promise<void> {
    this.called('send')
  }
}

class Shop extends FarSide {
  stock = 3
  async inStock(_article: string): Promise<number> {
    this.called('inStock')
    return this.stock
  }
}

class TextEngine extends FarSide {
  async read(scan: string): Promise<string> {
    this.called('read')
    return scan.toUpperCase()
  }
}

class Orders extends FarSide {
  /** What may still be refunded of each order. */
  refundable: Record<string, number> = {}
  private readonly receipts = new Map<string, string>()

  async order(id: string): Promise<{ id: string; refundable: number; version: string }> {
    this.called('order')
    const refundable = this.refundable[id] ?? 0
    return { id, refundable, version: `v${refundable}` }
  }

  async refund(id: string, amount: number, { key }: { key: string }): Promise<string> {
    this.called('refund')
    const receipt = this.receipts.get(key) ?? `refund-${amount}`
    if (!this.receipts.has(key)) this.refundable[id] = (this.refundable[id] ?? 0) - amount
    this.receipts.set(key, receipt)
    return receipt
  }

  async findRefund(key: string): Promise<Confirmation<string>> {
    this.called('findRefund')
    const result = this.receipts.get(key)
    return result === undefined ? { happened: false } : { happened: true, result }
  }

  override reset(): void {
    super.reset()
    this.refundable = {}
    this.receipts.clear()
  }
}

export const orders = new Orders()
export const bank = new Bank()
export const post = new Post()
export const shop = new Shop()
export const fastEngine = new TextEngine()
export const robustEngine = new TextEngine()
