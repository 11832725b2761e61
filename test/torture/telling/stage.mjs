/**
 * The cast of the telling: a folder with a database, the receiver, the clients, and one life of the server after another.
 * Gathers what the judge needs; judges nothing itself.
 */
import { join } from 'node:path'
import { dropFolder, folder, program, sleep } from '../lib/common.mjs'
import { readJournal } from '../lib/journal.mjs'
import { Line } from '../lib/line.mjs'
import { Lives } from '../lib/lives.mjs'
import { readStore } from '../tables.mjs'
import { check } from './checker.mjs'
import { Load, namesOf } from './load.mjs'
import { SUBSCRIPTIONS } from './plan.mjs'

/** After the last fault everything has ended and been told within this; what waits for its next try is sent at once. */
const REST_MS = 60_000
const TENANTS = ['a', 'b']
/** The signer of addresses that jobs name. */
const SIGNER = 'wh_notify'

export class Stage {
  #core
  #bug
  #lives
  #receiver
  #receiverUrl
  /** Subscriptions by name: id, tenant and the keys that verify. */
  #subscriptions = new Map()
  #line = new Line()
  resent = 0

  constructor({ dist, core, name, bug = null }) {
    this.#core = core
    this.#bug = bug
    this.dir = folder(name)
    this.#lives = new Lives('telling/victim.mjs', { env: { TORTURE_DIST: dist } })
  }

  get complaints() {
    return this.#lives.complaints
  }

  /** Receiver, subscriptions, clients; the life in which the subscriptions were made ends politely. */
  async open({ seed, most }) {
    const env = { TORTURE_LEDGER: join(this.dir, 'ledger'), TORTURE_SEED: String(seed) }
    this.#receiver = program('telling/receiver.mjs', { env })
    this.#receiverUrl = (await this.#receiver.said((message) => message.ready)).ready
    const life = await this.begin()
    for (const [name, { tenant, ...body }] of Object.entries(SUBSCRIPTIONS)) {
      const made = await this.#ask(
        tenant,
        'POST',
        '/v1/webhooks',
        { ...body, url: `${this.#receiverUrl}/${name}` },
        201,
      )
      this.#subscriptions.set(name, { name, tenant, id: made.id, keys: [made.publicKey ?? made.secret] })
    }
    const { secret } = await this.#ask('a', 'POST', `/v1/webhooks/${SIGNER}/rotate`, { overlapMs: 0 }, 200)
    await this.end(life, { afterMs: 0, politely: 5000 })
    const names = namesOf(this.#subscriptions, this.#receiverUrl)
    this.#subscriptions.set('notify', { name: 'notify', tenant: 'a', id: SIGNER, keys: [secret] })
    this.load = new Load(join(this.dir, 'journal'), { seed, most, names })
    return this
  }

  /** Starts a life. Resolves when it is ready, or has ended before that. */
  async begin(arm = null) {
    const life = await this.#lives.begin({ dir: join(this.dir, 'data'), arm, bug: this.#bug })
    if (life.up !== null) {
      this.#line.up(life.up.ready)
      this.load?.line.up(life.up.ready)
    }
    return life
  }

  end(life, how) {
    const onGone = () => {
      this.#line.down()
      this.load?.line.down()
      // Answers that were held back are given now, to nobody.
      this.#receiver.tell({})
    }
    return this.#lives.end(life, { ...how, onGone })
  }

  /** Everything comes to its end and is told; a last kill; then what the library says is held against what came. */
  async judge() {
    this.load.stopSubmitting()
    this.#receiver.tell({ rough: false })
    const life = await this.begin()
    const until = Date.now() + REST_MS
    while (!this.load.quiet && Date.now() < until) await sleep(10)
    const lies = []
    if (!this.load.quiet)
      lies.push({
        invariant: 'L4',
        job: null,
        text: `${this.load.pending.size} jobs had not ended after ${REST_MS} ms`,
      })
    const left = await this.#untilTold(life, until)
    if (left > 0)
      lies.push({ invariant: 'W1', job: null, text: `${left} deliveries had not come to rest after ${REST_MS} ms` })
    const jobs = readJournal(join(this.dir, 'journal'))
    const log = await this.#logOf(jobs)
    await this.end(life, { afterMs: 0 })
    this.#receiver.tell({ rough: true })
    const store = readStore(this.#core.Database, join(this.dir, 'data', 'jobs.db'))
    return check({
      ...{ jobs, log, store, lies, statusAfter: this.#core.statusAfter },
      subscriptions: this.#subscriptions,
      ledger: await this.#verified(readJournal(join(this.dir, 'ledger'))),
    })
  }

  /** Sends what waits for its next try, until nothing is left. @returns how many are left all the same */
  async #untilTold(life, until) {
    for (;;) {
      let left = await this.#untold(life)
      for (const { tenant, id } of this.#subscriptions.values()) {
        const open = 'status=accepted,processing,blocked&limit=200'
        const { items } = await this.#ask(tenant, 'GET', `/v1/webhooks/${id}/deliveries?${open}`)
        left += items.length
        const waiting = items.filter(({ nextAttemptAt }) => nextAttemptAt && Date.parse(nextAttemptAt) > Date.now())
        for (const delivery of waiting) {
          await this.#ask(tenant, 'POST', `/v1/deliveries/${delivery.id}/resend`, {}, 202)
          this.resent++
        }
      }
      if (left === 0 || Date.now() > until) return left
      await sleep(100)
    }
  }

  async #untold({ life }) {
    const said = life.said((message) => message.untold !== undefined)
    life.tell({ untold: true })
    return (await said)?.untold ?? 0
  }

  /** What the library says of each job's deliveries. */
  async #logOf(jobs) {
    const log = new Map()
    const left = [...jobs]
    const one = async () => {
      for (let job = left.pop(); job; job = left.pop()) {
        const { items } = await this.#ask(job.tenant, 'GET', `/v1/jobs/${job.id}/deliveries?limit=200`)
        log.set(job.id, items)
        // The neighbour asks for it as well, and must be told that there is no such job.
        if (Number.parseInt(job.id.slice(-2), 16) < 16) {
          const other = TENANTS.find((tenant) => tenant !== job.tenant)
          await this.#ask(other, 'GET', `/v1/jobs/${job.id}/deliveries`, undefined, 404)
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, one))
    return log
  }

  /** What came, each with what `verifyWebhook` says of it. */
  async #verified(ledger) {
    const posts = ledger.filter(({ what }) => what === 'post')
    const answered = new Map(ledger.flatMap(({ what, post, status }) => (what === 'answered' ? [[post, status]] : [])))
    return Promise.all(
      posts.map(async ({ post, to, headers, body, plan }) => {
        const keys = this.#subscriptions.get(to)?.keys ?? []
        // It is read long after it came: the clock that counts is that of its arrival, and it says its own time.
        const now = Number(headers['webhook-timestamp']) * 1000
        const problem = await this.#core.verifyWebhook(headers, body, keys, { now }).then(
          () => null,
          (error) => error.code ?? String(error),
        )
        return { post, to, plan, id: headers['webhook-id'], problem, body, answered: answered.get(post) ?? null }
      }),
    )
  }

  async #ask(tenant, method, path, body, expected = 200) {
    const answer = await this.#line.insist(method, path, { body, headers: { 'x-tenant': tenant } })
    if (answer?.status !== expected)
      throw new Error(`${method} ${path} was answered ${answer?.status}: ${JSON.stringify(answer?.json)}`)
    return answer.json
  }

  async close({ keep = false } = {}) {
    this.#lives.close()
    await this.load?.stop()
    this.#line.close()
    this.#receiver.child.stdin.end()
    await this.#receiver.ended
    if (!keep) dropFolder(this.dir)
  }
}
