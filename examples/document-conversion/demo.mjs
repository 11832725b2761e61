// `npm run demo` and `npm run demo -- file.pdf`: a scanned PDF becomes text over HTTP, with one engine crash on the way.
// The server is `untildone serve` in a process of its own; this program is only its client, and the one who kills an
// engine from outside. Exit code 0: it worked as promised. 1: the job failed, or no crash was shown. 2: no such file.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient } from 'untildone/client'
import { crashOneEngine } from './demo/crash.mjs'
import { follow } from './demo/follow.mjs'
import { tellHistory, tellProof, tellText } from './demo/report.mjs'
import { startServer } from './demo/server.mjs'
import { plain, seconds, Teller } from './demo/teller.mjs'

const example = fileURLToPath(new URL('.', import.meta.url))
const teller = new Teller(process.stdout)
const path = findScan(process.argv[2] ?? 'scans/letters.pdf')
const data = mkdtempSync(join(tmpdir(), 'untildone-demo-'))
process.on('exit', () => rmSync(data, { recursive: true, force: true, maxRetries: 3 }))
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])
  process.on(signal, () => process.exit(code))
try {
  process.exitCode = await demo()
} catch (error) {
  const { message, fix = '' } = /** @type {any} */ (error)
  console.error(`\nThe demo cannot go on: ${message}\n${fix}`.trimEnd())
  process.exitCode = 1
}

async function demo() {
  teller.line(teller.bold('A scanned PDF becomes text, with one engine crash on the way.'))
  const server = await startServer(data, (message) => teller.event('trouble', plain(message)))
  try {
    const client = createClient({ url: server.url })
    teller.line(`\n  server  ${server.url}  untildone serve, pid ${server.pid}, SQLite in a temporary directory`)
    const bytes = readFileSync(path)
    const { file, sha256 } = await client.uploadFile(bytes, { name: basename(path), contentType: 'application/pdf' })
    teller.line(`  upload  POST /v1/files  ${basename(path)}, ${Math.ceil(bytes.length / 1000)} kB  ${file}`)
    const key = `demo-${sha256.slice(0, 16)}`
    const { job } = await client.submit('ocr.convert', { pdf: file }, { key })
    teller.line(`  submit  POST /v1/jobs   ocr.convert, Idempotency-Key ${key}  ${job.id}\n`)
    return await watch(client, job)
  } finally {
    await server.stop()
    teller.end()
  }
}

/** @param {import('untildone/client').UntildoneClient} client @param {import('untildone').Job} accepted */
async function watch(client, accepted) {
  /** @type {import('./demo/find-engines.mjs').RunningEngine | null} */
  let victim = null
  let pageCount = /** @type {number | null} */ (null)
  const endSearch = crashOneEngine(
    () => pageCount,
    (engine) => {
      victim = engine
      const { pid, page } = engine
      teller.event('outside', `kill -SEGV ${pid}  (the engine "${engine.engine}", at work on page ${page})`)
    },
  )
  const job = await follow(client, accepted, teller, (count) => {
    pageCount = count
  })
  endSearch()
  const took = seconds(Date.parse(job.finishedAt ?? '') - Date.parse(job.createdAt))
  const tries = job.ops?.attempt === 1 ? '1 try' : `${job.ops?.attempt} tries`
  const { error } = job
  teller.event(job.status, error ? `${error.code} (${error.class}): ${plain(error.message)}` : `${took}, ${tries}`)
  if (job.status !== 'completed') {
    await tellHistory(teller, client, job)
    teller.line('\nThe job has failed for good and says why, so this demo ends with exit code 1.')
    if (!victim) teller.line('No page was read, so there was no engine to crash.')
    return 1
  }
  const result = await client.result(job.id)
  tellText(teller, result)
  await tellHistory(teller, client, job)
  if (await tellProof(teller, client, job, result, victim)) return 0
  teller.line('\nThe text is complete, but this is not what the demo promises, so it ends with exit code 1.')
  return 1
}

/** As given on the command line, wherever npm was called; or one of the example's own. @param {string} given */
function findScan(given) {
  const found = [process.env.INIT_CWD ?? '.', '.', example].map((dir) => resolve(dir, given)).find(existsSync)
  if (found) return found
  console.error(`There is no file ${given}. Give the path of a PDF: npm run demo -- path/to/file.pdf`)
  process.exit(2)
}
