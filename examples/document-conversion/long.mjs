// A long scan, for real: `node examples/document-conversion/long.mjs [--pages 200]`. The server is killed with -9 at half of the
// pages and started again, a second job is cancelled at half of them, and from outside it is watched that no page is read a
// second time, that no engine is left over and that memory stays flat. Ends with `N passed, N failed, N skipped`.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from 'untildone/client'
import { startServer } from './demo/server.mjs'
import { makeScan } from './scans/make-scans.mjs'

/** The grace that a child has between TERM and KILL, and a second for a busy machine. */
const GONE_WITHIN_MS = 6000
/** What the server may grow by while it works through the pages. */
const GROWTH_MB = 96
const LOOK_EVERY_MS = 100

const { values } = parseArgs({ options: { pages: { type: 'string', default: '200' } } })
const pages = Number(values.pages)
if (!Number.isInteger(pages) || pages < 8) {
  console.error('long: --pages takes a whole number of 8 or more.')
  process.exit(2)
}
const half = Math.floor(pages / 2)
const procfs = existsSync('/proc/self/status')
const data = mkdtempSync(join(tmpdir(), 'untildone-long-'))
const began = Date.now()
const counts = { passed: 0, failed: 0, skipped: 0 }
/** @type {Awaited<ReturnType<typeof started>> | undefined} */
let server
process.on('exit', () => rmSync(data, { recursive: true, force: true, maxRetries: 3 }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const alive = setInterval(() => console.log(`  … still at work (${seconds()} s)`), 20_000)
try {
  await resumed(await makeScan({ pages: texts('a'), dpi: 150, format: 'bilevel' }))
  await cancelled(await makeScan({ pages: texts('b'), dpi: 150, format: 'bilevel' }))
} catch (error) {
  check(false, `it went on to the end: ${error instanceof Error ? error.stack : error}`)
} finally {
  clearInterval(alive)
  await server?.stop()
}
if (!procfs) {
  counts.skipped += 1
  console.log('skipped: memory and processes: this system has no procfs to see them in')
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed > 0 ? 1 : 0

/** Killed at half of the pages; what is on record then is never read again. @param {Uint8Array} bytes */
async function resumed(bytes) {
  const first = await started()
  const id = await submit(first.client, bytes, 'resumed')
  const before = memory(first.pid)
  await reach(first.client, id, half, before)
  process.kill(first.pid, 'SIGKILL')
  const second = await started()
  const record = new Set((await second.client.steps(id)).flatMap(({ name }) => pageOf(name)))
  check(record.size >= half - 2, `killed with -9 at page ${half}: ${record.size} pages are on record`)
  const later = memory(second.pid)
  const job = await reach(second.client, id, Infinity, later, record.size)
  check(job.status === 'completed', `the job is completed (${job.status}, ${job.ops?.attempt} attempts)`)
  const { text, pageCount } = await second.client.result(id)
  const read = text
    .split('\f')
    .filter((/** @type {string} */ page, /** @type {number} */ i) => page.includes(`Sheet ${i + 1} of`))
  check(pageCount === pages && read.length === pages, `${read.length} of ${pages} pages, each in its place`)
  const starts = new Map()
  for await (const { message, data } of second.client.logs(id)) {
    const [page] = message.startsWith('Started ') ? pageOf(data?.step ?? '') : []
    if (page) starts.set(page, (starts.get(page) ?? 0) + 1)
  }
  const again = [...record].filter((page) => starts.get(page) !== 1)
  check(
    starts.size === pages && again.length === 0,
    `no page on record was begun again (${again.join(', ') || 'none'})`,
  )
  tellMemory([before, later])
}

/** Cancelled at half of the pages: over within the grace, and nothing left. @param {Uint8Array} bytes */
async function cancelled(bytes) {
  const { client, pid } = server ?? (await started())
  const id = await submit(client, bytes, 'cancelled')
  const seen = memory(pid)
  await reach(client, id, half, seen)
  const at = Date.now()
  await client.cancel(id)
  const job = await ended(client, id)
  const took = Date.now() - at
  check(
    job.status === 'cancelled' && took < GONE_WITHIN_MS,
    `cancelled at page ${half}: ${job.status} after ${took} ms`,
  )
  if (procfs) check(engines().length === 0, `no engine is left over (${engines().length})`)
  const read = new Set((await client.steps(id)).flatMap(({ name }) => pageOf(name))).size
  check(read < pages, `the other pages were not read (${read} of ${pages} were)`)
  tellMemory([seen])
}

/** @param {import('untildone/client').UntildoneClient} client @param {string} id */
async function ended(client, id) {
  for (;;) {
    const job = await client.get(id)
    if (job.done) return job
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function started() {
  const running = await startServer(data, (message) => console.log(`  trouble: ${message}`))
  server = { ...running, client: createClient({ url: running.url }) }
  return server
}

/** @param {import('untildone/client').UntildoneClient} client @param {Uint8Array} bytes @param {string} key */
async function submit(client, bytes, key) {
  const { file } = await client.uploadFile(bytes, { name: `${key}.pdf`, contentType: 'application/pdf' })
  const { job } = await client.submit('ocr.convert', { pdf: file }, { key })
  return job.id
}

/**
 * Looks until so many pages are finished, or the job is; progress must not fall on the way.
 * @param {import('untildone/client').UntildoneClient} client @param {string} id @param {number} count
 * @param {Memory} seen
 * @param {number} [from] so many pages were on record before
 */
async function reach(client, id, count, seen, from = 0) {
  let last = 0
  const told = new Set()
  for (;;) {
    const job = await client.get(id, { include: ['ops'] })
    const { completed = 0, unit } = job.progress ?? {}
    if (unit === 'page' && completed !== null) {
      if (completed < last) check(false, `progress fell from ${last} to ${completed}`)
      last = completed
      told.add(completed)
    }
    look(seen, last)
    if (job.done || last >= count) {
      // Two pages may always end together, and the last ones with the job.
      check(
        told.size >= Math.min(5, Math.ceil((Math.min(count, pages) - from) / 2)),
        `progress was told page by page (${told.size} different numbers up to ${last})`,
      )
      return job
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

/** @typedef {{ pid: number, start: number, peak: number, engines: number }} Memory */

/** @param {number} pid @returns {Memory} */
function memory(pid) {
  return { pid, start: 0, peak: 0, engines: 0 }
}

/** From the third page on the server has loaded what it needs. @param {Memory} seen @param {number} page */
function look(seen, page) {
  if (!procfs || page < 3) return
  const now = Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${seen.pid}/status`))?.[1] ?? 0) / 1024
  seen.start ||= now
  seen.peak = Math.max(seen.peak, now)
  seen.engines = Math.max(seen.engines, engines().length)
}

/** @param {Memory[]} all */
function tellMemory(all) {
  if (!procfs) return
  for (const { start, peak, engines } of all) {
    check(peak - start < GROWTH_MB, `memory of the server: ${Math.round(start)} MB, at most ${Math.round(peak)} MB`)
    check(engines <= 2, `never more than two engines at once (${engines})`)
  }
}

/** Every process that has a file of this run among its arguments and is a page engine. */
function engines() {
  return readdirSync('/proc').filter((name) => {
    const command = /^\d+$/.test(name) ? read(`/proc/${name}/cmdline`) : ''
    return (
      command.startsWith(process.execPath) &&
      /engines\/(fast|robust|inspect)\.mjs/.test(command) &&
      command.includes(data)
    )
  })
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** @param {string} step @returns {number[]} */
function pageOf(step) {
  const page = /^page-(\d+)(\/|$)/.exec(step)?.[1]
  return page && !step.includes('/robust') ? [Number(page)] : []
}

/** @param {string} mark */
function texts(mark) {
  return Array.from({ length: pages }, (_, i) => `Sheet ${i + 1} of file ${mark}\n\nNothing else is on it.`)
}

/** @param {boolean} good @param {string} what */
function check(good, what) {
  counts[good ? 'passed' : 'failed'] += 1
  console.log(`  ${good ? 'ok    ' : 'FAILED'} ${what}`)
}

function seconds() {
  return Math.round((Date.now() - began) / 1000)
}
