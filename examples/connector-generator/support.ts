// For the tests of this example: the whole of it in a folder of its own, sites that are closed again, and a generated
// connector as a module that can be called.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Job, LOCAL } from 'untildone'
import { uuidv7 } from 'uuidv7'
import { type DocumentedClient, documentedClient, type JobStatus } from './fixtures/documented-client.js'
import type { SourceFile } from './lib/codegen/connector.js'
import type { Settings } from './lib/parts.js'
import { type RunningSite, type Site, serveSite } from './sites/serve.js'
import { type Running, start } from './start.js'

/** Full jitter of nothing: attempts follow each other without a pause. */
const noPauses = {
  jobId: () => uuidv7(),
  token: (bytes: number) => randomBytes(bytes).toString('base64url'),
  random: () => 0,
  sha256: (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex'),
}

export interface Bench extends Running {
  dir: string
  client: DocumentedClient
  /** Starts a job through the facade; gives its status once it has ended. */
  run(session: string, module: string, input: unknown): Promise<JobStatus>
  /** The same job as the product's own API shows it. */
  job(id: string): Promise<Job>
  steps(id: string): Promise<string[]>
  attempts(id: string): Promise<string[]>
}

/** The example, with hosts of these sites, in a folder of its own. */
export async function bench(sites: RunningSite[], settings: Partial<Settings> = {}): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-connector-'))
  const hosts = sites.map(({ host }) => host)
  const running = await start({ dataDir: dir, hosts, seeds: [], entropy: noPauses, ...settings })
  const { engine } = running.app
  const client = documentedClient(running.url)
  return {
    ...running,
    dir,
    client,
    async run(session, module, input) {
      const { jobId } = await client.startJob(session, input, module)
      await engine.wait(LOCAL, jobId, { until: 'done', timeoutMs: 55_000 })
      return client.checkJobStatus(session, jobId, module)
    },
    job: (id) => engine.get(LOCAL, id, ['ops']),
    steps: async (id) => (await engine.steps(LOCAL, id)).map(({ name }) => name),
    attempts: async (id) =>
      (await engine.attempts(LOCAL, id)).map(({ outcome, verdict }) => (verdict ? `${outcome} ${verdict}` : outcome)),
    async stop() {
      await running.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Serves sites; close() ends them all. */
export async function serveAll(...sites: Site[]): Promise<{ running: RunningSite[]; close(): Promise<unknown> }> {
  const running = await Promise.all(sites.map((site) => serveSite(site)))
  return { running, close: () => Promise.all(running.map((site) => site.close())) }
}

/** The runtime is the same in all connectors. */
const translated = new Map<string, string>()

const toJavaScript = (ts: typeof import('typescript')) => ({
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
})

/** The connector of a result, translated and imported as any program would. */
export async function importConnector(files: readonly SourceFile[], dir: string): Promise<any> {
  const { default: ts } = await import('typescript')
  const folder = mkdtempSync(join(dir, 'connector-'))
  for (const { path, content } of files) {
    const isSource = path.endsWith('.ts')
    const known = translated.get(content)
    const text = !isSource
      ? content
      : (known ?? ts.transpileModule(content, { compilerOptions: toJavaScript(ts) }).outputText)
    translated.set(content, text)
    writeFileSync(join(folder, path.replace(/\.ts$/, '.js')), text)
  }
  return import(pathToFileURL(join(folder, 'index.js')).href)
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
