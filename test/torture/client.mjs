/**
 * The clients: they submit, read, cancel and retry over HTTP, through every death of the server. The intent is on disk
 * before a request leaves and the acknowledgement after it has come, so that the truth survives the client too.
 */
import { chance, sha256, sleep } from './lib/common.mjs'
import { Journal } from './lib/journal.mjs'
import { Line } from './lib/line.mjs'
import { draw } from './lib/scripts.mjs'

const SUBMITTERS = 5
const READERS = 2

/** What never changes once a job is done (rulings 10). */
const lastWord = ({ status, result, error, warnings, finishedAt, version }) =>
  sha256(JSON.stringify({ status, result, error, warnings, finishedAt, version }))

export class Client {
  #line = new Line()
  #journal
  #r
  #skew = 0
  #serial = 0
  #submitting = false
  #reading = false
  #loops = []
  /** Acknowledged and not yet seen done: id → { version, act, body }. */
  pending = new Map()
  /** Seen done: id → digest of its last word. */
  done = new Map()
  /** What a reader saw that cannot be. */
  lies = []
  counts = { accepted: 0, refused: 0, replayed: 0, reads: 0 }

  /** @param most unfinished jobs at once */
  /** @param receiptOf what the outside knows of a step, for a person who is asked whether it has happened */
  constructor(path, { seed, most = 40, only = null, receiptOf = null }) {
    this.#journal = new Journal(path)
    this.#r = chance(seed)
    this.most = most
    this.only = only
    this.receiptOf = receiptOf
  }

  get url() {
    return this.#line.url
  }
  /** Requests that a death cut off. */
  get cutOff() {
    return this.#line.errors
  }

  down() {
    this.#line.down()
  }
  /** @param url one, or several servers of one system that are asked in turn */
  up(url, skewMs = 0) {
    this.#skew = skewMs
    this.#line.up(url)
  }

  start() {
    this.#reading = true
    for (let i = 0; i < READERS; i++) this.#loops.push(this.#readLoop(this.#r.fork()))
    this.resume()
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

  /** Jobs that were seen being worked on and not yet done. */
  get running() {
    return [...this.pending.values()].filter(({ rank }) => rank === 1).length
  }

  /** True when nothing is unacknowledged or unfinished. */
  get quiet() {
    return this.inFlight === 0 && this.pending.size === 0
  }
  inFlight = 0

  async stop() {
    this.#submitting = this.#reading = false
    this.#line.close()
    await Promise.all(this.#loops)
    this.#journal.close()
  }

  async #submitLoop(r) {
    while (this.#submitting) {
      if (this.pending.size + this.inFlight >= this.most) {
        await sleep(5)
        continue
      }
      this.inFlight++
      try {
        await (r.happens(0.04) ? this.#submitBatch(r) : this.#submitOne(r))
      } finally {
        this.inFlight--
      }
      await sleep(r.int(0, 6))
    }
  }

  #draw(r) {
    return draw(r, ++this.#serial, Date.now() + this.#skew, this.only)
  }

  async #submitOne(r) {
    const { script, act, body } = this.#draw(r)
    if (script === 'file') {
      const raw = Buffer.from(r.text(r.int(1, 20_000)))
      const stored = await this.#line.insist('POST', '/v1/files', { raw, headers: { 'content-type': 'text/plain' } })
      if (stored?.status !== 201) return
      body.input.file = stored.json.file
      body.input.sha256 = sha256(raw)
    }
    const key = `k-${body.input.serial}-${r.text(8)}`
    await this.#journal.append({ what: 'intent', key, body })
    const options = { body, headers: { 'idempotency-key': key } }
    // Now and then two at once, and now and then once more after the answer: it is one job all the same.
    const twice = r.happens(0.1)
    const answers = await Promise.all([
      this.#line.insist('POST', '/v1/jobs', options),
      ...(twice ? [this.#line.insist('POST', '/v1/jobs', options)] : []),
    ])
    if (r.happens(0.1)) answers.push(await this.#line.insist('POST', '/v1/jobs', options))
    for (const answer of answers) await this.#acknowledged(key, answer, act)
  }

  async #submitBatch(r) {
    const items = Array.from(
      { length: r.int(2, 4) },
      () => draw(r, ++this.#serial, Date.now(), ['complete', 'transient']).body,
    )
    const key = `b-${this.#serial}-${r.text(8)}`
    await this.#journal.append({ what: 'intent', key, items })
    const answer = await this.#line.insist('POST', '/v1/jobs/batch', {
      body: { items },
      headers: { 'idempotency-key': key },
    })
    if (answer === null) return
    if (answer.status !== 202) return this.#refused(key, answer)
    await this.#journal.append({ what: 'ack', key, ids: answer.json.items.map(({ id }) => id) })
    for (const job of answer.json.items) this.#follow(job, null)
  }

  async #acknowledged(key, answer, act) {
    if (answer === null) return
    if (answer.status !== 200 && answer.status !== 202) return this.#refused(key, answer)
    const { id } = answer.json
    if (answer.headers['idempotent-replayed']) this.counts.replayed++
    await this.#journal.append({ what: 'ack', key, ids: [id] })
    this.#follow(answer.json, act)
  }

  async #refused(key, { status, json }) {
    this.counts.refused++
    await this.#journal.append({ what: 'refused', key, status, code: json?.code, detail: json?.detail })
  }

  #follow(job, act) {
    if (this.done.has(job.id) || this.pending.has(job.id)) return
    this.counts.accepted++
    this.pending.set(job.id, { version: job.version, rank: 0, act })
  }

  async #readLoop(r) {
    while (this.#reading) {
      const id = r.happens(0.9) ? anyOf(this.pending, r) : anyOf(this.done, r)
      if (id === undefined) await sleep(5)
      else await this.#look(id)
      await sleep(r.int(2, 8))
    }
  }

  /** Reads a job, and holds the answer against everything that was answered before. */
  async #look(id) {
    const known = this.pending.get(id)
    // As they are before the question: what another reader is told meanwhile binds only later questions.
    const least = known?.version ?? 0
    const leastRank = known?.rank ?? 0
    const ended = this.done.has(id)
    const answer = await this.#line.send('GET', `/v1/jobs/${id}`)
    if (answer === null || answer.status >= 500) return
    this.counts.reads++
    if (answer.status !== 200) {
      this.#lie('V1', id, `an acknowledged job answers ${answer.status} ${answer.json?.code ?? ''}`)
      this.pending.delete(id)
      return
    }
    const job = answer.json
    const rank = job.done ? 2 : job.status === 'accepted' ? 0 : 1
    if (known) {
      if (job.version < least) this.#lie('V6', id, `version ${job.version} was read after version ${least}`)
      if (rank < leastRank) this.#lie('V3', id, `status ${job.status} was read after a later one`)
      known.version = Math.max(known.version, job.version)
      known.rank = Math.max(known.rank, rank)
    }
    if (job.done) return this.#seenDone(job)
    if (ended) this.#lie('S3', id, `status ${job.status} was read after its end`)
    if (known?.act) await this.#act(id, known, job)
  }

  #seenDone(job) {
    const word = lastWord(job)
    const before = this.done.get(job.id)
    if (before === undefined) {
      this.done.set(job.id, word)
      this.pending.delete(job.id)
      void this.#journal.append({ what: 'end', id: job.id, status: job.status, word })
    } else if (before !== word) this.#lie('S3', job.id, 'its last word has changed')
  }

  async #act(id, known, job) {
    const { act } = known
    if (act === 'retry') {
      if (job.status !== 'blocked') return
      const answer = await this.#line.send('POST', `/v1/jobs/${id}/retry`, { body: { reason: 'looked at it' } })
      if (answer !== null) await this.#journal.append({ what: 'retry', id, status: answer.status })
      return
    }
    if (act === 'signal') {
      const answer = await this.#line.send('POST', `/v1/jobs/${id}/signals/go`, {
        body: { payload: { id } },
        headers: { 'idempotency-key': `go-${id}` },
      })
      if (answer === null || answer.status >= 500) return
      known.act = null
      await this.#journal.append({ what: 'signal', id, status: answer.status, code: answer.json?.code })
      return
    }
    if (act === 'answer') {
      if (job.status !== 'blocked') return
      const receipt = await this.receiptOf(id, 'pay')
      const said = receipt === null ? { answer: 'stop' } : { answer: 'happened', result: { receipt } }
      const answer = await this.#line.send('POST', `/v1/jobs/${id}/answer`, {
        body: { step: 'pay', ...said, reason: 'looked it up' },
      })
      if (answer !== null) await this.#journal.append({ what: 'answer', id, ...said, status: answer.status })
      return
    }
    if (
      act === 'cancelAfterStep' &&
      !(await this.#line.send('GET', `/v1/jobs/${id}?include=steps`))?.json?.steps?.length
    )
      return
    const answer = await this.#line.send('POST', `/v1/jobs/${id}/cancel`, { body: { reason: 'changed its mind' } })
    if (answer === null || answer.status >= 500) return
    known.act = null
    await this.#journal.append({ what: 'cancel', id, status: answer.status, code: answer.json?.code })
  }

  #lie(invariant, job, text) {
    this.lies.push({ invariant, job, text })
  }

  /** Reads every finished job once more; the answers must be those of before. */
  async rereadAll() {
    const ids = [...this.done.keys()]
    let next = 0
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (next < ids.length) await this.#look(ids[next++])
      }),
    )
  }
}

function anyOf(map, r) {
  if (map.size === 0) return undefined
  let skip = r.int(0, map.size - 1)
  for (const id of map.keys()) if (skip-- === 0) return id
}
