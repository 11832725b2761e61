/**
 * What a server can be told, and the limits it keeps. Values only: nothing here reads a request or the engine.
 */
import { UntildoneError } from '../core/index.js'
import type { Caller } from '../engine/api.js'
import type { Facade } from './facade/index.js'
import { ownVersion } from './version.js'

export interface Limits {
  /** Largest JSON body in bytes. @default 1 MiB */
  bodyBytes: number
  /** Largest body of POST /v1/jobs/batch in bytes. @default 5 MiB */
  batchBytes: number
  /** Largest inline input in bytes; larger ones are files. @default 256 KiB */
  inputBytes: number
  /** Submits in one batch. @default 500 */
  batchItems: number
  /** Largest upload in bytes. @default 1 GiB */
  fileBytes: number
  /** Deepest nesting of a JSON body. @default 32 */
  jsonDepth: number
  /** Longest wait in milliseconds, below the 60 s after which proxies cut. @default 55 000 */
  waitMs: number
  /** Open streams, sockets and long-polls per key. @default 100 */
  streamsPerKey: number
  /** Open streams, sockets and long-polls of the whole server. @default 1000 */
  streams: number
  /** A stream is closed politely after this, ±10 %; the client resumes. @default 30 minutes */
  streamMs: number
  /** A comment is sent on a silent stream this often. @default 15 000 */
  heartbeatMs: number
  /** Bytes a stream or socket may have waiting for a slow reader. @default 1 MiB */
  streamBufferBytes: number
  /** Moves of jobs that are remembered for those who come back to a stream of many jobs. @default 10 000 */
  streamChanges: number
  /** Open streams and sockets whose key was revoked are ended after at most this, in milliseconds. @default 15 000 */
  credentialMs: number
  /** Subscriptions of one WebSocket. @default 100 */
  subscriptions: number
  /** Largest frame a WebSocket takes, in bytes. @default 64 KiB */
  frameBytes: number
  /** A WebSocket is pinged this often, and dropped after two pings without an answer. @default 20 000 */
  pingMs: number
}

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 1 << 20,
  batchBytes: 5 << 20,
  inputBytes: 256 << 10,
  batchItems: 500,
  fileBytes: 1 << 30,
  jsonDepth: 32,
  waitMs: 55_000,
  streamsPerKey: 100,
  streams: 1000,
  streamMs: 30 * 60_000,
  heartbeatMs: 15_000,
  streamBufferBytes: 1 << 20,
  streamChanges: 10_000,
  credentialMs: 15_000,
  subscriptions: 100,
  frameBytes: 64 << 10,
  pingMs: 20_000,
}

export interface ErrorReport {
  requestId: string
  method: string
  path: string
  /** The code the caller was given. */
  code: string
}

export interface ServerOptions {
  /** Prefix under which the server is mounted, e.g. `/background`; it appears in every link. @default '' */
  basePath?: string
  /** Version of the package, shown in headers and documents. @default what its package.json says; in a bundle '0.0.0' */
  version?: string
  /** Title and version of the OpenAPI document, for an API of your own. @default Untildone, with the version of the package */
  info?: { title: string; version: string }
  /** Host names, besides the loopback ones, that are answered while no API key exists. @default [] */
  allowedHosts?: readonly string[]
  /** Browsers of these origins may call the API, e.g. `https://app.example`. @default none: CORS is off */
  cors?: { origins: readonly string[]; credentials?: boolean }
  /**
   * Who asks, decided by the host application (a session, a JWT). Null falls through to API keys; then a request
   * without one is 401, on loopback too. For a stream or socket it is asked again from time to time, with the same
   * request: null ends what is open.
   */
  authenticate?: (request: Request) => Caller | null | Promise<Caller | null>
  /** Told about every answer with status 500 or above, with the error itself, which callers never see. @default nothing */
  onError?: (error: unknown, about: ErrorReport) => void
  /** @default DEFAULT_LIMITS */
  limits?: Partial<Limits>
  /** Older APIs that are kept for their clients, each described as data. Checked at once. @default [] */
  facades?: readonly Facade[]
  /** Jitter for lifetimes and Retry-After. @default Math.random */
  random?: () => number
}

export interface Settings {
  base: string
  version: string
  info?: ServerOptions['info']
  allowedHosts: ReadonlySet<string>
  origins: ReadonlySet<string>
  credentials: boolean
  authenticate: ServerOptions['authenticate']
  onError: (error: unknown, about: ErrorReport) => void
  limits: Limits
  random: () => number
}

/** Options with their defaults. @throws UntildoneError bad-definition */
export function settle(options: ServerOptions): Settings {
  const base = options.basePath === '/' ? '' : (options.basePath ?? '')
  if (base !== '' && (!/^(\/[A-Za-z0-9._~-]+)+$/.test(base) || /^\/v1(\/|$)/.test(base))) {
    throw new UntildoneError('bad-definition', `basePath "${base}" cannot be used.`, {
      fix: 'Write it like /background: a leading slash, none at the end, and not /v1.',
    })
  }
  const origins = new Set(options.cors?.origins)
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new UntildoneError('bad-definition', `cors.origins: "${origin}" is not an origin.`, {
        fix: 'Write scheme, host and port only, like https://app.example or http://localhost:3000; `*` is not allowed.',
      })
    }
  }
  return {
    base,
    version: options.version ?? ownVersion(),
    info: options.info,
    allowedHosts: new Set((options.allowedHosts ?? []).map((host) => host.toLowerCase())),
    origins,
    credentials: options.cors?.credentials ?? false,
    authenticate: options.authenticate,
    onError: options.onError ?? (() => {}),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    random: options.random ?? Math.random,
  }
}
