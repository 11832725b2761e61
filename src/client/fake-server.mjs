/**
 * A small fake of the server for the tests of client and CLI: real HTTP, jobs in a map, and faults on order.
 * Plain JavaScript so that the build leaves it out. Not a model of the engine: tests say what happens to a job.
 */
import { createServer } from 'node:http'

/** Starts on a free port of loopback. */
export async function startFakeServer({ port = 0 } = {}) {
  const fake = {
    url: '',
    port: 0,
    /** @type {Map<string, any>} */ jobs: new Map(),
    /** @type {Map<string, string>} */ keys: new Map(),
    /** @type {{ method: string, path: string, query: URLSearchParams, headers: Record<string, any>, body: string }[]} */
    requests: [],
    /** @type {((request: any, response: import('node:http').ServerResponse) => boolean | void | Promise<boolean | void>)[]} faults: each is used for one matching request; true = answered */
    faults: [],
    /** @type {((response: import('node:http').ServerResponse, request: any) => void)[]} one per stream connection, then 404 */
    streams: [],
    /** @type {Record<string, (request: any, response: import('node:http').ServerResponse) => void>} exact "METHOD /path" */
    routes: {},
    /** @type {(() => void)[]} long-polls that are held */
    held: [],
    holds: true,
    /** Changes a job: +1 revision, and held long-polls answer. @param {string} id @param {any} change */
    change(id, change) {
      const job = fake.jobs.get(id)
      fake.jobs.set(id, {
        ...job,
        ...change,
        revision: job.revision + 1,
        version: job.version + (change.status ? 1 : 0),
      })
      fake.release()
    },
    /** The held long-polls answer now, as after their time. */
    release() {
      for (const answer of fake.held.splice(0)) answer()
    },
    /** @param {string} pattern like "POST /v1/jobs" @param {(request: any, response: import('node:http').ServerResponse) => boolean | void} act */
    failOnce(pattern, act) {
      const fault = (request, response) => {
        if (`${request.method} ${request.path}` !== pattern) return false
        fake.faults.splice(fake.faults.indexOf(fault), 1)
        return act(request, response) !== false
      }
      fake.faults.push(fault)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://fake')
    const chunks = []
    for await (const chunk of incoming) chunks.push(chunk)
    const request = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
    }
    fake.requests.push(request)
    for (const fault of [...fake.faults]) if (await fault(request, response)) return
    answer(fake, request, response)
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)))
  fake.port = /** @type {import('node:net').AddressInfo} */ (server.address()).port
  fake.url = `http://127.0.0.1:${fake.port}`
  return fake
}

function answer(fake, request, response) {
  const { method, path } = request
  const route = fake.routes[`${method} ${path}`]
  if (route) return route(request, response)
  if (method === 'POST' && path === '/v1/jobs') {
    const { job, replayed } = store(fake, request)
    return sendJson(response, job.done ? 200 : 202, job, replayed ? { 'idempotent-replayed': 'true' } : {})
  }
  const [, id, rest] = /^\/v1\/jobs\/([^/]+)(\/.*)?$/.exec(path) ?? []
  const job = id === undefined ? undefined : fake.jobs.get(id)
  if (!job) return problem(response, 404, 'job-not-found')
  if (method === 'GET' && rest === undefined) return read(fake, request, response, id)
  if (method === 'GET' && rest === '/events/stream') {
    const stream = fake.streams.shift()
    return stream ? stream(response, request) : problem(response, 404, 'not-found')
  }
  if (method === 'GET' && rest === '/result') return sendJson(response, 200, job.bigResult ?? job.result)
  if (method === 'POST' && rest === '/cancel') {
    fake.change(id, {
      status: 'cancelled',
      done: true,
      error: errorOf('cancelled-by-caller', 'Cancelled by the caller.'),
    })
    return sendJson(response, 200, fake.jobs.get(id))
  }
  problem(response, 404, 'not-found')
}

/** Stores a submit under its key, as the real server does; used by faults that lose the answer afterwards. */
export function store(fake, request) {
  const key = request.headers['idempotency-key']
  const known = key && fake.keys.get(key)
  if (known) return { job: fake.jobs.get(known), replayed: true }
  const body = JSON.parse(request.body)
  const job = makeJob({ id: `job-${fake.jobs.size + 1}`, type: body.type })
  fake.jobs.set(job.id, job)
  if (key) fake.keys.set(key, job.id)
  return { job, replayed: false }
}

function read(fake, request, response, id) {
  const tagged = () => {
    const job = fake.jobs.get(id)
    const { bigResult: _, ...wire } = job
    const etag = `"${job.revision}"`
    if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end()
    sendJson(response, 200, wire, { etag })
  }
  const waits = request.query.has('wait') && fake.holds && !fake.jobs.get(id).done
  if (!waits) return tagged()
  const until = request.query.get('until')
  const held = () => {
    if (until === 'done' && !fake.jobs.get(id).done && !fake.timeUp) fake.held.push(held)
    else tagged()
  }
  fake.held.push(held)
}

export function sendJson(response, status, value, headers = {}) {
  response
    .writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_1', ...headers })
    .end(JSON.stringify(value))
}

export function problem(response, status, code, more = {}, headers = {}) {
  const body = {
    type: `urn:untildone:problem:${code}`,
    title: `Title of ${code}.`,
    status,
    detail: `Detail of ${code}.`,
    code,
    retryable: status === 429 || status >= 500,
    retryAfterMs: null,
    fix: `Fix of ${code}.`,
    errors: [],
    params: {},
    ...more,
  }
  response
    .writeHead(status, { 'content-type': 'application/problem+json', 'request-id': 'req_1', ...headers })
    .end(JSON.stringify(body))
}

/** Begins an event stream and gives a function that writes frames. */
export function beginStream(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  return (event, data, id) =>
    response.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}

export function errorOf(code, message) {
  return {
    code,
    class: 'permanent',
    message,
    messages: [message],
    step: null,
    attempts: 1,
    details: null,
    occurredAt: '2026-11-22T09:00:01.000Z',
    helpUrl: null,
  }
}

/** A whole job resource. @param {any} more */
export function makeJob(more) {
  const at = '2026-11-22T09:00:00.000Z'
  const id = more.id ?? 'job-1'
  return {
    id,
    type: 'greet',
    typeVersion: null,
    tenant: 'default',
    status: 'accepted',
    done: false,
    statusText: 'Accepted',
    progress: null,
    blockedOn: [],
    result: null,
    resultInfo: { state: 'none', bytes: null, contentType: null, sha256: null, expiresAt: null },
    error: null,
    warnings: [],
    groupId: null,
    operationKey: null,
    tags: [],
    metadata: {},
    parentId: null,
    rootId: null,
    replayOf: null,
    supersededBy: null,
    compensates: null,
    compensatedBy: null,
    resolution: null,
    priority: 0,
    runAt: null,
    deadlineAt: null,
    createdAt: at,
    startedAt: null,
    updatedAt: at,
    finishedAt: null,
    expectedDoneAt: null,
    late: false,
    cancelRequestedAt: null,
    expiresAt: null,
    version: 1,
    revision: 1,
    pollAfterMs: 1000,
    createdBy: { kind: 'system', id: 'local' },
    traceparent: null,
    links: {
      self: `/v1/jobs/${id}`,
      result: `/v1/jobs/${id}/result`,
      stream: `/v1/jobs/${id}/events/stream`,
      history: `/v1/jobs/${id}/history`,
    },
    ...more,
  }
}

/** Changes that end a job as completed. @param {any} result */
export function completed(result) {
  return {
    status: 'completed',
    done: true,
    statusText: 'Completed',
    result,
    finishedAt: '2026-11-22T09:00:04.000Z',
    pollAfterMs: null,
    resultInfo: { state: 'inline', bytes: 10, contentType: 'application/json', sha256: null, expiresAt: null },
  }
}

/**
 * A clock without waiting: pauses under 10 s pass at once and move the time on; longer ones (time limits, watchdogs)
 * last until they are aborted or `fire` is called.
 */
export function fakeClock(random = 0.5) {
  let now = Date.parse('2026-11-22T09:00:00.000Z')
  const long = new Set()
  const clock = {
    /** @type {number[]} pauses that passed, in order */ slept: [],
    random: () => random,
    now: () => now,
    advance: (ms) => {
      now += ms
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        if (ms < 10_000) {
          clock.slept.push(ms)
          now += ms
          return setImmediate(() => (signal?.aborted ? reject(signal.reason) : resolve(undefined)))
        }
        const entry = { ms, resolve }
        long.add(entry)
        signal?.addEventListener('abort', () => long.delete(entry) && reject(signal.reason), { once: true })
      }),
    /** Ends the long pauses of exactly this length; gives how many there were. */
    fire(ms) {
      const due = [...long].filter((entry) => entry.ms === ms)
      for (const entry of due) {
        long.delete(entry)
        now += ms
        entry.resolve(undefined)
      }
      return due.length
    },
  }
  return clock
}
