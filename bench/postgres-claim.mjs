// (j) What a claim of 100 jobs costs on PostgreSQL: with few jobs and among a million that wait or are finished, and while
// somebody holds a transaction open, so that dead rows cannot be removed. The jobs that are claimed are put there each time.
import { load, systemClock, systemEntropy } from './lib/product.mjs'
import { median } from './lib/sample.mjs'
import { withPostgres } from './lib/services.mjs'
import { now } from './lib/tools.mjs'

const { postgres } = await load('stores/postgres/index.js')
const { default: pg } = await import('pg')
const CLAIM = 100
const LANE = 'default/noop/default'

export async function measure({ quick, runs, log }) {
  const many = quick ? 100_000 : 1_000_000
  const rounds = (quick ? 40 : 100) * Math.min(runs, 3)
  const rows = []
  const quantile = (values, q) =>
    [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]
  await withPostgres(async ({ url }) => {
    const store = await postgres(url).open({ clock: systemClock, entropy: systemEntropy })
    const client = new pg.Client(url)
    await client.connect()
    const few = await claims(store, client, rounds)
    const report = (name, values) => {
      rows.push({
        figure: 'j',
        name: `claim(${CLAIM}) ${name}, p50`,
        unit: 'ms',
        values: [median(values)],
        beside: ['few jobs', [median(few)]],
        aim: { ratioBelow: 1.2 },
      })
      rows.push({
        figure: 'j',
        name: `claim(${CLAIM}) ${name}, p99`,
        unit: 'ms',
        values: [quantile(values, 0.99)],
        beside: ['few jobs', [quantile(few, 0.99)]],
        aim: { below: 20 },
      })
    }
    report('of few jobs', few)
    const began = now()
    await put(client, many, 'waiting')
    log(`  ${many} jobs that wait: written in ${((now() - began) / 1000).toFixed(0)} s`)
    await client.query('vacuum analyze untildone.live')
    report(`among ${many / 1000} k waiting`, await claims(store, client, rounds))
    const holder = new pg.Client(url)
    await holder.connect()
    await holder.query('begin isolation level repeatable read')
    await holder.query('select count(*) from untildone.meta')
    report(`among ${many / 1000} k waiting, a transaction held open`, await claims(store, client, rounds))
    await holder.query('rollback')
    await holder.end()
    await client.query('truncate untildone.live, untildone.jobs')
    await put(client, many, 'finished')
    await client.query('vacuum analyze untildone.outcomes')
    report(`among ${many / 1000} k finished`, await claims(store, client, rounds))
    await client.end()
    await store.close()
  })
  return rows
}

/** Milliseconds of each claim, its commit included; the claimed jobs are taken away afterwards. */
async function claims(store, client, rounds) {
  const times = []
  for (let i = 0; i < rounds + 5; i++) {
    await put(client, CLAIM, 'ready')
    // Jobs that nobody told of are found by a look; whoever submits them tells of them.
    await store.lanes()
    const began = now()
    const claimed = await store.claim({
      worker: 'w-bench',
      lanes: [{ lane: LANE, limit: CLAIM }],
      limit: () => CLAIM,
      levels: [0, 1, 2, 3],
    })
    const took = now() - began
    if (claimed.length !== CLAIM) throw new Error(`${claimed.length} jobs were claimed instead of ${CLAIM}.`)
    await client.query('delete from untildone.live where worker is not null')
    // The first ones prepare their statements.
    if (i >= 5) times.push(took)
  }
  return times
}

/** Rows as a submit writes them. Jobs that wait have a later run_at, so that those to be claimed come first. */
async function put(client, count, how) {
  const at = Date.now()
  for (let left = count; left > 0; left -= 50_000) {
    const ids = Array.from({ length: Math.min(50_000, left) }, () => systemEntropy.jobId())
    await client.query({
      text: `insert into untildone.jobs (id, tenant, type, queue, priority, input, created_by, created_at) select id, 'default', 'noop', 'default', 0, '{}', 'system:bench:', ${at} from unnest($1::text[]) as id`,
      values: [ids],
    })
    if (how === 'finished')
      await client.query({
        text: `insert into untildone.outcomes (job_id, status, phase, result_bytes, attempt, epoch, version, revision, finished_at, expires_at) select id, 'completed', 'completed', 0, 1, 1, 3, 3, ${at}, ${at + 86_400_000_000} from unnest($1::text[]) as id`,
        values: [ids],
      })
    else
      await client.query({
        text: `insert into untildone.live (id, lane, level, state, run_at, version, revision, epoch, attempt, errors, losses, budget_from, ties, undo, changed_at) select id, '${LANE}', 2, 'queued', ${how === 'ready' ? at - 60_000 : at - 1000}, 1, 1, 0, 0, 0, 0, ${at}, 0, 0, ${at} from unnest($1::text[]) as id`,
        values: [ids],
      })
  }
}
