/**
 * The torture: proof that nothing acknowledged is lost, nothing is done twice and nothing untrue is told, by real SIGKILLs,
 * simulated loss of power, and bugs planted on purpose. Exits with 1 when anything was violated.
 *   node test/torture/run.mjs [--short] [--kills N] [--waits N] [--seed S] [--only kills,planted,telling,waits,power,upload,postgres,postgres-planted] [--keep]
 *   node test/torture/run.mjs --store postgres [--short | --minutes N] [--seed S] [--transport bullmq] [--bug NAME …]: the parts over PostgreSQL alone
 */
import { parseArgs } from 'node:util'
import { POSTGRES_NEEDS, postgresPrograms } from '../services/postgres.mjs'
import { REDIS_NEEDS, redisProgram } from '../services/redis.mjs'
import { campaign, histogram } from './campaign.mjs'
import { build } from './lib/build.mjs'
import { audibly, keepFolders, say, table } from './lib/common.mjs'
import { TELLING, WINDOWS } from './lib/windows.mjs'
import { plantedBugs } from './planted.mjs'
import { plantedBugs as plantedOverPostgres } from './postgres/planted.mjs'
import { tooFew, tortured } from './postgres/run.mjs'
import { diskFaults } from './power/faults.mjs'
import { compileShim, obstacle, powerLoss } from './power/loss.mjs'
import { loadCore } from './tables.mjs'
import { plantedInTelling, telling } from './telling/campaign.mjs'
import { MEMORY_MB, uploads } from './upload.mjs'
import { mostWaits, waits } from './waits/campaign.mjs'

const { values: options } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    kills: { type: 'string' },
    waits: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    store: { type: 'string', default: 'sqlite' },
    transport: { type: 'string' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    bug: { type: 'string', multiple: true },
  },
})
const { short } = options
const kills = Number(options.kills ?? (short ? 16 : 220))
const minutes = Number(options.minutes ?? 5)
const seed = Number(options.seed ?? (short ? 1 : Math.floor(Math.random() * 1e6)))
const OF_STORE = {
  sqlite: ['kills', 'planted', 'telling', 'waits', 'power', 'upload'],
  // Each planted bug needs a system of its own; the short form has no time for that.
  postgres: short ? ['postgres'] : ['postgres', 'postgres-planted'],
}
if (!OF_STORE[options.store])
  throw new Error(`There is no store "${options.store}"; there are ${Object.keys(OF_STORE).join(', ')}.`)
const only = options.only?.split(',') ?? OF_STORE[options.store]
/** The long form is worth nothing with fewer kills in a window; a shorter run only has to reach each. */
const LEAST = kills >= 200 ? 15 : 1

const results = []
const skipped = []
const inCI = !['', '0', 'false', undefined].includes(process.env.CI)
const result = (ok, text) => {
  results.push(ok)
  say(`  ${ok ? 'pass' : 'FAIL'}  ${text}`)
}
const began = Date.now()
const seconds = (from) => `${((Date.now() - from) / 1000).toFixed(0)} s`

const transport = options.transport ?? null
if (transport !== null && (transport !== 'bullmq' || options.store !== 'postgres'))
  throw new Error('--transport bullmq goes with --store postgres; there is no other transport.')
const much = options.store === 'postgres' ? 'PostgreSQL' : `${kills} kills`
say(
  `Torture, ${short ? 'short' : 'long'} form: ${much}, seed ${seed}, Node ${process.versions.node}, pid ${process.pid}`,
)
const { dist, complaints } = await audibly(() => 'compiling the library', build())
if (complaints > 0)
  say(`  note: the compiler has ${complaints} complaints about types; the code that came out is tortured all the same`)
const core = await loadCore(dist)

const parts = {
  kills: killed,
  planted,
  telling: told,
  waits: waited,
  power,
  upload,
  postgres,
  'postgres-planted': postgresPlanted,
}
for (const name of only) {
  if (!parts[name]) throw new Error(`There is no part "${name}"; there are ${Object.keys(parts).join(', ')}.`)
  const from = Date.now()
  say()
  try {
    await audibly(() => name, parts[name]())
  } catch (error) {
    result(false, `${name}: ${error?.stack ?? error}`)
  }
  say(`  (${seconds(from)})`)
}

const passed = results.filter(Boolean).length
const failed = results.length - passed
if (failed > 0 || options.keep) say(`\nKept for looking into: ${keepFolders().join(' ')}\nAgain: ${again()}`)
say(`\n${seconds(began)} in all`)
say(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
process.exit(failed > 0 ? 1 : 0)

async function killed() {
  say(`kill -9 of the server, ${kills} times`)
  const run = await campaign({ dist, core, kills, seed })
  const { counts } = run.verdict
  say(`\n${histogram(run.hits)}\n`)
  say(
    `  accepted ${counts.accepted}, completed ${counts.completed}, failed ${counts.failed}, cancelled ${counts.cancelled}, unfinished ${counts.unfinished}, lost ${counts.lost}, doubled ${counts.doubled}`,
  )
  say(
    `  asked again with the same key ${run.client.replayed} times, read ${run.client.reads} times, requests cut off by a death ${run.client.cutOff}, refused with nothing stored ${run.client.refused}`,
  )
  say(
    `  effects outside ${run.verdict.effects - run.verdict.repeated}, asked for again with the same key ${run.verdict.repeated}; sleeps of a worker ${run.suspends}, attempts seen working after another had begun ${run.verdict.stale}`,
  )
  for (const line of run.complaints.slice(0, 5)) say(`  note, printed by the server: ${line}`)
  for (const [point, n] of run.missed) say(`  note: the point ${point} was not reached in ${n} lives`)
  for (const { invariant, job, text } of run.violations.slice(0, 25))
    say(`  VIOLATION ${invariant} ${job ?? ''}: ${text}`)
  result(run.violations.length === 0, `${run.violations.length} violations of the promise in ${run.done} kills`)
  demandHits(run.hits, WINDOWS, LEAST, 'eight')
}

function again() {
  const form =
    options.store === 'postgres'
      ? `--store postgres ${short ? '--short' : `--minutes ${minutes}`}${transport ? ` --transport ${transport}` : ''}`
      : `${short ? '--short ' : ''}--kills ${kills}`
  return `node test/torture/run.mjs ${form} --seed ${seed}`
}

function demandHits(hits, windows, least, how) {
  const thin = Object.keys(windows).filter((name) => sum(hits.get(name)) < least)
  result(
    thin.length === 0,
    thin.length === 0
      ? `each of the ${how} windows was hit at least ${least} times`
      : `too few kills in: ${thin.join(', ')}`,
  )
}

async function planted() {
  say('Bugs planted on purpose, to prove the checker')
  const { found, missed } = await plantedBugs({ dist, core, seed })
  result(missed === 0, `${found} of ${found + missed} planted bugs found`)
}

async function told() {
  const times = Math.max(short ? 8 : 75, Math.round(kills / 3))
  say(`Webhooks under kill -9, ${times} times`)
  const run = await telling({ dist, core, kills: times, seed })
  const { counts } = run.verdict
  say(`\n${histogram(run.hits)}\n`)
  say(
    `  ${counts.jobs} jobs, ${counts.events} events that somebody had asked for, ${counts.posts} requests at the receiver: ${counts.again} again under the same id, ${counts.refused} answered 500, ${counts.hungUp} hung up, ${counts.late} held back for a death`,
  )
  say(
    `  ${counts.attempts} attempts in the logs; ${run.resent} sent again by hand at rest, instead of waiting for 5 minutes`,
  )
  for (const line of run.complaints.slice(0, 5)) say(`  note, printed by the server: ${line}`)
  if (run.missed > 0) say(`  note: the point aimed at was not reached in ${run.missed} lives`)
  for (const { invariant, job, text } of run.violations.slice(0, 25))
    say(`  VIOLATION ${invariant} ${job ?? ''}: ${text}`)
  result(run.violations.length === 0, `${run.violations.length} violations of the telling in ${run.done} kills`)
  demandHits(run.hits, TELLING, short ? 1 : 5, 'five')
  say()
  const { found, missed } = await plantedInTelling({ dist, core, seed })
  result(missed === 0, `${found} of ${found + missed} bugs planted in the telling found`)
}

async function waited() {
  const wanted = Number(options.waits ?? (short ? 200 : 10_000))
  const most = mostWaits()
  const count = Math.min(wanted, most.waits)
  say(`${count} who wait at once, while lines break and the server is restarted and killed`)
  if (count < wanted) {
    const text = `A process may have ${most.files} files open here, so only ${count} of ${wanted} can wait at once. Raise the hard limit (ulimit -Hn).`
    say(`  NOTE: ${text}`)
    if (inCI || count < 500) result(false, text)
  }
  const deaths = short ? { kills: 1, restarts: 1 } : { kills: 3, restarts: 3 }
  const run = await waits({ dist, short, count, ...deaths, silent: short ? 0 : 3, seed })
  say(
    `  ${run.held} streams, sockets and long-polls held by the server at once; ${run.jobs} jobs waited for, ${run.submitted} more as load; ${run.rssMb} MB at the end`,
  )
  say(
    `  lines: ${run.opened} opened, ${run.cut} cut, ${run.silenced} fell silent; ${deaths.kills} kills, ${deaths.restarts} restarts; readers who never read were dropped ${run.dropped} times`,
  )
  say('  from the end of a job to who waits for it, with all of that in between, in milliseconds:')
  const lags = Object.entries(run.lags).map(([kind, values]) => [kind, ...values])
  say(table([['', 'median', 'p99', 'at most'], ...lags]))
  for (const line of run.complaints.slice(0, 5)) say(`  note, printed by the server: ${line}`)
  for (const { invariant, job, text } of run.violations.slice(0, 25))
    say(`  VIOLATION ${invariant} ${job ?? ''}: ${text}`)
  result(run.found === 0 && run.told === count, `${run.told} of ${count} were told the end; ${run.found} violations`)
}

async function power() {
  say('Power loss (F42): the trace of writes and fsyncs cut at every fsync')
  const why = obstacle()
  if (why !== null) {
    skipped.push(why)
    say(`  skipped: power loss (F42) and disk faults (F38 to F41): ${why}`)
    if (inCI) result(false, 'the power-loss test must run in CI')
    return
  }
  const shim = compileShim()
  const small = { jobs: short ? 30 : 120, checkpointPages: 40, ballast: 200 }
  const plans = [
    { ...small, synchronous: 'full' },
    ...(short ? [] : [{ synchronous: 'full', jobs: 300, ballast: 60_000, cuts: 30 }]),
    { ...small, synchronous: 'normal' },
    { ...small, synchronous: 'off' },
  ]
  const rows = [
    [
      'synchronous',
      'jobs',
      'fsyncs',
      'checkpoints',
      'cuts',
      'promises checked',
      'lost',
      'worst cut',
      'unusable',
      'verdict',
    ],
  ]
  const examples = []
  for (const plan of plans) {
    const found = await audibly(
      () => `power loss, synchronous ${plan.synchronous}`,
      powerLoss({ dist, core, shim, plan, seed }),
    )
    const broken = found.losses > 0 || found.unusable > 0
    const right = plan.synchronous === 'full' ? !broken : broken
    const verdict =
      plan.synchronous === 'full'
        ? broken
          ? 'PROMISE BROKEN'
          : 'nothing lost'
        : broken
          ? 'loses, as it must here'
          : 'NO LOSS FOUND: the test is blind'
    rows.push([
      plan.synchronous,
      plan.jobs,
      found.syncs,
      found.checkpoints,
      found.cuts,
      found.promises,
      found.losses,
      found.worst,
      found.unusable,
      verdict,
    ])
    examples.push(...found.examples.slice(0, 1).map((text) => `synchronous ${plan.synchronous}: ${text}`))
    results.push(right)
  }
  say(`${table(rows)}\n`)
  for (const text of examples) say(`  e.g. ${text}`)
  say(
    '  (the addon writes through libc: after each recording the replayed trace equals the files on disk, byte for byte)',
  )
  await faults(shim)
}

async function faults(shim) {
  const plan = { synchronous: 'full', jobs: 30, checkpointPages: 40, ballast: 200 }
  const upTo = (n, step) => Array.from({ length: Math.floor((n - 1) / step) + 1 }, (_, i) => 1 + i * step)
  const kinds = [
    [
      'a sync fails with EIO (F39)',
      upTo(short ? 25 : 40, short ? 6 : 1).map((n) => `fsync ${n}`),
      { ...plan, patienceMs: 300 },
    ],
    [
      'the disk is full for a while (F38)',
      upTo(short ? 41 : 100, short ? 20 : 7).map((n) => `full ${n} ${n % 2 === 0 ? 3 : 8}`),
      plan,
    ],
    ['log or database taken away (F41)', ['remove log', 'remove database'], { ...plan, patienceMs: 300 }],
    ['writes are cut short or interrupted (F40)', (short ? [3] : [2, 3, 7]).map((n) => `short ${n}`), plan],
  ]
  const rows = [['disk fault', 'runs', 'promises checked', 'lost', 'refused, yet there', 'unusable', 'unfinished']]
  const examples = []
  for (const [name, list, work] of kinds) {
    const found = await audibly(
      () => `disk faults: ${name}`,
      diskFaults({ dist, core, shim, plan: work, faults: list }),
    )
    rows.push([name, found.runs, found.promises, found.lost, found.untrue, found.unusable, found.unfinished])
    results.push(found.lost + found.untrue + found.unusable + found.unfinished === 0)
    examples.push(...found.examples)
  }
  say(`\n${table(rows)}`)
  for (const text of examples) say(`  VIOLATION ${text}`)
}

async function upload() {
  const megabytes = 200
  say(`Upload of ${megabytes} MB, server memory growth under ${MEMORY_MB} MB`)
  const { failures, unmeasured } = await uploads({ dist, core, megabytes, seed })
  if (unmeasured) {
    skipped.push(unmeasured)
    say(`  skipped: memory during the upload: ${unmeasured}`)
  }
  for (const text of failures) say(`  VIOLATION ${text}`)
  result(failures.length === 0, `uploads: ${failures.length} violations`)
}

function withoutRedis() {
  if (transport === null || redisProgram() !== null) return false
  skipped.push(REDIS_NEEDS)
  say(`  skipped: torture with BullMQ: ${REDIS_NEEDS}`)
  if (inCI) result(false, 'the torture with BullMQ must run in CI')
  return true
}

/** Without a PostgreSQL its parts are left out, and said so. */
function withoutPostgres() {
  if (postgresPrograms() !== null) return false
  skipped.push(POSTGRES_NEEDS)
  say(`  skipped: torture over PostgreSQL: ${POSTGRES_NEEDS}`)
  if (inCI) result(false, 'the torture over PostgreSQL must run in CI')
  return true
}

async function postgres() {
  say('Several processes over one PostgreSQL')
  if (withoutPostgres() || withoutRedis()) return
  const run = await tortured({ dist, core, seed, short, minutes, transport })
  result(
    run.violations.length === 0,
    `${run.violations.length} violations in ${run.rounds} rounds with ${run.injected} faults`,
  )
  if (short || run.violations.length > 0) return
  const thin = tooFew(run.counts, minutes, transport)
  result(
    thin.length === 0,
    thin.length === 0 ? 'enough was done to it' : `too little was done to it: ${thin.join('; ')}`,
  )
}

async function postgresPlanted() {
  say('Bugs planted on purpose in several processes over one PostgreSQL')
  if (withoutPostgres()) return
  const { found, missed, planted: all, control } = await plantedOverPostgres({ dist, core, seed, names: options.bug })
  result(
    control === null,
    control ? `nothing was planted, and it found: ${control.text}` : 'nothing is found where nothing is planted',
  )
  result(missed === 0, `${found} of ${all} planted bugs found`)
}

function sum(points) {
  return [...points.values()].reduce((a, b) => a + b, 0)
}
