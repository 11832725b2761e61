// What the tests of this example share: an application over a SQLite file of its own, stored files, and a model endpoint that
// says what it is told to.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createUntildone, type JobDefinition, type JobHandler, LOCAL, sqlite, type Untildone } from 'untildone'
import type { TestRig } from 'untildone/testing'
import type { ModelSettings } from './lib/model.js'

export async function stored(
  { engine }: Pick<Untildone | TestRig, 'engine'>,
  bytes: Uint8Array | string,
  name: string,
) {
  const source = (async function* () {
    yield Buffer.from(bytes as Uint8Array)
  })()
  const meta = { contentType: 'application/octet-stream', name, maxBytes: 1e9 }
  return (await engine.addFile(LOCAL, source, meta)).file
}

export interface Bench {
  app: Untildone
  dir: string
  /** Submits and waits for the end, whichever it is. */
  run(type: string, input: unknown): Promise<any>
  read(file: string): Promise<Buffer>
  stop(): Promise<void>
}

export async function bench(handlers: JobHandler<any, any>[]): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-documents-'))
  const app = await createUntildone({ store: sqlite(join(dir, 'jobs.db')), handlers })
  await app.start()
  return {
    app,
    dir,
    async run(type, input) {
      const { definition } = handlers.find((handler) => handler.definition.name === type)!
      const { id } = await app.submit(definition as JobDefinition, input as never)
      return app.engine.wait(LOCAL, id, { timeoutMs: 50_000, until: 'done' }, ['ops'])
    },
    async read(file) {
      return readFileSync((await app.engine.openFile(LOCAL, file)).file.path)
    },
    async stop() {
      await app.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export interface ModelServer {
  settings: ModelSettings
  /** What was asked, as the model got it. */
  asked: { material: any; authorization: string | undefined }[]
  close(): void
}

/** `says` gives the model's answer as JSON, a text as it is, or a number: that HTTP status. */
export async function modelServer(says: (material: any, nth: number) => unknown): Promise<ModelServer> {
  const asked: ModelServer['asked'] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { messages } = JSON.parse(Buffer.concat(parts).toString())
    const material = JSON.parse(messages[1].content)
    asked.push({ material, authorization: request.headers.authorization })
    const said = says(material, asked.length)
    if (typeof said === 'number') return void response.writeHead(said, { 'retry-after': '0' }).end('{}')
    const content = typeof said === 'string' ? said : JSON.stringify(said)
    response.end(JSON.stringify({ choices: [{ message: { content } }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { settings: { baseUrl, apiKey: 'secret', name: 'wordsmith' }, asked, close }
}
