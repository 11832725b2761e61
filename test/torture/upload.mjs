/**
 * Uploads: a large file goes through the server without going through its memory; a kill in the middle of one leaves
 * nothing behind; a kill right after the 201 loses nothing.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { say } from './lib/common.mjs'
import { readStore } from './tables.mjs'
import { World } from './world.mjs'

const MB = 1 << 20
/** What the server may grow by, whatever the size of the file. */
export const MEMORY_MB = 64

const MEASURABLE = existsSync('/proc/self/status')

export async function uploads({ dist, core, megabytes, seed }) {
  const world = await new World({ dist, core, name: 'upload' }).open({ seed })
  const failures = []
  const demand = (holds, text) => holds || failures.push(text)
  try {
    await run({ world, core, megabytes, demand })
  } finally {
    await world.close()
  }
  return { failures, unmeasured: MEASURABLE ? null : 'runs on Linux only, where /proc tells the memory of a process' }
}

async function run({ world, core, megabytes, demand }) {
  const dir = join(world.dir, 'data')
  const files = join(dir, 'jobs.db-files')
  const rows = () => readStore(core.Database, join(dir, 'jobs.db')).files
  const onDisk = () => (existsSync(files) ? readdirSync(files).filter((name) => name !== 'uploads') : [])
  const halfDone = () => (existsSync(join(files, 'uploads')) ? readdirSync(join(files, 'uploads')) : [])

  // Memory: warm first, so that what is measured is the file and not the first use of the code.
  let life = await world.begin()
  const { pid } = life.life.child
  for (let i = 0; i < 2; i++) await send(world.client.url, 8).answer
  const before = memory(pid).now
  resetPeak(pid)
  const began = Date.now()
  const large = send(world.client.url, megabytes)
  const answer = await large.answer
  const growth = memory(pid).peak - before
  // The 201 has come: nothing may be lost from this very moment on.
  life.life.child.kill('SIGKILL')
  const seconds = (Date.now() - began) / 1000
  await world.end(life, { afterMs: 0 })
  demand(answer?.status === 201, `the upload was answered ${answer?.status}`)
  demand(growth < MEMORY_MB, `the server grew by ${growth.toFixed(0)} MB, more than ${MEMORY_MB}`)
  say(
    `  ${megabytes} MB in ${seconds.toFixed(1)} s; the server grew by ${growth.toFixed(1)} MB (from ${before.toFixed(0)}; allowed ${MEMORY_MB})`,
  )

  life = await world.begin()
  const { file, bytes, sha256 } = answer?.json ?? {}
  const back = await download(world.client.url, file)
  const whole =
    back.sha256 === large.sha256 && sha256 === large.sha256 && bytes === megabytes * MB && back.bytes === bytes
  demand(
    whole,
    `after a kill right behind the 201 the file has ${back.bytes} bytes and hash ${back.sha256}, not ${megabytes * MB} and ${large.sha256}`,
  )
  say(`  killed right after the 201: ${whole ? `all ${back.bytes} bytes are there, same SHA-256` : 'LOST'}`)

  // Each of the following lives first shows what the death of the one before has left, then dies its own way.
  const kept = new Set(rows().map(({ id }) => id))
  const clean = (what) => {
    const left = [
      ...halfDone(),
      ...onDisk().filter((name) => !kept.has(name)),
      ...rows()
        .filter(({ id }) => !kept.has(id))
        .map(({ id }) => `row ${id}`),
    ]
    demand(left.length === 0, `${what} left ${left.join(', ')}`)
    say(
      `  ${what}: ${left.length === 0 ? 'no bytes and no row are left after the restart' : `LEFT ${left.join(', ')}`}`,
    )
  }

  const half = send(world.client.url, megabytes, { stopAt: 0.5 })
  await half.reached
  const seen = halfDone().length
  await world.end(life, { afterMs: 0 })
  await half.answer
  demand(seen === 1, `there were ${seen} unfinished uploads in mid-upload, not 1`)

  life = await world.begin({ window: 'upload', point: 'file:before-commit', countdown: 1 })
  clean('killed in mid-upload')
  await send(world.client.url, 4).answer
  await world.end(life)

  life = await world.begin({ window: 'upload', point: 'file:after-commit', countdown: 1 })
  clean('killed between the bytes and their row')
  const unanswered = send(world.client.url, 4)
  await unanswered.answer
  await world.end(life)

  await world.end(await world.begin(), { afterMs: 0 })
  const fresh = rows().filter(({ id }) => !kept.has(id))
  const consistent =
    fresh.length === 1 &&
    fresh[0].sha256 === unanswered.sha256 &&
    hashOf(join(files, fresh[0].id)) === unanswered.sha256
  demand(consistent, 'a kill between the row and the 201 left a row and bytes that do not fit')
  say(
    `  killed between the row and the 201: ${consistent ? 'row and bytes are there and fit; nobody was told, the sweep removes them' : 'BROKEN'}`,
  )
}

const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Sends `megabytes` of bytes that compress to nothing known; `reached` resolves when `stopAt` of them are on their way. */
function send(url, megabytes, { stopAt = null } = {}) {
  const sent = { sha256: null, answer: null, reached: null }
  let reached
  sent.reached = new Promise((resolve) => {
    reached = resolve
  })
  const hash = createHash('sha256')
  const out = request(`${url}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', 'content-length': megabytes * MB },
  })
  sent.answer = new Promise((resolve) => {
    out.on('error', () => resolve(null))
    out.on('response', (answer) => {
      const parts = []
      answer.on('data', (part) => parts.push(part))
      answer.on('error', () => resolve(null))
      answer.on('end', () => resolve({ status: answer.statusCode, json: JSON.parse(Buffer.concat(parts).toString()) }))
    })
  })
  void (async () => {
    const chunk = Buffer.alloc(MB)
    for (let n = 0; n < megabytes; n++) {
      if (stopAt !== null && n >= megabytes * stopAt) {
        // Time for the server to write what has come; then it dies with the rest under way.
        setTimeout(reached, 50)
        return
      }
      for (let at = 0; at < MB; at += 4096) chunk.writeUInt32LE((n * 1_000_003 + at * 7919) >>> 0, at)
      hash.update(chunk)
      if (!out.write(Buffer.from(chunk))) await Promise.race([once(out, 'drain'), sent.answer])
    }
    sent.sha256 = hash.digest('hex')
    out.end()
  })()
  return sent
}

async function download(url, id) {
  return new Promise((resolve, reject) => {
    request(`${url}/v1/files/${id}`, (answer) => {
      const hash = createHash('sha256')
      let bytes = 0
      answer.on('data', (part) => {
        hash.update(part)
        bytes += part.length
      })
      answer.on('end', () => resolve({ bytes, sha256: hash.digest('hex') }))
    })
      .on('error', reject)
      .end()
  })
}

/** Resident memory in MB, now and at its highest since resetPeak. */
function memory(pid) {
  if (!MEASURABLE) return { now: 0, peak: 0 }
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) / 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}

function resetPeak(pid) {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // Without it the peak since the start counts, which can only be higher.
  }
}
