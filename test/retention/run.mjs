/**
 * The long form of the retention proof, against dist/: 1 M jobs in 20 waves. Prints the file after each wave, what
 * removing costs and how long it holds up the loop; exit code 1 when the file goes on growing or an answer is wrong.
 *   npm run retention -- [--jobs 1000000] [--waves 20] [--dir <folder>]
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuilt, root } from '../../scripts/lib/ensure.mjs'
import { ask, retention, STEADY } from './scenario.mjs'

const { values: options } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    waves: { type: 'string', default: '20' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const waves = Number(options.waves)
const jobsPerWave = Math.ceil(Number(options.jobs) / waves)
if (!(waves > STEADY + 1) || !(jobsPerWave > 0)) {
  console.error(`retention: --jobs takes a number, --waves one above ${STEADY + 1}.`)
  process.exit(2)
}
await ensureBuilt()
const load = (file) => import(pathToFileURL(join(root, 'dist', file)).href)
const product = Object.assign(
  {},
  ...(await Promise.all(
    [
      'index.js',
      'core/index.js',
      'server/index.js',
      'stores/sqlite/driver.js',
      'stores/sqlite/open.js',
      'testing/index.js',
    ].map(load),
  )),
)

mkdirSync(options.dir, { recursive: true })
const folder = mkdtempSync(join(options.dir, 'untildone-retention-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const began = performance.now()
const heart = setInterval(
  () => console.log(`  … still at work (${Math.round((performance.now() - began) / 1000)} s)`),
  4000,
)
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1).padStart(8)
console.log(`${waves} waves of ${jobsPerWave} jobs, 5 minutes apart; kept 9.5 minutes, tombstones 9.5 more`)
console.log('wave   file MiB    log MiB   finished kept   unfinished   files     removed   jobs/s')
const world = await retention(product, {
  folder,
  waves,
  jobsPerWave,
  onWave: ({ wave, bytes, walBytes, kept, unfinished, files, expired, workedMs }) =>
    console.log(
      [
        String(wave + 1).padStart(4),
        mib(bytes).padStart(10),
        mib(walBytes).padStart(10),
        String(kept).padStart(15),
        String(unfinished).padStart(12),
        String(files).padStart(7),
        String(expired).padStart(11),
        String(Math.round((jobsPerWave * 1000) / workedMs)).padStart(8),
      ].join(' '),
    ),
})

const checks = []
const expected = (what, holds) => checks.push([what, holds])
const total = ({ bytes, walBytes }) => bytes + walBytes
const steady = total(world.samples[STEADY])
const largest = Math.max(...world.samples.slice(STEADY).map(total))
expected(
  `the file stops growing: ${mib(steady).trim()} MiB after wave ${STEADY + 1}, never more than ${mib(largest).trim()} since`,
  largest <= steady * 1.1,
)
const files = world.samples.slice(STEADY).map((sample) => sample.files)
expected(`the bytes of files go as well: ${files[0]} are kept`, files[0] > 0 && files.every((n) => n === files[0]))
expected('no error was reported', world.errors.length === 0)

const gone = world.firsts[waves - 3]
const answer = await ask(world, `/v1/jobs/${gone.id}`)
expected(
  `GET of an expired job: ${answer.status} ${answer.body.code}, it was ${answer.body.params?.finalStatus}`,
  answer.status === 410 && answer.body.code === 'job-expired' && answer.body.params.finalStatus === 'completed',
)
const body = { type: 'work', input: { text: 'lorem ipsum dolor sit amet '.repeat(6) } }
const repeated = await ask(world, '/v1/jobs', { body, key: gone.key })
expected(`its idempotency key: ${repeated.status} ${repeated.body.code}`, repeated.status === 410)
const forgotten = await ask(world, `/v1/jobs/${world.firsts[0].id}`)
expected(`a tombstone goes in its turn: ${forgotten.status} ${forgotten.body.code}`, forgotten.status === 404)
for (const [what, id] of Object.entries(world.kept)) {
  const { status, body: job } = await ask(world, `/v1/jobs/${id}`)
  expected(`the ${what} job is still there: ${job.status}`, status === 200)
}

const { expire, tidy } = world.meter
const ms = expire.map((chunk) => chunk.ms).sort((a, b) => a - b)
const jobs = expire.reduce((sum, chunk) => sum + chunk.jobs, 0)
const spent = ms.reduce((sum, one) => sum + one, 0)
const at = (list, p) =>
  (list.length === 0 ? Number.NaN : list[Math.min(list.length - 1, Math.floor(list.length * p))]).toFixed(1)
tidy.sort((a, b) => a - b)
console.log(`\nremoved ${jobs} jobs in ${ms.length} chunks: ${((spent * 1000) / jobs).toFixed(1)} ms per 1,000 jobs`)
console.log(
  `a chunk holds up the loop, and so a claim, for ${at(ms, 0.5)} ms (p99 ${at(ms, 0.99)}, at most ${at(ms, 1)})`,
)
console.log(`giving the log back at the end of a sweep: ${at(tidy, 0.5)} ms (at most ${at(tidy, 1)})`)
await world.stop()
clearInterval(heart)
for (const [text, ok] of checks) console.log(`  ${ok ? 'ok    ' : 'FAILED'}  ${text}`)
const failed = checks.filter(([, ok]) => !ok).length
console.log(`${checks.length - failed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed > 0 ? 1 : 0
