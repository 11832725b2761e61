/**
 * The clients of the telling: they submit jobs of two tenants, cancel some, and see each through to its end. What was
 * acknowledged is on disk, with everything that says who must hear of it.
 */
import { chance, sleep } from '../lib/common.mjs'
import { Journal } from '../lib/journal.mjs'
import { Line } from '../lib/line.mjs'
import { drawTold, NOTIFY } from './plan.mjs'

const SUBMITTERS = 4
const READERS = 2

export class Load {
  line = new Line()
  /** Acknowledged and not yet seen done: id → { tenant, act }. */
  pending = new Map()
  accepted = 0
  #journal
  #r
  #most
  #names
  #serial = 0
  #inFlight = 0
  #submitting = false
  #reading = true
  #loops = []

  /** @param names what `notify` holds for each name: `{ webhookId }` or `{ url }` */
  constructor(path, { seed, most, names }) {
    this.#journal = new Journal(path)
    this.#r = chance(seed)
    this.#most = most
    this.#names = names
    for (let i = 0; i < READERS; i++) this.#loops.push(this.#readLoop(this.#r.fork()))
  }

  resume() {
    if (this.#submitting) return
    this.#submitting = true
    for (let i = 0; i < SUBMITTERS; i++) this.#loops.push(this.#submitLoop(this.#r.fork()))
  }

  /** No new jobs; what was begun is brought to its acknowledgement. */
  stopSubmitting() {
    this.#submitting = false
  }

  get quiet() {
    return this.#inFlight === 0 && this.pending.size === 0
  }

  async stop() {
    this.#submitting = this.#reading = false
    this.line.close()
    await Promise.all(this.#loops)
    this.#journal.close()
  }

  async #submitLoop(r) {
    while (this.#submitting) {
      if (this.pending.size + this.#inFlight >= this.#most) {
        await sleep(5)
        continue
      }
      this.#inFlight++
      try {
        await this.#submit(r)
      } finally {
        this.#inFlight--
      }
      await sleep(r.int(0, 10))
    }
  }

  async #submit(r) {
    const { tenant, body, notify, act } = drawTold(r, ++this.#serial)
    const named = notify.map(({ name, events }) => ({ ...this.#names[name], ...(events ? { events } : {}) }))
    const headers = { 'x-tenant': tenant, 'idempotency-key': `t-${this.#serial}-${r.text(8)}` }
    const sent = { ...body, ...(named.length > 0 ? { notify: named } : {}) }
    const answer = await this.line.insist('POST', '/v1/jobs', { body: sent, headers })
    if (answer === null) return
    if (answer.status !== 202 && answer.status !== 200)
      throw new Error(`A submit was answered ${answer.status}: ${JSON.stringify(answer.json)}`)
    const { id } = answer.json
    await this.#journal.append({ what: 'ack', id, tenant, body, notify })
    this.accepted++
    this.pending.set(id, { tenant, act })
  }

  async #readLoop(r) {
    while (this.#reading) {
      const ids = [...this.pending.keys()]
      if (ids.length > 0) await this.#look(r.pick(ids))
      await sleep(ids.length > 0 ? r.int(1, 4) : 5)
    }
  }

  async #look(id) {
    const known = this.pending.get(id)
    const headers = { 'x-tenant': known.tenant }
    const answer = await this.line.send('GET', `/v1/jobs/${id}`, { headers })
    if (answer === null || answer.status !== 200) return
    if (answer.json.done) {
      this.pending.delete(id)
      return
    }
    if (known.act === null || (known.act === 'cancelRunning' && answer.json.status !== 'processing')) return
    const cancelled = await this.line.send('POST', `/v1/jobs/${id}/cancel`, { body: { reason: 'not needed' }, headers })
    if (cancelled !== null && cancelled.status < 300) known.act = null
  }
}

/** What goes into `notify` for each name of the plan. */
export function namesOf(subscriptions, receiver) {
  const named = [...subscriptions].map(([name, { id }]) => [name, { webhookId: id }])
  return { ...Object.fromEntries(named), [NOTIFY]: { url: `${receiver}/${NOTIFY}` } }
}
