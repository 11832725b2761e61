// For the tests of this example: an app over its handlers in a folder of its own, sites that are closed again, and a
// generated connector as a module that can be called.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { createUntildone, type Job, LOCAL, sqlite, type Untildone } from 'untildone'
import { uuidv7 } from 'uuidv7'
import { handlersFor } from './handlers.js'
import type { SourceFile } from './lib/codegen/connector.js'
import { openParts, type Parts, type Settings } from './lib/parts.js'
import { type RunningSite, type Site, serveSite } from './sites/serve.js'

/** Full jitter of nothing: attempts follow each other without a pause. */
const noPauses = {
  jobId: () => uuidv7(),
  token: (bytes: number) => randomBytes(bytes).toString('base64url'),
  random: () => 0,
  sha256: (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex'),
}

export interface Bench {
  app: Untildone
  parts: Parts
  dir: string
  /** Submits into a session and waits for the end. */
  run(type: string, session: string, input: unknown): Promise<Job>
  steps(id: string): Promise<string[]>
  attempts(id: string): Promise<string[]>
  stop(): Promise<void>
}

export async function bench(settings: Partial<Settings> & { sites?: RunningSite[] } = {}): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-connector-'))
  const hosts = (settings.sites ?? []).map(({ host }) => host)
  const parts = openParts({ dataDir: dir, hosts, seeds: [], ...settings })
  const app = await createUntildone({
    store: sqlite(join(dir, 'jobs.db')),
    handlers: handlersFor(parts),
    entropy: noPauses,
  })
  await app.start()
  return {
    app,
    parts,
    dir,
    async run(type, session, input) {
      const { id } = await app.submit(type, input, { group: session })
      return app.engine.wait(LOCAL, id, { until: 'done', timeoutMs: 30_000 }, ['ops'])
    },
    steps: async (id) => (await app.engine.steps(LOCAL, id)).map(({ name }) => name),
    attempts: async (id) =>
      (await app.engine.attempts(LOCAL, id)).map(({ outcome, verdict }) =>
        verdict ? `${outcome} ${verdict}` : outcome,
      ),
    async stop() {
      await app.stop()
      parts.sessions.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Serves sites; close() ends them all. */
export async function serveAll(...sites: Site[]): Promise<{ running: RunningSite[]; close(): Promise<unknown> }> {
  const running = await Promise.all(sites.map(serveSite))
  return { running, close: () => Promise.all(running.map((site) => site.close())) }
}

/** The connector of a result, translated and imported as any program would. */
export async function importConnector(files: readonly SourceFile[], dir: string): Promise<any> {
  const folder = mkdtempSync(join(dir, 'connector-'))
  for (const { path, content } of files) {
    if (!path.endsWith('.ts')) {
      writeFileSync(join(folder, path), content)
      continue
    }
    const { outputText } = ts.transpileModule(content, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    })
    writeFileSync(join(folder, path.replace(/\.ts$/, '.js')), outputText)
  }
  return import(pathToFileURL(join(folder, 'index.js')).href)
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
