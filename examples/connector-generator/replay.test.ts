// Each of the five handlers can be interrupted anywhere: the process dies at each commit, each call of `job` fails once,
// and what comes out is the same, with each write to the session once under its key.
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, fake, type ReplayInput, type TestRig } from 'untildone/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { handlersFor } from './handlers.js'
import { documentsOf } from './lib/documents.js'
import type { Extractor } from './lib/extract/extractor.js'
import { noFacts } from './lib/extract/facts.js'
import type { Parts } from './lib/parts.js'
import { type Part, Sessions } from './lib/sessions.js'
import { harbor, ledger } from './sites/sites.js'
import { serveAll } from './support.js'

const SESSION = 's'
const model: Extractor = { name: 'silent', extract: async () => noFacts() }

/** The record of the present run; each begins with what was prepared for it. */
let record = new Sessions(':memory:')
const registered = fake(
  'sessions',
  {
    put: (row: Parameters<Sessions['put']>[0]) => record.put(row),
    keep: (...document: Parameters<Sessions['keep']>) => record.keep(...document),
    read: (id: string) => record.read(id),
    parts: (id: string, part: string) => record.parts(id, part),
    document: (sha256: string) => record.document(sha256),
    close: () => record.close(),
  },
  // Contents are kept by their hash, parts by the key of the step that writes them.
  { reads: ['read', 'parts', 'document'], keyOf: (method, [first]) => (method === 'keep' ? first : first.key) },
) as unknown as Sessions

let sites: Awaited<ReturnType<typeof serveAll>>
let parts: Parts
beforeAll(async () => {
  sites = await serveAll(harbor(), ledger())
  const hosts = new Set(sites.running.map(({ host }) => host))
  parts = { sessions: registered, web: { hosts }, seeds: [], model }
})
afterAll(async () => {
  record.close()
  await sites?.close()
})

const handler = (type: string): JobHandler => handlersFor(parts).find(({ definition }) => definition.name === type)!

/** What jobs that ran before have put into the session. */
async function prepared(...jobs: [type: string, input: unknown][]): Promise<() => void> {
  record.close()
  record = new Sessions(':memory:')
  const rig = await createTestRig(handlersFor(parts))
  for (const [type, input] of jobs) {
    const { id } = await rig.submit(type, input, { group: SESSION })
    const job = await rig.engine.wait(LOCAL, id, { until: 'done', timeoutMs: 20_000 })
    expect(job.status, type).toBe('completed')
  }
  await rig.close()
  const before: Part[] = record.read(SESSION)?.parts ?? []
  const documents = documentsOf(SESSION, parts).map(({ sha256 }) => [sha256, record.document(sha256)!] as const)
  return () => {
    record.close()
    record = new Sessions(':memory:')
    for (const document of documents) record.keep(...document)
    for (const [i, { part, jobId, jobType, value }] of before.entries())
      record.put({ sessionId: SESSION, part, jobId, jobType, key: `before-${i}`, value })
  }
}

async function isSafe(type: string, input: ReplayInput<any>, reset: () => void, more: object = {}): Promise<void> {
  await assertReplaySafe(handler(type), input, { reset, submit: { group: SESSION }, timeout: '60s', ...more })
}

const discovery = (): [string, unknown] => [
  'discovery.getCandidateLinks',
  { applicationName: 'Ledger', startUrls: [sites.running[1]!.origin] },
]
const TEXT = '## Crates\n\n`GET /crates` lists them.\n\n- `id` (string, read-only)\n- `label` (string, required)\n'
const upload: [string, unknown] = ['documentation.processUpload', { name: 'port.md', text: TEXT }]

test('discovery.getCandidateLinks', { timeout: 120_000 }, async () => {
  await isSafe(...discovery(), await prepared(), { maxCrashes: 30 })
})

test('scrape.getRelevantDocumentation', { timeout: 120_000 }, async () => {
  await isSafe('scrape.getRelevantDocumentation', {}, await prepared(discovery()), { maxCrashes: 30 })
})

test('documentation.processUpload, a text and a file', { timeout: 120_000 }, async () => {
  const reset = await prepared()
  await isSafe(...upload, reset)
  const stored = async (rig: TestRig) => {
    const bytes = (async function* () {
      yield Buffer.from(TEXT)
    })()
    const meta = { contentType: 'text/markdown', name: 'port.md', maxBytes: 10_000 }
    return { file: (await rig.engine.addFile(LOCAL, bytes, meta)).file }
  }
  await isSafe('documentation.processUpload', stored, reset)
})

test('digester.getObjectClass, with and without enough to go by', { timeout: 120_000 }, async () => {
  const reset = await prepared(upload)
  await isSafe('digester.getObjectClass', { objectClass: 'Crate' }, reset)
  await isSafe('digester.getObjectClass', { objectClass: 'Whale' }, reset, { ends: 'failed' })
})

// Each run compiles for real, so these are some of the places where it can be interrupted.
test('codegen.generateConnector', { timeout: 240_000 }, async () => {
  const reset = await prepared(upload, ['digester.getObjectClass', { objectClass: 'Crate' }])
  await isSafe('codegen.generateConnector', {}, reset, { maxCrashes: 4 })
})

test('a write to the session without the key of its step would be found', { timeout: 60_000 }, async () => {
  const reset = await prepared()
  let written = 0
  const keyless = {
    ...parts,
    sessions: { ...registered, put: (row: any) => registered.put({ ...row, key: `${++written}` }) },
  }
  const [, , wrong] = handlersFor(keyless as unknown as Parts)
  const options = { reset, submit: { group: SESSION } }
  await expect(assertReplaySafe(wrong!, upload[1] as never, options)).rejects.toMatchObject({
    findings: [{ kind: 'effect-key-differs', step: 'session' }],
  })
})
