// A small shop: orders, tickets, people and refunds in a SQLite file of its own, behind HTTP. It is a service of its own in
// this example: it knows nothing of jobs, takes idempotency keys, and writes down every effect that anybody had on it.
import { createServer } from 'node:http'
import { DatabaseSync } from '@photostructure/sqlite'

const SCHEMA = `
  create table if not exists orders (id text primary key, customer text not null, total integer not null, paid_at integer not null, refundable integer not null, version integer not null);
  create table if not exists tickets (id text primary key, order_id text not null, customer text not null, text text not null);
  create table if not exists people (id text primary key, name text not null, permissions text not null);
  create table if not exists refunds (receipt text primary key, order_id text not null, amount integer not null, key text not null unique, at integer not null, voided_at integer);
  create table if not exists effects (n integer primary key autoincrement, what text not null, order_id text not null, key text not null, at integer not null);
`

/** The shop's database. Amounts are cents. */
export class Shop {
  /** @param {string} file path of the database, or `:memory:` */
  constructor(file) {
    this.db = new DatabaseSync(file)
    this.db.exec(SCHEMA)
    /** Failures that are still to happen, in order: see `fail`. */
    this.failures = []
  }

  close() {
    this.db.close()
  }

  addOrder({ id, customer, total, paidAt = Date.now(), refundable = total }) {
    this.db.prepare('insert into orders values (?, ?, ?, ?, ?, 1)').run(id, customer, total, paidAt, refundable)
  }

  addTicket({ id, order, customer, text }) {
    this.db.prepare('insert into tickets values (?, ?, ?, ?)').run(id, order, customer, text)
  }

  addPerson({ id, name, permissions }) {
    this.db
      .prepare('insert into people values (?, ?, ?) on conflict (id) do update set permissions = excluded.permissions')
      .run(id, name, JSON.stringify(permissions))
  }

  /** Somebody else changes the order: part of it was returned, or refunded by hand. */
  changeRefundable(id, refundable) {
    this.db.prepare('update orders set refundable = ?, version = version + 1 where id = ?').run(refundable, id)
  }

  /**
   * The next request to this path fails once: `before` nothing happened, `after` it happened and the answer is lost,
   * `busy` answers 503.
   * @param {'before' | 'after' | 'busy'} how
   */
  fail(path, how) {
    this.failures.push({ path, how })
  }

  order(id) {
    const row = this.db.prepare('select * from orders where id = ?').get(id)
    return row
      ? {
          id: row.id,
          customer: row.customer,
          total: row.total,
          paidAt: row.paid_at,
          refundable: row.refundable,
          version: row.version,
        }
      : null
  }

  ticket(id) {
    const row = this.db.prepare('select * from tickets where id = ?').get(id)
    return row ? { id: row.id, order: row.order_id, customer: row.customer, text: row.text } : null
  }

  permissions(person) {
    const row = this.db.prepare('select permissions from people where id = ?').get(person)
    return row ? JSON.parse(row.permissions) : []
  }

  findRefund(key) {
    const row = this.db.prepare('select * from refunds where key = ?').get(key)
    return row ? { receipt: row.receipt, amount: row.amount, voidedAt: row.voided_at } : null
  }

  /** One key, one refund: a repeat gives the same receipt. */
  refund(orderId, amount, key) {
    const before = this.findRefund(key)
    if (before) return before
    const order = this.order(orderId)
    if (!order) throw new Refused(404, 'no such order')
    if (amount > order.refundable)
      throw new Refused(409, `only ${order.refundable} of order ${orderId} can be refunded`)
    const receipt = `R-${this.db.prepare('select count(*) as n from refunds').get().n + 1}`
    this.db.exec('begin immediate')
    this.db.prepare('insert into refunds values (?, ?, ?, ?, ?, null)').run(receipt, orderId, amount, key, Date.now())
    this.db
      .prepare('update orders set refundable = refundable - ?, version = version + 1 where id = ?')
      .run(amount, orderId)
    this.effect('refund', orderId, key)
    this.db.exec('commit')
    return { receipt, amount, voidedAt: null }
  }

  voidRefund(receipt, key) {
    const row = this.db.prepare('select * from refunds where receipt = ?').get(receipt)
    if (!row) throw new Refused(404, 'no such refund')
    if (row.voided_at !== null) return { receipt, voided: true }
    this.db.exec('begin immediate')
    this.db.prepare('update refunds set voided_at = ? where receipt = ?').run(Date.now(), receipt)
    this.db
      .prepare('update orders set refundable = refundable + ?, version = version + 1 where id = ?')
      .run(row.amount, row.order_id)
    this.effect('void', row.order_id, key)
    this.db.exec('commit')
    return { receipt, voided: true }
  }

  effect(what, orderId, key) {
    this.db
      .prepare('insert into effects (what, order_id, key, at) values (?, ?, ?, ?)')
      .run(what, orderId, key, Date.now())
  }

  /** Everything that anybody has done here, in order. */
  effects(orderId) {
    return this.db
      .prepare('select what, key from effects where order_id = ? order by n')
      .all(orderId)
      .map(({ what, key }) => ({ what, key }))
  }
}

class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** Serves the shop on a free loopback port. */
export async function serveShop(shop, port = 0) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://shop')
    const failure = shop.failures.findIndex(({ path }) => url.pathname.startsWith(path))
    const how = failure < 0 ? null : shop.failures.splice(failure, 1)[0].how
    const answer = (status, body) => {
      if (how === 'after') return request.socket.destroy()
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (how === 'before') return request.socket.destroy()
    if (how === 'busy') return answer(503, { error: 'the shop is busy' })
    try {
      answer(200, await route(shop, request, url))
    } catch (error) {
      answer(error.status ?? 500, { error: error.message })
    }
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  }
}

async function route(shop, request, url) {
  const [, what, id, more] = url.pathname.split('/').map(decodeURIComponent)
  const key = request.headers['idempotency-key'] ?? ''
  const found = (value) => {
    if (value === null) throw new Refused(404, `no such ${what.replace(/s$/, '')}`)
    return value
  }
  if (request.method === 'GET' && what === 'orders') return found(shop.order(id))
  if (request.method === 'GET' && what === 'tickets') return found(shop.ticket(id))
  if (request.method === 'GET' && what === 'people') return shop.permissions(id)
  if (request.method === 'GET' && what === 'refunds') return shop.findRefund(id) ?? { receipt: null }
  if (request.method === 'POST' && key === '') throw new Refused(400, 'send an Idempotency-Key')
  const body = request.method === 'POST' ? JSON.parse((await text(request)) || '{}') : {}
  if (request.method === 'POST' && what === 'orders' && more === 'refunds') return shop.refund(id, body.amount, key)
  if (request.method === 'POST' && what === 'refunds' && more === 'void') return shop.voidRefund(id, key)
  throw new Refused(404, 'nothing here')
}

async function text(stream) {
  let all = ''
  for await (const chunk of stream.setEncoding('utf8')) all += chunk
  return all
}
