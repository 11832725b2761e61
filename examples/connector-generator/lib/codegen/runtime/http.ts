// Requests of this connector: credentials, time limit, repeats, errors. Credentials go to the host of the base URL and
// nowhere else.

export interface HttpOptions {
  baseUrl: string
  /** Sent with every request. */
  headers?: Record<string, string>
  query?: Record<string, string>
  /** @default the global fetch */
  fetch?: typeof fetch
  /** How often a request is repeated that the server was too busy for. @default 3 */
  retries?: number
  /** Of one request. @default 30 000 */
  timeoutMs?: number
}

export interface Answer {
  url: string
  headers: Headers
  body: unknown
}

/** An answer that is not what was asked for. */
export class ConnectorError extends Error {
  override readonly name = 'ConnectorError'
  constructor(
    message: string,
    /** HTTP status; null where the answer was fine and its content was not. */
    readonly status: number | null = null,
    /** What the server said. */
    readonly body: unknown = null,
  ) {
    super(message)
  }
}

interface RequestOptions {
  query?: Record<string, string | number>
  body?: unknown
  signal?: AbortSignal | undefined
}

export class Http {
  private readonly base: URL

  constructor(private readonly options: HttpOptions) {
    this.base = new URL(options.baseUrl)
  }

  /** @param target a path below the base URL, or an address on the same host */
  async request(method: string, target: string, { query = {}, body, signal }: RequestOptions = {}): Promise<Answer> {
    const url = this.addressOf(target)
    for (const [name, value] of Object.entries({ ...query, ...this.options.query }))
      url.searchParams.set(name, String(value))
    const headers: Record<string, string> = { accept: 'application/json', ...this.options.headers }
    if (body !== undefined) headers['content-type'] = 'application/json'
    for (let repeats = 0; ; repeats++) {
      const limit = AbortSignal.timeout(this.options.timeoutMs ?? 30_000)
      const answer = await (this.options.fetch ?? fetch)(url, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      })
      const parsed = parse(await answer.text())
      if (answer.ok) return { url: url.href, headers: answer.headers, body: parsed }
      if (repeats >= (this.options.retries ?? 3) || !mayRepeat(method, answer.status))
        throw new ConnectorError(`${method} ${url.pathname} answered ${answer.status}`, answer.status, parsed)
      await pause(answer.headers, repeats, signal)
    }
  }

  private addressOf(target: string): URL {
    if (!/^https?:/.test(target)) {
      const url = new URL(this.base)
      const [path = '', search = ''] = target.split('?', 2)
      url.pathname = this.base.pathname.replace(/\/+$/, '') + path
      url.search = search
      return url
    }
    const url = new URL(target)
    if (url.origin !== this.base.origin) throw new ConnectorError(`${url.origin} is not the host of this API`)
    return url
  }
}

/** Busy means that nothing was done; other trouble leaves that open, so only requests that may be done twice are repeated. */
function mayRepeat(method: string, status: number): boolean {
  return status === 429 || ([502, 503, 504].includes(status) && ['GET', 'PUT', 'DELETE'].includes(method))
}

async function pause(headers: Headers, repeats: number, signal: AbortSignal | undefined): Promise<void> {
  const asked = Number(headers.get('retry-after') ?? Number.NaN) * 1000
  const ms = Number.isFinite(asked) ? Math.min(asked, 60_000) : 250 * 2 ** repeats
  await new Promise<void>((resolve) => setTimeout(resolve, ms))
  signal?.throwIfAborted()
}

function parse(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return text
  }
}

/** The value at a path of members; undefined where there is none. */
export function at(value: unknown, path: readonly string[]): unknown {
  let here = value
  for (const name of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, name)) return undefined
    here = (here as Record<string, unknown>)[name]
  }
  return here
}

/** `value` inside the members of a path. */
export function within(path: readonly string[], value: unknown): unknown {
  return path.reduceRight((inner, name) => ({ [name]: inner }), value)
}

/** The object that an answer holds. */
export function objectAt<T>(answer: Answer, path: readonly string[]): T {
  const found = at(answer.body, path)
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found as T
  throw new ConnectorError(`The answer of ${answer.url} holds no object${where(path)}`, null, answer.body)
}

/** The objects that an answer lists. */
export function listAt<T>(answer: Answer, path: readonly string[]): T[] {
  const found = at(answer.body, path)
  if (Array.isArray(found)) return found as T[]
  throw new ConnectorError(`The answer of ${answer.url} holds no list${where(path)}`, null, answer.body)
}

const where = (path: readonly string[]) => (path.length > 0 ? ` at ${path.join('.')}` : '')
