/**
 * F42, power loss: a trace of the store is cut at every fsync, the disk is built as it would then be, and the store's own
 * code opens it. Whatever was promised before the cut must be there. With less than synchronous=FULL the same test has to
 * find losses, or it proves nothing.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chance, dropFolder, folder, HERE, program, progress } from '../lib/common.mjs'
import { readStore } from '../tables.mjs'
import { Disk, parseTrace } from './trace.mjs'

/** Why the test cannot run here, or null. */
export function obstacle() {
  if (process.platform !== 'linux') return 'runs on Linux only, where a library can be loaded before libc'
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' })
    return null
  } catch {
    return 'needs gcc for power/trace-shim.c; enable: apt-get install gcc libc6-dev'
  }
}

export function compileShim() {
  const place = folder('shim')
  const shim = join(place, 'trace.so')
  execFileSync(
    'gcc',
    ['-shared', '-fPIC', '-O2', '-Wall', '-o', shim, join(HERE, 'power', 'trace-shim.c'), '-ldl', '-pthread'],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  return shim
}

/** Runs the recorder under the shim in a folder of its own. */
export async function runRecorder({ dist, shim, plan, fault = '' }) {
  const place = folder('power')
  const dir = join(place, 'disk')
  mkdirSync(dir)
  const log = join(place, 'trace')
  const recorder = program('power/recorder.mjs', {
    env: {
      LD_PRELOAD: shim,
      TRACE_DIR: dir,
      TRACE_LOG: log,
      TRACE_ACKS: join(place, 'acks'),
      DISK_FAULT: fault,
      TORTURE_DIST: dist,
      TORTURE_PLAN: JSON.stringify(plan),
    },
  })
  const done = await recorder.said((message) => message.recorded)
  await recorder.ended
  return {
    place,
    dir,
    done: done !== null,
    errors: recorder.errors,
    records: existsSync(log) ? parseTrace(readFileSync(log)) : [],
  }
}

/** The promises in a record that is an acknowledgement. */
export const promisesOf = ({ op, data }) =>
  op === 'ack'
    ? data
        .toString()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
        .filter(({ begun }) => !begun)
    : []

/** A whole run under the shim. @returns the records, after checking that nothing went past it */
async function record({ dist, shim, plan }) {
  const { place, dir, done, errors, records } = await runRecorder({ dist, shim, plan })
  if (!done || records.length === 0) throw new Error(`The recorder failed:\n${errors}`)
  const past = pastTheShim(records, dir)
  dropFolder(place)
  if (past.length > 0)
    throw new Error(`The trace is not complete, something writes past the preloaded functions: ${past.join(', ')}`)
  return records
}

/** Files whose content on the disk is not what the trace leads to. */
function pastTheShim(records, dir) {
  const disk = new Disk()
  for (const one of records) disk.apply(one)
  const seen = disk.seen()
  const names = new Set([
    ...seen.keys(),
    ...readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [`/${entry.name}`] : [])),
  ])
  return [...names].filter(
    (name) =>
      !name.endsWith('-shm') &&
      !(seen.has(name) && existsSync(dir + name) && readFileSync(dir + name).equals(seen.get(name))),
  )
}

/**
 * @param plan `synchronous`, `jobs`, `checkpointPages`, `ballast`; `cuts`: at most so many, all by default
 * @returns how many cuts, promises and losses there were
 */
export async function powerLoss({ dist, core, shim, plan, seed }) {
  const records = await record({ dist, shim, plan })
  const syncs = records.flatMap(({ op }, i) => (op === 'fsync' || op === 'fsyncDir' ? [i] : []))
  // The power fails just before each fsync comes back, and once at the very end.
  const cuts = thinned([...syncs, records.length], plan.cuts ?? Number.POSITIVE_INFINITY)
  const r = chance(seed)
  const place = folder('cut')
  const disk = new Disk()
  const promised = []
  const outcome = {
    cuts: 0,
    syncs: syncs.length,
    checkpoints: checkpointsIn(records),
    promises: 0,
    losses: 0,
    worst: 0,
    unusable: 0,
    examples: [],
  }
  for (let i = 0; i <= records.length; i++) {
    if (cuts.has(i)) {
      for (const [variant, picture] of [
        ['synced only', disk.strict()],
        ['synced and torn', disk.torn(r.happens)],
      ]) {
        const lost = await missingAfter(core, place, picture, promised)
        outcome.cuts++
        outcome.promises += promised.length
        outcome.losses += lost.length
        outcome.worst = Math.max(outcome.worst, lost.length)
        if (lost.unusable) outcome.unusable++
        if (lost.length > 0 && outcome.examples.length < 3)
          outcome.examples.push(`cut ${outcome.cuts} (${variant}): ${lost[0]}`)
        progress(() => `power loss, synchronous ${plan.synchronous}: ${outcome.cuts} cuts`)
      }
    }
    if (i === records.length) break
    promised.push(...promisesOf(records[i]))
    disk.apply(records[i])
  }
  dropFolder(place)
  return outcome
}

/** At most `most` of the cuts, spread evenly, the last ones always among them. */
function thinned(cuts, most) {
  const step = Math.max(1, cuts.length / most)
  const some = new Set(cuts.slice(-3))
  for (let at = 0; at < cuts.length; at += step) some.add(cuts[Math.floor(at)])
  return some
}

/** Checkpoints write to the database file itself, which commits in WAL mode do not. */
function checkpointsIn(records) {
  const database = records.find(({ op, data }) => op === 'open' && data.toString() === '/jobs.db')?.file
  return records.filter(({ op, file }) => op === 'fsync' && file === database).length
}

/** Builds the disk, opens the store on it with its own code, and says which promises are not kept. */
async function missingAfter(core, place, picture, promised) {
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place)
  for (const [path, content] of picture) writeFileSync(place + path, content)
  let rows
  try {
    const store = await core.sqlite(join(place, 'jobs.db')).open(core)
    rows = readStore(core.Database, join(place, 'jobs.db'))
    await store.close()
  } catch (error) {
    return Object.assign(
      promised.length > 0
        ? promised.map(() => `the database cannot be opened: ${error.message}`)
        : [`the database cannot be opened: ${error.message}`],
      { unusable: true },
    )
  }
  const lost = rows.integrity.map((text) => `integrity check: ${text}`)
  for (const promise of promised) {
    const broken = brokenIn(rows, promise)
    if (broken) lost.push(broken)
  }
  return Object.assign(lost, { unusable: rows.integrity.length > 0 })
}

export function brokenIn({ jobs, keys }, { accepted, key, step, id, ended }) {
  const job = jobs.get(accepted ?? id ?? ended)
  const name = accepted ?? id ?? ended
  if (!job) return `job ${name} was promised and is gone`
  if (accepted && keys.get(key) !== accepted) return `key ${key} of job ${name} is gone`
  if (job.history[0]?.event !== 'submitted' || job.history.some(({ seq }, i) => seq !== i + 1))
    return `the history of job ${name} has a gap`
  if (!job.live && !job.outcome) return `job ${name} is neither unfinished nor ended`
  if (step && !job.steps.has(step)) return `step ${step} of job ${name} was recorded and is gone`
  if (ended && job.outcome?.status !== 'completed') return `job ${name} had ended and has not`
  return null
}
