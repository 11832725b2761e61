// The client of this gateway, for any JavaScript runtime with `fetch`: three calls become one. It hides polling, repeats
// what may be repeated, and never takes a broken connection for the end of an analysis.
import { type Push, type PushOptions, pushFrom } from './push.js'
import {
  AnalysisError,
  type AnalysisPage,
  type AnalysisRequest,
  type AnalysisResult,
  type AnalysisStatus,
  type Cancelled,
  isFinal,
  type Submitted,
} from './types.js'

export interface AnalysisClientOptions {
  /** Where the gateway is, e.g. `https://analysis.example.com`. */
  url: string
  /** @default none: a gateway without keys answers its own machine */
  key?: string
  /** @default the global one */
  fetch?: typeof fetch
  /** Waits so many milliseconds; for tests. @default a timer */
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

export interface SubmitOptions {
  /** The same key is the same analysis, however often it is sent. @default a new one for each call */
  idempotencyKey?: string
  signal?: AbortSignal
}

export interface WaitOptions {
  /** Ends the waiting, not the analysis. */
  signal?: AbortSignal
  /** Told of each status that differs from the one before. */
  onStatus?: (status: AnalysisStatus) => void
}

export interface AnalysisClient {
  /** Durable when it resolves. @throws AnalysisError when the request cannot be taken */
  submit(request: AnalysisRequest, options?: SubmitOptions): Promise<Submitted>
  status(jobId: string, signal?: AbortSignal): Promise<AnalysisStatus>
  /** @throws AnalysisError `analysis-not-finished`, `analysis-failed`, `analysis-cancelled`, `analysis-not-found` */
  result(jobId: string, signal?: AbortSignal): Promise<AnalysisResult>
  /** Polls at the pace that the gateway asks for, through restarts and broken connections, until the status is final. */
  wait(jobId: string, options?: WaitOptions): Promise<AnalysisStatus>
  /** Submits, waits and fetches. @throws AnalysisError as `submit` and `result` */
  analyse(request: AnalysisRequest, options?: SubmitOptions & WaitOptions): Promise<AnalysisResult>
  cancel(jobId: string, reason?: string): Promise<Cancelled>
  list(page?: { cursor?: string; limit?: number }): Promise<AnalysisPage>
  /** The end as it happens, over a WebSocket. */
  push(options?: PushOptions): Push
}

const TRIES = 5
const LONGEST_MS = 10_000

interface Call {
  method: 'GET' | 'POST'
  path: string
  json?: unknown
  key?: string
  signal?: AbortSignal
}

export function createAnalysisClient(options: AnalysisClientOptions): AnalysisClient {
  const { key, sleep = pause } = options
  const send = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request))
  const url = options.url.replace(/\/+$/, '')

  async function once<T>({
    method,
    path,
    json,
    key: idempotencyKey,
    signal,
  }: Call): Promise<{ body: T; waitMs: number }> {
    const headers: Record<string, string> = {}
    if (key) headers.authorization = `Bearer ${key}`
    if (json !== undefined) headers['content-type'] = 'application/json'
    if (idempotencyKey) headers['idempotency-key'] = idempotencyKey
    const answer = await send(`${url}/api/v1/analysis${path}`, {
      ...{ method, headers, signal },
      body: json === undefined ? undefined : JSON.stringify(json),
    })
    const waitMs = (Number(answer.headers.get('retry-after')) || 0) * 1000
    const text = await answer.text()
    if (answer.ok) return { body: JSON.parse(text) as T, waitMs }
    throw Object.assign(new AnalysisError(answer.status, problemIn(text)), { waitMs })
  }

  /** For calls that change nothing, or the same thing once, when they are repeated. */
  async function patiently<T>(call: Call): Promise<{ body: T; waitMs: number }> {
    for (let n = 1; ; n++) {
      try {
        return await once<T>(call)
      } catch (error) {
        call.signal?.throwIfAborted()
        if (n === TRIES || !passes(error)) throw error
        await sleep(pauseAfter(error, n), call.signal)
      }
    }
  }

  const get = async <T>(path: string, signal?: AbortSignal) => patiently<T>({ method: 'GET', path, signal })
  const of = (what: string, jobId: string) => `/${what}/${encodeURIComponent(jobId)}`

  const client: AnalysisClient = {
    async submit(request, { idempotencyKey = crypto.randomUUID(), signal } = {}) {
      const call = { method: 'POST', path: '', json: request, key: idempotencyKey, signal } as const
      return (await patiently<Submitted>(call)).body
    },
    status: async (jobId, signal) => (await get<AnalysisStatus>(of('status', jobId), signal)).body,
    result: async (jobId, signal) => (await get<AnalysisResult>(of('result', jobId), signal)).body,
    async wait(jobId, { signal, onStatus } = {}) {
      let before = ''
      for (let troubles = 0; ; ) {
        signal?.throwIfAborted()
        try {
          const { body, waitMs } = await once<AnalysisStatus>({ method: 'GET', path: of('status', jobId), signal })
          troubles = 0
          const now = JSON.stringify([body.status, body.progress])
          if (now !== before) onStatus?.(body)
          before = now
          if (isFinal(body.status)) return body
          await sleep(Math.max(waitMs, 100), signal)
        } catch (error) {
          signal?.throwIfAborted()
          // As long as nobody says that it is not there, the analysis goes on, whatever becomes of the line.
          if (!passes(error)) throw error
          await sleep(pauseAfter(error, ++troubles), signal)
        }
      }
    },
    async analyse(request, more = {}) {
      const { jobId } = await client.submit(request, more)
      await client.wait(jobId, more)
      return client.result(jobId, more.signal)
    },
    async cancel(jobId, reason) {
      const json = reason === undefined ? {} : { reason }
      return (await patiently<Cancelled>({ method: 'POST', path: of('cancel', jobId), json })).body
    },
    async list({ cursor, limit } = {}) {
      const query = new URLSearchParams()
      if (cursor) query.set('cursor', cursor)
      if (limit) query.set('limit', String(limit))
      return (await get<AnalysisPage>(query.size > 0 ? `?${query}` : '')).body
    },
    push: (how) => pushFrom({ url, key, client }, how),
  }
  return client
}

/** A connection that broke, or an answer that says it will pass. */
function passes(error: unknown): boolean {
  return error instanceof AnalysisError ? error.retryable && error.code !== 'analysis-not-finished' : true
}

function pauseAfter(error: unknown, n: number): number {
  const asked = (error as { waitMs?: number }).waitMs ?? 0
  return Math.max(asked, Math.random() * Math.min(LONGEST_MS, 250 * 2 ** n))
}

function problemIn(text: string): Record<string, unknown> {
  try {
    const problem: unknown = JSON.parse(text)
    if (typeof problem === 'object' && problem !== null) return problem as Record<string, unknown>
  } catch {
    // A proxy in between answered with something of its own.
  }
  return {}
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms)
    function done() {
      signal?.removeEventListener('abort', done)
      clearTimeout(timer)
      if (signal?.aborted) reject(signal.reason)
      else resolve()
    }
    signal?.addEventListener('abort', done)
  })
}
