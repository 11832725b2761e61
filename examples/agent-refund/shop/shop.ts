// A small shop: orders, tickets, people and refunds in a SQLite file of its own. It is a service of its own in this example:
// it knows nothing of jobs, takes idempotency keys, and writes down every effect that anybody had on it. Amounts are cents.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'

export interface Order {
  id: string
  customer: string
  total: number
  paidAt: string
  /** What is left of the total to be paid back. */
  refundable: number
  version: number
  refunds: { receipt: string; ticket: string; amount: number; voided: boolean }[]
}
export interface Ticket {
  id: string
  order: string
  customer: string
  text: string
  openedAt: string
  state: 'open' | 'closed'
  answer: string | null
  version: number
}
export interface Refund {
  receipt: string
  amount: number
  voided: boolean
}
export interface Effect {
  n: number
  at: string
  what: 'refund' | 'void' | 'answer'
  order: string
  ticket: string
  amount: number | null
  key: string
}

/** A request that the shop does not carry out. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

const SCHEMA = `
  create table if not exists orders (id text primary key, customer text not null, total integer not null, paid_at text not null, refundable integer not null, version integer not null);
  create table if not exists tickets (id text primary key, order_id text not null, customer text not null, text text not null, opened_at text not null, closed_with text, answer text, version integer not null);
  create table if not exists people (id text primary key, permissions text not null);
  create table if not exists refunds (receipt text primary key, order_id text not null, ticket_id text not null, amount integer not null, key text not null unique, voided integer not null);
  create table if not exists effects (n integer primary key autoincrement, at text not null, what text not null, order_id text not null, ticket_id text not null, amount integer, key text not null);
`

export class Shop {
  private readonly database: InstanceType<typeof DatabaseSync>

  /** @param path of the database, or `:memory:` */
  constructor(path: string) {
    if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
    this.database = new DatabaseSync(path)
    this.database.exec(`pragma journal_mode = wal; ${SCHEMA}`)
  }

  close(): void {
    this.database.close()
  }

  order(id: string): Order {
    const row = this.row('select * from orders where id = ?', id)
    if (!row) throw new Refused(404, 'no-such-order', `There is no order ${id}.`)
    const refunds = this.rows('select * from refunds where order_id = ? order by rowid', id).map((refund) => ({
      ...{ receipt: refund.receipt, ticket: refund.ticket_id, amount: refund.amount, voided: refund.voided === 1 },
    }))
    const { customer, total, paid_at: paidAt, refundable, version } = row
    return { id, customer, total, paidAt, refundable, version, refunds }
  }

  ticket(id: string): Ticket {
    const row = this.row('select * from tickets where id = ?', id)
    if (!row) throw new Refused(404, 'no-such-ticket', `There is no ticket ${id}.`)
    const { order_id: order, customer, text, opened_at: openedAt, closed_with: closedWith, answer, version } = row
    return { id, order, customer, text, openedAt, state: closedWith === null ? 'open' : 'closed', answer, version }
  }

  permissions(person: string): string[] {
    const row = this.row('select permissions from people where id = ?', person)
    return row ? JSON.parse(row.permissions) : []
  }

  findRefund(key: string): Refund | null {
    const row = this.row('select * from refunds where key = ?', key)
    return row ? { receipt: row.receipt, amount: row.amount, voided: row.voided === 1 } : null
  }

  /** One key, one refund: a repeat gives the same receipt. */
  refund(orderId: string, { amount, ticket }: { amount: number; ticket: string }, key: string): Refund {
    return this.together(() => {
      const before = this.findRefund(key)
      if (before) return before
      const { refundable } = this.order(orderId)
      if (!(Number.isInteger(amount) && amount > 0))
        throw new Refused(400, 'no-amount', 'The amount is a whole number of cents.')
      if (amount > refundable)
        throw new Refused(409, 'not-refundable', `Of order ${orderId} only ${refundable} can be refunded.`)
      const { n } = this.row('select count(*) as n from refunds')!
      const receipt = `R-${n + 1}`
      this.run('insert into refunds values (?, ?, ?, ?, ?, 0)', receipt, orderId, ticket, amount, key)
      this.changeRefundable(orderId, refundable - amount)
      this.note('refund', orderId, ticket, amount, key)
      return { receipt, amount, voided: false }
    })
  }

  voidRefund(receipt: string, key: string): Refund {
    return this.together(() => {
      const row = this.row('select * from refunds where receipt = ?', receipt)
      if (!row) throw new Refused(404, 'no-such-refund', `There is no refund ${receipt}.`)
      const { order_id: order, ticket_id: ticket, amount } = row
      if (row.voided === 0) {
        this.run('update refunds set voided = 1 where receipt = ?', receipt)
        this.changeRefundable(order, this.order(order).refundable + amount)
        this.note('void', order, ticket, amount, key)
      }
      return { receipt, amount, voided: true }
    })
  }

  /** Answers the customer and closes the ticket. A ticket that somebody else has closed stays as it is. */
  answer(id: string, text: string, key: string): Ticket {
    return this.together(() => {
      const { closed_with: closedWith } = this.row('select closed_with from tickets where id = ?', id) ?? {}
      const { order, state } = this.ticket(id)
      if (closedWith === key) return this.ticket(id)
      if (state === 'closed') throw new Refused(409, 'ticket-closed', `Ticket ${id} has been closed by somebody else.`)
      this.run('update tickets set closed_with = ?, answer = ?, version = version + 1 where id = ?', key, text, id)
      this.note('answer', order, id, null, key)
      return this.ticket(id)
    })
  }

  /** Everything that anybody has done here, in order. */
  effects(order?: string): Effect[] {
    const rows = this.rows('select * from effects where ?1 is null or order_id = ?1 order by n', order ?? null)
    return rows.map(({ order_id, ticket_id, ...row }) => ({ ...row, order: order_id, ticket: ticket_id }))
  }

  // What the people of the shop do.

  addOrder({
    refundable,
    ...order
  }: Omit<Order, 'refunds' | 'version' | 'refundable'> & { refundable?: number }): void {
    const { id, customer, total, paidAt } = order
    this.run('insert or ignore into orders values (?, ?, ?, ?, ?, 1)', id, customer, total, paidAt, refundable ?? total)
  }

  addTicket({ id, order, customer, text, openedAt }: Omit<Ticket, 'state' | 'answer' | 'version'>): void {
    this.run(
      'insert or ignore into tickets values (?, ?, ?, ?, ?, null, null, 1)',
      ...[id, order, customer, text, openedAt],
    )
  }

  allow(person: string, permissions: readonly string[]): void {
    const sql = 'insert into people values (?, ?) on conflict (id) do update set permissions = excluded.permissions'
    this.run(sql, person, JSON.stringify(permissions))
  }

  /** Part of it was paid back at the counter, or an item was taken off. */
  changeRefundable(id: string, refundable: number): void {
    this.run('update orders set refundable = ?, version = version + 1 where id = ?', refundable, id)
  }

  /** The customer writes once more. */
  addToTicket(id: string, text: string): void {
    this.run("update tickets set text = text || ' ' || ?, version = version + 1 where id = ?", text, id)
  }

  /** As on its first day, for tests. */
  clear(): Shop {
    for (const table of ['orders', 'tickets', 'people', 'refunds', 'effects']) this.run(`delete from ${table}`)
    return this
  }

  private note(what: Effect['what'], order: string, ticket: string, amount: number | null, key: string): void {
    const sql = 'insert into effects (at, what, order_id, ticket_id, amount, key) values (?, ?, ?, ?, ?, ?)'
    this.run(sql, new Date().toISOString(), what, order, ticket, amount, key)
  }

  private together<T>(work: () => T): T {
    this.database.exec('begin immediate')
    try {
      const made = work()
      this.database.exec('commit')
      return made
    } catch (error) {
      this.database.exec('rollback')
      throw error
    }
  }

  private run(sql: string, ...values: (string | number | null)[]): void {
    this.database.prepare(sql).run(...values)
  }

  private row(sql: string, ...values: (string | number | null)[]): Record<string, any> | undefined {
    return this.database.prepare(sql).get(...values) as Record<string, any> | undefined
  }

  private rows(sql: string, ...values: (string | number | null)[]): any[] {
    return this.database.prepare(sql).all(...values)
  }
}
