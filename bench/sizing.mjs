// What a job costs a PostgreSQL: bytes that stay, bytes of WAL, commits, connections. Starts a server of its own with the
// settings of production and takes it away again. No figure of speed: those depend on the machine, these hardly do.
//   node bench/sizing.mjs [--jobs 2000] [--steps 10] [--input 200]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { ensureBuilt, root } from '../scripts/lib/ensure.mjs'
import { startPostgres } from '../test/services/postgres.mjs'

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '2000' },
    steps: { type: 'string', default: '10' },
    input: { type: 'string', default: '200' },
  },
})
const [jobs, steps, bytes] = [Number(values.jobs), Number(values.steps), Number(values.input)]

await ensureBuilt()
const { createUntildone, defineJob } = await import(join(root, 'dist/index.js'))
const { postgres } = await import(join(root, 'dist/stores/postgres/index.js'))
const { z } = await import('zod')

const input = z.object({ text: z.string() })
const plain = defineJob('plain', { input, output: z.string() })
const stepped = defineJob('stepped', { input, output: z.string() })
const handlers = [
  plain.handler({}, (job) => job.input.text),
  stepped.handler({}, async (job) => {
    for (let n = 0; n < steps; n++) await job.step(`step ${n}`, () => job.input.text)
    return job.input.text
  }),
]

const server = await startPostgres()
const folder = mkdtempSync(join(tmpdir(), 'untildone-sizing-'))
const client = new pg.Client({ connectionString: server.url })
await client.connect()
const one = async (sql) => Object.values((await client.query(sql)).rows[0])[0]
try {
  const app = await createUntildone({ store: postgres(server.url), handlers, filesDir: folder })
  await app.start()
  const text = 'x'.repeat(bytes)
  const rows = []
  for (const [name, type, together] of [
    ['plain, one after the other', plain, 1],
    ['plain, 64 at once', plain, 64],
    [`${steps} steps, 64 at once`, stepped, 64],
  ])
    rows.push({ name, ...(await measure(app, type, { text }, together)) })
  const connections = Number(
    await one(
      `select count(*) from pg_stat_activity where application_name = 'untildone' and backend_type = 'client backend'`,
    ),
  )
  await app.stop()
  console.log(`${jobs} jobs each, input and result of ${bytes} bytes; ${await one('show server_version')}\n`)
  const width = Math.max(...rows.map(({ name }) => name.length))
  console.log(
    `${'per job'.padEnd(width)}  ${'stays'.padStart(9)}  ${'WAL'.padStart(9)}  ${'commits'.padStart(8)}  ${'reads'.padStart(8)}`,
  )
  for (const { name, stays, wal, commits, reads } of rows)
    console.log(
      `${name.padEnd(width)}  ${`${Math.round(stays)} B`.padStart(9)}  ${`${Math.round(wal)} B`.padStart(9)}  ${commits.toFixed(2).padStart(8)}  ${reads.toFixed(2).padStart(8)}`,
    )
  console.log(`\nconnections of this process, busy: ${connections}`)
} finally {
  await client.end().catch(() => {})
  await server.remove()
  rmSync(folder, { recursive: true, force: true })
}

/** Before and after, with everything written down that is still in memory. */
async function measure(app, type, input, together) {
  // The first ones make what all share: statements, pages, full images of them after the checkpoint.
  await run(app, type, input, Math.min(200, jobs), together)
  const before = await state()
  await run(app, type, input, jobs, together)
  const after = await state()
  return Object.fromEntries(Object.keys(before).map((key) => [key, (after[key] - before[key]) / jobs]))
}

async function state() {
  await client.query('vacuum')
  // Counters of sessions are handed in once a second at most.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await client.query('select pg_stat_clear_snapshot()')
  // Whoever writes takes a number; whoever only reads takes none.
  const commits = Number(await one(`select pg_snapshot_xmax(pg_current_snapshot())::text`))
  const reads =
    Number(await one(`select xact_commit from pg_stat_database where datname = current_database()`)) - commits
  const stays = Number(
    await one(`select sum(pg_total_relation_size(relid)) from pg_stat_user_tables where schemaname = 'untildone'`),
  )
  return { stays, wal: Number(await one(`select pg_current_wal_lsn() - '0/0'::pg_lsn`)), commits, reads }
}

async function run(app, type, input, n, together) {
  let left = n
  const lane = async () => {
    while (left-- > 0) await (await app.submit(type, input)).result()
  }
  await Promise.all(Array.from({ length: together }, lane))
}
