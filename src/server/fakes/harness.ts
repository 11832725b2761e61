/** A server over the fake engine, and short ways to ask it. Never in the package. */
import { createServer, type UntildoneServer } from '../app.js'
import type { ServerOptions } from '../options.js'
import { FakeEngine } from './engine.js'

export interface Harness {
  engine: FakeEngine
  server: UntildoneServer
  /** Errors given to onError. */
  errors: { error: unknown; code: string }[]
  get(path: string, headers?: Record<string, string>, init?: RequestInit): Promise<Response>
  post(path: string, body?: unknown, headers?: Record<string, string>, init?: RequestInit): Promise<Response>
  send(method: string, path: string, headers?: Record<string, string>, init?: RequestInit): Promise<Response>
  /** Submits a job and gives its id. */
  job(headers?: Record<string, string>): Promise<string>
}

export const GREET = { type: 'greet', input: { name: 'Ada' } }

export function harness(options: ServerOptions = {}, engine = new FakeEngine()): Harness {
  const errors: Harness['errors'] = []
  const server = createServer(engine, {
    version: '1.2.3',
    random: () => 0.5,
    onError: (error, about) => errors.push({ error, code: about.code }),
    ...options,
  })
  const send: Harness['send'] = (method, path, headers = {}, init = {}) =>
    Promise.resolve(server.fetch(new Request(`http://localhost:4884${path}`, { method, headers, ...init })))
  const post: Harness['post'] = (path, body, headers = {}, init = {}) => {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    return send('POST', path, { ...type, ...headers }, { body: text, ...init })
  }
  return {
    engine,
    server,
    errors,
    send,
    post,
    get: (path, headers, init) => send('GET', path, headers, init),
    job: async (headers) => ((await (await post('/v1/jobs', GREET, headers)).json()) as { id: string }).id,
  }
}

/** Lets everything that is ready to run do so: promises first, then what they scheduled. */
export async function settled(turns = 5): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
