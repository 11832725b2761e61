/**
 * Months of work in minutes: jobs come in waves on a clock that is moved by hand, finish, expire, leave tombstones and are
 * forgotten, while the real maintenance runs. Measures the file after each wave; what it must be is said by whoever runs it.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const MINUTE = 60_000
const WAVE_EVERY_MS = 5 * MINUTE
/** Half a minute off, so that nothing becomes due in the very instant of a sweep. */
export const RETENTION = { jobs: 9.5 * MINUTE, tombstones: 9.5 * MINUTE, files: 4.5 * MINUTE }
/** From this wave on as much goes as comes: a job of wave n is forgotten, tombstone and all, in wave n + 5. */
export const STEADY = 6
const LARGE = 'x'.repeat(100 * 1024)

/**
 * @param {any} product createUntildone, defineJob, file, Review, LOCAL, SqliteDriver, sqliteWith, createServer, TestClock, newLive, accepted
 * @param {{ folder: string, waves: number, jobsPerWave: number, onWave?: (sample: any) => void }} plan
 */
export async function retention(product, { folder, waves, jobsPerWave, onWave = () => {} }) {
  const meter = { transactions: 0, expire: [], tidy: [] }
  const clock = new product.TestClock(undefined, () => settle(meter))
  const path = join(folder, 'untildone.db')
  const filesDir = join(folder, 'files')
  const errors = []
  const app = await product.createUntildone({
    clock,
    store: product.sqliteWith(metered(product.SqliteDriver, meter), path, {
      tombstonesMs: RETENTION.tombstones,
      fileGraceMs: RETENTION.files,
    }),
    handlers: handlers(product),
    filesDir,
    worker: { slots: 64 },
    onError: (error) => errors.push(error),
  })
  await app.start()
  const world = { product, app, clock, server: product.createServer(app.engine), finished: 0 }
  app.engine.onChange((changes) => {
    for (const { done } of changes) if (done) world.finished++
  })

  const kept = await keepers(world)
  const samples = []
  const firsts = []
  for (let wave = 0; wave < waves; wave++) {
    const began = performance.now()
    firsts.push(await oneWave(world, wave, jobsPerWave))
    const workedMs = performance.now() - began
    await clock.advance(WAVE_EVERY_MS)
    const { finished, unfinished } = await app.engine.check(product.LOCAL)
    const sample = {
      wave,
      bytes: size(path),
      walBytes: size(`${path}-wal`),
      files: await filesIn(filesDir),
      kept: finished,
      unfinished,
      workedMs,
      expired: meter.expire.reduce((sum, { jobs }) => sum + jobs, 0),
    }
    samples.push(sample)
    onWave(sample)
  }
  return { ...world, kept, firsts, samples, meter, errors, stop: () => app.stop() }
}

function handlers({ defineJob, file, Review }) {
  const input = z.object({ text: z.string(), file: file().optional() })
  const work = defineJob('work', { input })
  const stuck = defineJob('stuck', { input })
  return [
    work.handler({ retention: RETENTION.jobs }, async (job) => {
      if (job.input.text !== 'steps') return { text: job.input.text }
      job.log('has steps')
      job.progress('half', { completed: 1, total: 2 })
      job.warn('note', 'a warning')
      return { text: await job.step('one', async () => 1), two: await job.step('two', async () => 'x'.repeat(500)) }
    }),
    stuck.handler({ retention: RETENTION.jobs }, async () => {
      throw new Review('somebody must look at this')
    }),
  ]
}

/** Jobs that must outlive everything: blocked, scheduled, and the origin of a replay that has not run yet. */
async function keepers({ product, app }) {
  const { LOCAL, newLive, accepted } = product
  const blocked = await app.submit('stuck', { text: 'a' })
  const scheduled = await app.submit('work', { text: 'b' }, { runAt: new Date(app.engine.clock.now() + 1e10) })
  const origin = await app.submit('work', { text: 'c' }, { key: 'origin' })
  await origin.result()
  const { store } = app.engine.parts
  const { record } = await store.find(origin.id)
  const at = app.engine.clock.now()
  const id = app.engine.parts.entropy.jobId()
  const live = newLive(id, ['default', 'work', LOCAL.tenant].join('/'), 2, at, {
    runAt: at + 1e10,
    deadlineAt: null,
    escalateAt: null,
  })
  const replay = { record: { ...record, id, replayOf: origin.id }, live, history: accepted(live, LOCAL.actor) }
  await store.submit([{ ...replay, idempotency: null, files: [] }])
  return { blocked: blocked.id, scheduled: scheduled.id, origin: origin.id, replay: id }
}

/** One wave through the engine. @returns id and key of its first job */
async function oneWave(world, wave, jobs) {
  const { app, product } = world
  const { engine } = app
  const done = world.finished + jobs
  let first
  for (let at = 0; at < jobs; at += 500) {
    const items = []
    for (let i = at; i < Math.min(at + 500, jobs); i++) {
      const key = i % 10 === 0 ? `wave-${wave}-${i}` : null
      items.push({ body: { type: 'work', input: await inputOf(world, i) }, key })
    }
    const batch = await engine.submitBatch(product.LOCAL, items, null)
    first ??= { id: batch.items[0].id, key: items[0].key }
  }
  while (world.finished < done) await turn()
  return first
}

/** Small, with steps, large (a blob for the input and one for the result), with a file. */
async function inputOf({ app, product }, i) {
  if (i % 500 === 499) return { text: LARGE }
  if (i % 500 === 250) {
    const bytes = new Blob([LARGE]).stream()
    const { file } = await app.engine.addFile(product.LOCAL, bytes, {
      contentType: 'text/plain',
      name: null,
      maxBytes: 1e6,
    })
    return { text: 'file', file }
  }
  return { text: i % 20 === 19 ? 'steps' : 'lorem ipsum dolor sit amet '.repeat(6) }
}

/** The driver, with a clock around each transaction that removes jobs and each tidying. */
function metered(SqliteDriver, meter) {
  return class extends SqliteDriver {
    removed = 0
    execute(statement) {
      const answer = super.execute(statement)
      if (statement.sql.startsWith('delete from jobs')) this.removed += answer[0]
      return answer
    }
    transact(plan, write) {
      this.removed = 0
      const began = performance.now()
      const answer = super.transact(plan, write)
      meter.transactions++
      if (this.removed > 0) meter.expire.push({ jobs: this.removed, ms: performance.now() - began })
      return answer
    }
    async tidy() {
      const began = performance.now()
      await super.tidy()
      meter.tidy.push(performance.now() - began)
    }
  }
}

/** Until three turns of the loop bring no transaction. */
async function settle(meter) {
  for (let quiet = 0, seen = -1; quiet < 3; ) {
    quiet = meter.transactions === seen ? quiet + 1 : 0
    seen = meter.transactions
    await turn()
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** How many there are when their number stands still: their removal is no transaction that `settle` could see. */
async function filesIn(dir) {
  const count = () => readdirSync(dir).filter((name) => name.startsWith('file_')).length
  for (let seen = -1; ; ) {
    const now = count()
    if (now === seen) return now
    seen = now
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function size(path) {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}

/** One request to the server of the scenario. @returns status and parsed body */
export async function ask({ server }, path, { body, key } = {}) {
  const headers = { host: 'localhost', ...(body ? { 'content-type': 'application/json' } : {}) }
  if (key) headers['idempotency-key'] = key
  const request = new Request(`http://localhost${path}`, {
    method: body ? 'POST' : 'GET',
    headers,
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const response = await server.fetch(request)
  return { status: response.status, body: await response.json() }
}
