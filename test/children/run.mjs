/**
 * Children for long: an awful engine that misbehaves at random, and a server that is killed while its children run. Exits
 * with 1 when anything is left behind or a cause is wrong.
 *   node test/children/run.mjs [--short] [--runs N] [--kills N] [--seed S] [--only random,kills,planted]
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuilt, root } from '../../scripts/lib/ensure.mjs'
import { reportOptions, serverLines, storeLines } from './evidence.mjs'
import { bytesIn, leftovers, randomOf, stateOf, workDirs } from './lib.mjs'
import { CASES, faultsOf, specOf } from './misbehaviours.mjs'

const { values: options } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    runs: { type: 'string' },
    kills: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
  },
})
const { short } = options
const runs = Number(options.runs ?? (short ? 40 : 500))
const kills = Number(options.kills ?? (short ? 5 : 50))
const seed = Number(options.seed ?? (short ? 1 : Math.floor(Math.random() * 1e6)))
const parts = options.only?.split(',') ?? ['random', 'kills', ...(short ? [] : ['planted'])]
const AT_ONCE = 4
const JOBS = 20
const KILLS_OF_A_JOB = 2
const MiB = 1024 * 1024

const base = mkdtempSync(join(tmpdir(), 'untildone-children-'))
process.on('exit', () => rmSync(base, { recursive: true, force: true }))
const results = []
const skipped = []
const result = (ok, text) => {
  results.push(ok)
  console.log(`  ${ok ? 'pass' : 'FAIL'}  ${text}`)
}

await ensureBuilt()
console.log(`Children, ${short ? 'short' : 'long'} form: ${runs} runs, ${kills} kills, seed ${seed}`)
if (process.platform !== 'linux') skipped.push('children: all of it: needs Linux with /proc')
else {
  if (parts.includes('random')) await random()
  if (parts.includes('kills')) await killed()
  if (parts.includes('planted')) planted()
}
const failed = results.filter((ok) => !ok).length
for (const reason of skipped) console.log(`skipped: ${reason}`)
console.log(`${results.length - failed} passed, ${failed} failed, ${skipped.length} skipped`)
process.exit(failed > 0 ? 1 : 0)

/** Each row of the catalogue without its protection; the unit tests show some of them. */
function planted() {
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project=unit-alone', 'src/process/planted.test.ts'],
    { cwd: root, stdio: 'inherit', env: { ...process.env, UNTILDONE_ALL: '1' } },
  )
  result(status === 0, 'every row of the catalogue fails without its protection')
}

async function random() {
  const began = Date.now()
  const tmp = join(base, 'tmp')
  mkdirSync(tmp)
  process.env.TMPDIR = tmp
  const { protections, runProcess } = await import('../../dist/process/index.js')
  const { ownerName } = await import('../../dist/process/owner.js')
  const host = await protections()
  const pick = randomOf(seed)
  const names = Object.keys(CASES)
  const faults = []
  const seen = new Map()
  const disk = []
  const memory = []
  let next = 0
  const lane = async () => {
    while (next < runs) {
      const n = next++
      const name = names[Math.floor(pick() * names.length)]
      const outcome = await runProcess(specOf(name))
      for (const fault of faultsOf(name, outcome)) faults.push(`run ${n}, ${name}: ${fault}`)
      seen.set(name, (seen.get(name) ?? 0) + 1)
      disk.push(bytesIn(tmp) - 0)
      memory.push(process.memoryUsage().rss)
      if (n % 100 === 99) console.log(`  … ${n + 1} runs, ${((Date.now() - began) / 1000).toFixed(0)} s`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  console.log(`  ${[...seen].map(([name, count]) => `${name} ${count}`).join(', ')}`)
  for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
  result(faults.length === 0, `each of ${runs} runs was told with its right cause (${faults.length} were not)`)
  const left = leftovers(ownerName())
  result(left.running.length === 0, `no process is left (${left.running.length})`)
  result(left.zombies.length === 0, `no zombie is left to this process (${left.zombies.length})`)
  if (!host.reaper) console.log('  note: process 1 of this machine reaps no orphans; those zombies are not counted')
  result(workDirs(tmp).length === 0, `no work directory is left (${workDirs(tmp).length})`)
  result(bytesIn(tmp) === 0, `the temporary folder is empty (${bytesIn(tmp)} bytes)`)
  const share = Math.min(100, Math.floor(runs / 4))
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  // What runs at that moment is not left over: the least of a stretch is.
  const grown = Math.min(...disk.slice(-share)) - Math.min(...disk.slice(0, share))
  result(
    Math.abs(grown) < MiB,
    `disk is flat: the last ${share} runs within ${(grown / MiB).toFixed(2)} MiB of the first`,
  )
  // The heap of a young process grows until its first collections; measured from the second stretch on.
  const more = mean(memory.slice(-share)) - mean(memory.slice(share, 2 * share))
  result(
    more < 30 * MiB,
    `memory of this process is flat: ${(more / MiB).toFixed(1)} MiB more in the last ${share} runs`,
  )
  console.log(`  (${((Date.now() - began) / 1000).toFixed(0)} s)`)
}

async function killed() {
  const began = Date.now()
  const tmp = join(base, 'kills-tmp')
  mkdirSync(tmp)
  const pick = randomOf(seed + 1)
  const sum = { kills: 0, survived: 0, overlaps: 0, left: 0, late: 0 }
  // After each loss a job waits longer before it runs again, so every few kills begin with fresh jobs.
  while (sum.kills < kills && sum.late === 0) {
    const folder = mkdtempSync(join(base, 'kills-'))
    await killSome(folder, tmp, Math.min(KILLS_OF_A_JOB, kills - sum.kills), sum, pick)
    if (sum.kills % 10 < KILLS_OF_A_JOB)
      console.log(`  … ${sum.kills} kills, ${((Date.now() - began) / 1000).toFixed(0)} s`)
  }
  result(sum.late === 0, `after each of ${sum.kills} kills all ${JOBS} jobs ran again`)
  result(sum.overlaps === 0, `no attempt met a process of a former one (${sum.overlaps} did)`)
  console.log(`  ${sum.survived} processes outlived a kill -9 of their server and were killed before the next attempts`)
  result(sum.survived > 0, 'some did outlive it, so there was something to show')
  result(sum.left === 0, `none is left (${sum.left})`)
  result(workDirs(tmp).length === 0, `no work directory is left (${workDirs(tmp).length})`)
  console.log(`  (${((Date.now() - began) / 1000).toFixed(0)} s)`)
}

/** The same jobs over `count` kills and one more start, which must find nothing of the last one alive. */
async function killSome(folder, tmp, count, sum, pick) {
  const log = join(folder, 'starts.log')
  const lines = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
  const alive = () =>
    lines().filter((line) => {
      const [, pid, start] = line.split(' ')
      const stat = stateOf(pid)
      return stat && stat.state !== 'Z' && stat.startTime === start
    }).length
  for (let round = 0; round <= count; round++) {
    const before = lines().length
    const server = start(folder, tmp)
    // Two lines for each job: the engine and its daemon.
    const isUp = () => lines().length >= before + 2 * JOBS
    await until(() => isUp() || server.exitCode !== null, 60_000)
    const isLate = !isUp()
    if (isLate) {
      sum.late += 1
      const end = server.exitCode === null ? '' : `, and the server ended by itself with ${server.exitCode}`
      console.log(`  round ${round}: only ${lines().length - before} of ${2 * JOBS} processes came up${end}`)
      for (const line of await serverLines(server, folder)) console.log(`    ${line}`)
    }
    await delay(pick() * 200)
    const gone = new Promise((resolve) => server.once('exit', resolve))
    if (server.kill('SIGKILL')) {
      await gone
      if (round < count) sum.kills += 1
      sum.survived += alive()
    }
    if (isLate) for (const line of await storeLines(folder, 'victim.db')) console.log(`    ${line}`)
    if (isLate) break
  }
  // The last server is gone as well: what it left is swept as the next one would do it.
  const { killAbandoned, sweepWorkDirs } = await import('../../dist/process/index.js')
  await killAbandoned()
  await sweepWorkDirs({ root: tmp })
  sum.left += alive()
  sum.overlaps += lines().filter((line) => line.startsWith('OVERLAP')).length
}

function start(folder, tmp) {
  const script = fileURLToPath(new URL('./victim.mjs', import.meta.url))
  const server = spawn(process.execPath, [...reportOptions(folder), script, folder, String(JOBS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: tmp },
  })
  server.said = ''
  server.stdout.on('data', (chunk) => {
    server.said += chunk
  })
  return server
}

async function until(look, ms) {
  for (const end = Date.now() + ms; Date.now() < end; await delay(50)) if (look()) return true
  return false
}
