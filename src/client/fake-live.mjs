/**
 * A fake of the live part of the server for the tests of the client, in memory and in the time of its own clock: event
 * streams, sockets, lists and jobs by the contract, with every fault that a line may have, by chance or on order. Plain
 * JavaScript so that the build leaves it out.
 */
import { makeJob } from './fake-server.mjs'

const FINAL = ['completed', 'failed', 'cancelled']
const HEARTBEAT_MS = 15_000
const encoder = new TextEncoder()

/**
 * @typedef {{ method: string, path: string, query: URLSearchParams, headers: Record<string, string>, body: any, at: number }} Asked
 * @typedef {'up' | 'down' | '502' | 'none' | 'html' | '501'} Streams
 * @typedef {{ chance: () => number, duplicate: number, hold: number, cut: number }} Noise
 * @typedef {{
 *   jobs: Map<string, any>, history: Map<string, any[]>, requests: Asked[], streams: Streams, rest: 'up' | 'down' | '502',
 *   noise: Noise | null, showsDate: boolean, refusals: { status: number, code: string }[], tickets: Set<string>, taps: Set<any>, sockets: Set<any>,
 *   add(id: string, more?: object): void, move(id: string, status: string, more?: object): void,
 *   progress(id: string, n: number): void, cut(): void, end(reason: string): void, restart(): void,
 *   fetch: typeof fetch, WebSocket: any,
 * }} FakeLive
 */

/**
 * `streams` is what becomes of streams and sockets, `rest` of everything else, `noise` what the line does to frames,
 * `refusals` what the next stream requests are answered.
 * @param {ReturnType<typeof import('./fake-time.mjs').virtualClock>} clock @returns {FakeLive}
 */
export function fakeLive(clock, { ring = 50, buffer = 64, begin = 1000 } = {}) {
  const live = {
    jobs: new Map(),
    /** Everything that ever happened, by job. */
    history: new Map(),
    requests: /** @type {Asked[]} */ ([]),
    streams: /** @type {Streams} */ ('up'),
    rest: /** @type {'up' | 'down' | '502'} */ ('up'),
    noise: null,
    showsDate: true,
    refusals: [],
    tickets: new Set(),
    boot: 1,
    /** @type {{ pos: number, event: any }[]} */ log: [],
    pos: 0,
    taps: new Set(),
    sockets: new Set(),

    /** @param {string} id @param {object} more */
    add(id, more = {}) {
      live.jobs.set(id, makeJob({ id, version: 0, revision: 0, ...more }))
      live.history.set(id, [])
      live.move(id, 'accepted')
    },
    /** @param {string} id @param {string} status @param {object} more */
    move(id, status, more = {}) {
      const job = live.jobs.get(id)
      if (job.done) throw new Error(`${id} is done`)
      const at = new Date(clock.now()).toISOString()
      const done = FINAL.includes(status)
      const next = {
        ...job,
        ...more,
        status,
        done,
        version: job.version + 1,
        revision: job.revision + 1,
        updatedAt: at,
      }
      next.statusText = `${status} ${next.version}`
      next.createdAt = job.version === 0 ? at : job.createdAt
      if (done) Object.assign(next, { finishedAt: at, result: status === 'completed' ? { of: id } : null })
      if (status === 'completed') next.resultInfo = { ...job.resultInfo, state: 'inline', bytes: 10 }
      live.jobs.set(id, next)
      const event = eventOf(next, `job.${status}`, job.version === 0 ? null : job.status)
      live.history.get(id)?.push(event)
      live.log.push({ pos: ++live.pos, event })
      if (live.log.length > ring) live.log.shift()
      for (const tap of [...live.taps]) tap.hear(live.pos, event)
    },
    /** @param {string} id @param {number} n */
    progress(id, n) {
      const job = live.jobs.get(id)
      const at = new Date(clock.now()).toISOString()
      const progress = { stage: 's', stageLabel: 'S', message: `Page ${n}`, completed: n, total: 9, updatedAt: at }
      live.jobs.set(id, { ...job, progress, statusText: progress.message, revision: job.revision + 1 })
      const event = { ...eventOf(job, 'job.progress', null), id: `${id}:${job.version}:${job.revision + 1}`, time: at }
      event.data = { ...event.data, progress }
      for (const tap of [...live.taps]) tap.send('event', event, null)
    },
    /** Every line is cut where it is. */
    cut() {
      for (const tap of [...live.taps]) tap.cut()
      for (const socket of [...live.sockets]) socket.drop(1006)
    },
    /** All lines end politely. @param {string} reason */
    end(reason) {
      for (const tap of [...live.taps]) tap.end(reason)
      for (const socket of [...live.sockets]) socket.drop(reason === 'slow' ? 4408 : 1001)
    },
    /** The process begins anew: it knows no position of the one before. */
    restart() {
      live.cut()
      live.boot++
      live.log = []
    },
    /** @type {typeof fetch} */
    fetch: async (input, init = {}) => {
      await Promise.resolve()
      init.signal?.throwIfAborted()
      const url = new URL(String(input))
      const request = {
        method: init.method ?? 'GET',
        path: url.pathname.replace(/^\/base(?=\/)/, ''),
        query: url.searchParams,
        headers: /** @type {Record<string, string>} */ (init.headers ?? {}),
        body: typeof init.body === 'string' ? JSON.parse(init.body) : null,
        at: clock.now(),
      }
      live.requests.push(request)
      const isStream = url.pathname.endsWith('/stream')
      const state = isStream ? live.streams : live.rest
      if (live.rest === 'down' || state === 'down')
        throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } })
      if (state === '502') return new Response('Bad Gateway', { status: 502, headers: { 'content-type': 'text/html' } })
      return isStream ? openStream(live, clock, request, init.signal, buffer, begin) : answer(live, clock, request)
    },
  }
  return Object.assign(live, { WebSocket: socketClass(live, clock, begin) })
}

function eventOf(job, type, previousStatus) {
  return {
    specversion: '1.0',
    id: `${job.id}:${job.version}`,
    source: '/v1',
    type,
    subject: `job/${job.id}`,
    time: job.updatedAt,
    timestamp: job.updatedAt,
    datacontenttype: 'application/json',
    data: {
      jobId: job.id,
      jobType: job.type,
      status: job.status,
      done: job.done,
      version: job.version,
      groupId: job.groupId,
      operationKey: null,
      previousStatus,
    },
  }
}

function wants(live, filter, { type, data }) {
  const job = live.jobs.get(data.jobId)
  const fits = (names, name) => names.some((n) => (n.endsWith('*') ? name.startsWith(n.slice(0, -1)) : n === name))
  return (
    (!filter.types || fits(filter.types, data.jobType)) &&
    (!filter.groupId || job.groupId === filter.groupId) &&
    (!filter.status || filter.status.includes(data.status)) &&
    (!filter.tag || job.tags.includes(filter.tag)) &&
    (!filter.jobId || filter.jobId.includes(data.jobId)) &&
    (!filter.events || fits(filter.events, type))
  )
}

/** One reader on one line: what it is told first, then what happens, through the noise. */
class Tap {
  /** @param {any} live @param {any} clock @param {any} filter @param {(kind: string, payload: any, id: string | null) => void} emit @param {() => void} drop */
  constructor(live, clock, filter, emit, drop) {
    Object.assign(this, { live, clock, filter, emit, drop, held: /** @type {any[]} */ ([]), frames: 0, at: live.pos })
    live.taps.add(this)
  }
  cursor(pos) {
    const { live, clock } = this
    return `${live.boot}.${pos}.${clock.now()}`
  }
  begin(after, most) {
    const { live, filter } = this
    const [boot, pos, instant] = (after ?? '').split('.').map(Number)
    const oldest = live.log[0]?.pos ?? live.pos + 1
    const known = after !== null && boot === live.boot && pos >= oldest - 1 && pos <= live.pos
    const here = this.cursor(live.pos)
    if (known) {
      this.send('ready', { complete: true }, after)
      for (const { pos: at, event } of [...live.log]) if (at > pos) this.hear(at, event)
      return
    }
    if (after === null && !filter.groupId && !filter.jobId) return this.send('ready', { complete: true }, here)
    // A place that is never known, with the instant of before: whoever is cut now begins again.
    this.send('ready', { complete: false }, `0.0.${after === null ? 0 : instant || 0}`)
    if (after !== null) this.send('reset', {}, null)
    const jobs = [...live.jobs.values()]
      .reverse()
      .filter((job) => wants(live, { ...filter, events: undefined }, eventOf(job, '', null)))
    const since = after === null ? 0 : (instant || 0) - 60_000
    const told = jobs.filter((job) => !job.done || Date.parse(job.updatedAt) > since)
    for (const job of told.slice(0, most)) this.send('snapshot', { job: withoutResult(job) }, null)
    this.send('ready', told.length > most ? { complete: true, more: true } : { complete: true }, here)
  }
  /** The stream of one job: its ids are those of its events, and its snapshot is whole. */
  beginOne(job, after) {
    this.isOne = true
    const version = Number(after?.split(':')[1] ?? Number.NaN)
    if (after === null) this.send('snapshot', { job }, `${job.id}:${job.version}`)
    for (const event of this.live.history.get(job.id) ?? []) if (event.data.version > version) this.hear(this.at, event)
    if (job.done) this.end('done')
  }
  hear(pos, event) {
    if (!this.live.taps.has(this)) return
    const wanted = wants(this.live, this.filter, event)
    const { noise } = this.live
    if (noise && wanted && noise.chance() < noise.duplicate) {
      const [old] = this.live.history.get(event.data.jobId)
      if (!this.isOne) this.send('event', old, this.cursor(this.safe(pos - 1)))
    }
    if (wanted) this.held.push({ pos, event })
    this.at = pos
    // What is held is delayed, and overtaken by what happens to other jobs, never by what happens to the same one.
    if (!noise || noise.chance() >= noise.hold) return this.flush()
    void this.clock.sleep(50 + noise.chance() * 400).then(() => this.flush())
  }
  flush() {
    const byJob = new Map()
    for (const one of this.held.splice(0)) {
      const id = one.event.data.jobId
      byJob.set(id, [...(byJob.get(id) ?? []), one])
    }
    const { noise } = this.live
    const queues = [...byJob.values()]
    while (queues.length > 0) {
      const at = noise ? Math.floor(noise.chance() * queues.length) : indexOfFirst(queues)
      const one = queues[at].shift()
      if (queues[at].length === 0) queues.splice(at, 1)
      const left = queues.flat().map(({ pos }) => pos)
      this.send(
        'event',
        one.event,
        this.isOne ? one.event.id : this.cursor(left.length > 0 ? Math.min(...left) - 1 : this.at),
      )
    }
  }
  /** A position that passes over nothing that is held. */
  safe(pos) {
    return Math.min(pos, ...this.held.map((one) => one.pos - 1))
  }
  send(kind, payload, id) {
    const { live } = this
    if (!live.taps.has(this)) return
    this.emit(kind, payload, id)
    this.frames++
    if (live.noise && live.noise.chance() < live.noise.cut) this.cut()
  }
  cut() {
    if (this.live.taps.delete(this)) this.drop()
  }
  end(reason) {
    this.send('end', { reason }, null)
    this.cut()
  }
}

function indexOfFirst(queues) {
  return queues.reduce((best, queue, i) => (queue[0].pos < queues[best][0].pos ? i : best), 0)
}

function openStream(live, clock, request, signal, buffer, begin) {
  const refusal = live.refusals.shift()
  if (refusal) return problem(refusal.status, refusal.code)
  if (live.streams === 'none') return problem(405, 'method-not-allowed')
  if (live.streams === '501') return new Response('', { status: 501 })
  if (live.streams === 'html') return new Response('<html>', { headers: { 'content-type': 'text/html' } })
  const { query, path } = request
  const ticket = query.get('ticket')
  if (live.tickets.size > 0 && !live.tickets.has(ticket)) return problem(401, 'unauthenticated')
  const one = /^\/v1\/jobs\/([^/]+)\/events\/stream$/.exec(path)?.[1]
  if (one && !live.jobs.has(one)) return problem(404, 'job-not-found')
  const list = (name) => query.get(name)?.split(',')
  const filter = one
    ? { jobId: [one] }
    : {
        ...{ types: list('types'), groupId: query.get('groupId') ?? undefined, status: list('status') },
        ...{ tag: query.get('tag') ?? undefined, jobId: list('jobId'), events: list('events') },
      }
  const beat = new AbortController()
  let tap
  const body = new ReadableStream(
    {
      start(controller) {
        const write = (text) => controller.enqueue(encoder.encode(text))
        const emit = (kind, payload, id) => {
          const name = kind === 'event' ? payload.type : kind
          write(`${id === null ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(payload)}\n\n`)
          if (controller.desiredSize >= 0 || kind === 'end') return
          tap.end('slow')
        }
        const drop = () => {
          beat.abort()
          // What was written is lost with the line, or not: both happen.
          if (live.noise && live.noise.chance() < 0.5) controller.error(new TypeError('terminated'))
          else controller.close()
        }
        tap = new Tap(live, clock, filter, emit, drop)
        signal?.addEventListener('abort', () => {
          if (live.taps.delete(tap)) controller.error(signal.reason)
          beat.abort()
        })
        const heart = () => {
          // A line that was cut somewhere on the way is silent, and nobody is told.
          if (!live.taps.has(tap)) return
          write(': still here\n\n')
          clock.sleep(HEARTBEAT_MS, beat.signal).then(heart, () => {})
        }
        heart()
        if (one) tap.beginOne(live.jobs.get(one), request.headers['last-event-id'] ?? null)
        else tap.begin(request.headers['last-event-id'] ?? null, begin)
      },
      cancel() {
        beat.abort()
        live.taps.delete(tap)
      },
    },
    { highWaterMark: buffer },
  )
  // Browsers hide the date of another origin.
  const date = live.showsDate ? { date: new Date(clock.now()).toUTCString() } : {}
  return new Response(body, { headers: { 'content-type': 'text/event-stream', ...date } })
}

function answer(live, clock, { method, path, query, headers, body }) {
  if (method === 'POST' && path === '/v1/stream-tickets') {
    const ticket = `ticket-${live.requests.length}`
    live.tickets.add(ticket)
    return json({ ticket, expiresAt: new Date(clock.now() + (body.ttlMs ?? 600_000)).toISOString() }, 201)
  }
  if (path === '/v1/jobs') {
    const list = (name) => query.get(name)?.split(',')
    const filter = { types: list('type'), groupId: query.get('groupId'), status: list('status'), tag: query.get('tag') }
    const since = Date.parse(query.get('updatedAfter') ?? '1970-01-01T00:00:00Z')
    const found = [...live.jobs.values()]
      .filter((job) => wants(live, filter, eventOf(job, '', null)) && Date.parse(job.updatedAt) > since)
      .sort((a, b) => (query.get('order') === '-updatedAt' ? Date.parse(b.updatedAt) - Date.parse(a.updatedAt) : 0))
    const [from, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit') ?? 50)]
    const items = found.slice(from, from + limit).map(withoutResult)
    return json({ items, nextCursor: from + limit < found.length ? String(from + limit) : null })
  }
  const group = /^\/v1\/groups\/([^/]+)$/.exec(path)?.[1]
  const members = [...live.jobs.values()].filter((one) => one.groupId === decodeURIComponent(group ?? ''))
  if (group && members.length > 0)
    return json({ groupId: group, total: members.length, done: members.every((one) => one.done) })
  const job = live.jobs.get(/^\/v1\/jobs\/([^/]+)$/.exec(path)?.[1])
  if (!job) return problem(404, path.startsWith('/v1/jobs/') ? 'job-not-found' : 'not-found')
  const etag = `"${job.revision}"`
  if (headers['if-none-match'] === etag) return new Response(null, { status: 304, headers: { etag } })
  return json(job, 200, { etag })
}

function json(value, status = 200, headers = {}) {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json', ...headers } })
}

/** As lists and streams of many jobs give it. */
function withoutResult(job) {
  const resultInfo = job.resultInfo.state === 'inline' ? { ...job.resultInfo, state: 'external' } : job.resultInfo
  return { ...job, result: null, resultInfo }
}

function problem(status, code) {
  const value = { code, status, title: `Title of ${code}.`, fix: `Fix of ${code}.`, retryable: status >= 500 }
  return json(value, status, { 'content-type': 'application/problem+json' })
}

/** The class of sockets to this server: opens when it has a ticket that was not used, and never twice with one. */
function socketClass(live, clock, begin) {
  return class {
    onopen = /** @type {any} */ (null)
    onmessage = /** @type {any} */ (null)
    onclose = /** @type {any} */ (null)
    onerror = /** @type {any} */ (null)
    /** @type {any[]} */ received = []
    /** @type {Map<number, any>} */ taps = new Map()
    isOpen = false
    deaf = false
    /** @param {string} url @param {string | string[]} [protocol] */
    constructor(url, protocol) {
      this.url = new URL(url)
      this.protocol = protocol
      queueMicrotask(() => this.open())
    }
    open() {
      const ticket = this.url.searchParams.get('ticket')
      if (live.streams !== 'up' || live.rest === 'down' || !live.tickets.delete(ticket)) {
        this.onerror?.({ type: 'error' })
        return this.onclose?.({ code: 1006 })
      }
      this.isOpen = true
      live.sockets.add(this)
      this.onopen?.({ type: 'open' })
    }
    say(message) {
      if (this.isOpen && !this.deaf)
        queueMicrotask(() => this.isOpen && this.onmessage?.({ data: JSON.stringify(message) }))
    }
    send(text) {
      if (!this.isOpen) throw new Error('not open')
      const message = JSON.parse(text)
      this.received.push(message)
      const { op, ref } = message
      if (op === 'ping') this.say({ op: 'pong' })
      if (op === 'unsubscribe') {
        live.taps.delete(this.taps.get(ref))
        this.taps.delete(ref)
      }
      if (op !== 'subscribe') return
      const refusal = live.refusals.shift()
      if (refusal) {
        const fix = `Fix of ${refusal.code}.`
        return this.say({ op: 'error', ref, problem: { ...refusal, fix, retryable: refusal.status >= 429 } })
      }
      const emit = (kind, payload, id) => {
        const more = id === null ? {} : { id }
        if (kind === 'ready') this.say({ op: 'subscribed', ref, ...payload, ...more })
        else if (kind === 'snapshot') this.say({ op: 'snapshot', ref, job: payload.job })
        else if (kind === 'reset') this.say({ op: 'reset', ref })
        else if (kind === 'event') this.say({ op: 'event', ref, event: payload, ...more })
      }
      const tap = new Tap(live, clock, message.filter ?? {}, emit, () => this.drop(1006))
      this.taps.set(ref, tap)
      tap.begin(message.after ?? null, begin)
    }
    drop(code) {
      if (!this.isOpen) return
      this.isOpen = false
      live.sockets.delete(this)
      for (const tap of this.taps.values()) live.taps.delete(tap)
      queueMicrotask(() => this.onclose?.({ code }))
    }
    close(code = 1000) {
      this.drop(code)
    }
  }
}
