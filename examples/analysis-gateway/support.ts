// For the tests of this example: the gateway in a folder of its own, asked over HTTP, and a model endpoint that says what it
// is told to.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Job, LOCAL, sqlite } from 'untildone'
import { uuidv7 } from 'uuidv7'
import type { ModelSettings } from './lib/model.js'
import { type Running, type StartOptions, start } from './start.js'

/** Full jitter of nothing: attempts follow each other without a pause. */
const noPauses = {
  jobId: () => uuidv7(),
  token: (bytes: number) => randomBytes(bytes).toString('base64url'),
  random: () => 0,
  sha256: (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex'),
}

export interface Answer {
  status: number
  type: string | null
  headers: Headers
  body: any
}

export interface Bench extends Running {
  url: string
  dir: string
  send(method: string, path: string, json?: unknown, headers?: Record<string, string>): Promise<Answer>
  post(json: unknown, headers?: Record<string, string>): Promise<Answer>
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  /** Submits; gives its id. */
  submit(json: unknown): Promise<string>
  /** The product's own view of the job, once it has ended. */
  ended(jobId: string, tenant?: string): Promise<Job>
  attempts(jobId: string): Promise<string[]>
}

export async function bench(options: Partial<StartOptions> = {}): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-gateway-'))
  const running = await start({ store: sqlite(join(dir, 'untildone.db')), entropy: noPauses, ...options })
  const { engine } = running.app
  const send: Bench['send'] = async (method, path, json, headers = {}) => {
    const body = json === undefined || typeof json === 'string' ? json : JSON.stringify(json)
    const type: Record<string, string> = json === undefined ? {} : { 'content-type': 'application/json' }
    const address = path.startsWith('/v1') || path === '/openapi.json' ? path : `/api/v1/analysis${path}`
    const answer = await fetch(running.url + address, { method, headers: { ...type, ...headers }, body })
    const text = await answer.text()
    return {
      ...{ status: answer.status, headers: answer.headers, type: answer.headers.get('content-type') },
      body: text === '' ? null : JSON.parse(text),
    }
  }
  const post: Bench['post'] = (json, headers) => send('POST', '', json, headers)
  return {
    ...running,
    url: running.url!,
    dir,
    send,
    post,
    get: (path, headers) => send('GET', path, undefined, headers),
    async submit(json) {
      const { status, body } = await post(json)
      if (status !== 202) throw new Error(JSON.stringify(body))
      return body.jobId
    },
    ended: (jobId, tenant = LOCAL.tenant) =>
      engine.wait({ ...LOCAL, tenant }, jobId, { until: 'done', timeoutMs: 25_000 }),
    attempts: async (jobId) =>
      (await engine.attempts(LOCAL, jobId)).map(({ outcome, verdict }) =>
        verdict ? `${outcome} ${verdict}` : outcome,
      ),
    async stop() {
      await running.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export interface Reply {
  status?: number
  headers?: Record<string, string>
  /** What the model says. */
  says?: string
  /** The whole body, where it is no answer of a model. */
  body?: string
  /** Never answers. */
  silent?: true
}

export interface FakeModel extends ModelSettings {
  /** What comes next; then each text is answered with its first sentence. */
  replies: Reply[]
  asked: { authorization: string | undefined; key: string | undefined; body: any }[]
  /** Resolves when the next request is there. */
  nextAsked(): Promise<void>
  close(): Promise<void>
}

export async function fakeModel(): Promise<FakeModel> {
  const open: ServerResponse[] = []
  let wake = () => {}
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = JSON.parse(Buffer.concat(parts).toString())
    const { authorization, 'idempotency-key': key } = request.headers
    model.asked.push({ authorization, key: key as string | undefined, body })
    const text: string = body.messages[1].content
    const reply = model.replies.shift() ?? { says: /^.*?[.!?](?=\s|$)/s.exec(text)?.[0] ?? text.slice(0, 80) }
    wake()
    if (reply.silent) return void open.push(response)
    const said = reply.body ?? JSON.stringify({ choices: [{ message: { content: reply.says ?? '' } }] })
    response.writeHead(reply.status ?? 200, reply.headers).end(said)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const model: FakeModel = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    apiKey: 'secret',
    name: 'teller-1',
    replies: [],
    asked: [],
    nextAsked: () => new Promise((resolve) => (wake = resolve)),
    close: () =>
      new Promise((resolve) => {
        for (const response of open) response.destroy()
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return model
}
