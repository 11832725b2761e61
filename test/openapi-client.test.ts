/**
 * A stranger's client: types generated from /openapi.json of a running server, a small program written against them,
 * type-checked and run. Nothing of our own client takes part.
 */
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, Permanent, sqlite, type Untildone } from '../src/index.js'
import { createServer, type Listening, listen } from '../src/server/index.js'
import { write } from './support/consumer.js'
import { must } from './support/programs.js'

const MODULES = join(import.meta.dirname, '../node_modules')

const PROGRAM = `import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

const client = createClient<paths>({ baseUrl: process.argv[2]! })

async function runToTheEnd(name: string): Promise<components['schemas']['Job']> {
  const submitted = await client.POST('/v1/jobs', {
    params: { header: { 'Idempotency-Key': \`greet-\${name}\` } },
    body: { type: 'greet', input: { name }, tags: ['generated'] },
  })
  if (!submitted.data || !('id' in submitted.data)) throw new Error(submitted.error?.title ?? 'not a job')
  const path = { id: submitted.data.id }
  for (;;) {
    const { data, error } = await client.GET('/v1/jobs/{id}', { params: { path, query: { wait: 20 } } })
    if (!data) throw new Error(error?.title)
    if (data.done) return data
  }
}

const good = await runToTheEnd('Ada')
const bad = await runToTheEnd('Nobody')
const refused = await client.POST('/v1/jobs', { body: { type: 'greet', input: { name: 7 } } })
const status: 'accepted' | 'processing' | 'blocked' | 'completed' | 'failed' | 'cancelled' = good.status
console.log(JSON.stringify({ status, result: good.result, failed: bad.status, why: bad.error?.code, refused: refused.error?.code }))
`

/** Each of these must not type-check, or the generated types would catch nothing. */
const MISTAKES = [
  `client.POST('/v1/jobs', { body: { input: {} } })`,
  `client.POST('/v1/jobs', { body: { type: 'greet', input: {}, tags: 'eu' } })`,
  `client.GET('/v1/jobs/{id}', { params: { path: { job: 'x' } } })`,
  `client.GET('/v1/job', {})`,
  `(await client.GET('/v1/jobs/{id}', { params: { path: { id: 'x' } } })).data?.state`,
  `(await client.GET('/v1/jobs/{id}', { params: { path: { id: 'x' } } })).data?.status === 'done'`,
]

let folder: string
let app: Untildone
let listening: Listening

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'untildone-openapi-')))
  symlinkSync(MODULES, join(folder, 'node_modules'))
  const greet = defineJob('greet', { input: z.object({ name: z.string() }), output: z.string() })
  const handler = greet.handler(async (job) => {
    if (job.input.name === 'Nobody') throw new Permanent('There is nobody to greet.', { code: 'nobody' })
    return `Hello, ${job.input.name}!`
  })
  app = await createUntildone({ store: sqlite(':memory:'), handlers: [handler], filesDir: join(folder, 'files') })
  await app.start()
  listening = await listen(createServer(app.engine), { port: 0 })
})

afterAll(async () => {
  await listening?.close()
  await app?.stop()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

it('a generated client submits a job and reads its end', async () => {
  const document = await (await fetch(`${listening.url}/openapi.json`)).text()
  write(folder, { 'package.json': '{"type":"module"}', 'openapi.json': document, 'client.ts': PROGRAM })
  MISTAKES.forEach((mistake, i) => {
    const head = PROGRAM.slice(0, PROGRAM.indexOf('async function'))
    write(folder, { [`mistake-${i}.ts`]: `${head}\n${mistake}\n` })
  })
  await must(process.execPath, [join(MODULES, 'openapi-typescript/bin/cli.js'), 'openapi.json', '-o', 'api.ts'], {
    cwd: folder,
  })

  const wrong = compile(['client.ts', ...MISTAKES.map((_, i) => `mistake-${i}.ts`)])
  expect(wrong.get('client.ts') ?? []).toEqual([])
  expect(wrong.get('api.ts') ?? []).toEqual([])
  for (const [i, mistake] of MISTAKES.entries()) expect(wrong.has(`mistake-${i}.ts`), mistake).toBe(true)

  const output = await must(process.execPath, ['client.js', listening.url], { cwd: folder })
  expect(JSON.parse(output)).toEqual({
    status: 'completed',
    result: 'Hello, Ada!',
    failed: 'failed',
    why: 'nobody',
    refused: 'input-invalid',
  })
}, 120_000)

/** Compiles in place; what is wrong, by file name. */
function compile(names: string[]): Map<string, string[]> {
  const program = ts.createProgram(
    names.map((name) => join(folder, name)),
    {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: true,
      types: ['node'],
    },
  )
  program.emit()
  const wrong = new Map<string, string[]>()
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = file?.fileName.slice(folder.length + 1) ?? ''
    wrong.set(name, [...(wrong.get(name) ?? []), ts.flattenDiagnosticMessageText(messageText, '\n')])
  }
  return wrong
}
