/**
 * The program whose writes are recorded: it submits jobs, runs them, and notes each promise that was kept to it (accepted,
 * step recorded, ended) in the same trace as the writes. Ends like a machine without power.
 */
import { copyFileSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { TORTURE_DIST, TRACE_DIR, TRACE_ACKS, TORTURE_PLAN } = process.env
const { synchronous, jobs, checkpointPages, ballast, patienceMs = 60_000, remove = null } = JSON.parse(TORTURE_PLAN)
const from = (file) => import(pathToFileURL(join(TORTURE_DIST, file)).href)
const [{ createUntildone, defineJob, until }, { sqliteWith }, { SqliteDriver }, { z }] = await Promise.all([
  from('index.js'),
  from('stores/sqlite/open.js'),
  from('stores/sqlite/driver.js'),
  import('zod'),
])

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const fd = openSync(TRACE_ACKS, 'w')
const note = (entry) => writeSync(fd, `${JSON.stringify(entry)}\n`)

/** Checkpoints come after so many pages, so that a short trace has many of them. */
class Driver extends SqliteDriver {
  constructor(...args) {
    super(...args)
    if (checkpointPages) this.db.exec(`pragma wal_autocheckpoint = ${checkpointPages}`)
  }
}

const anything = z.looseObject({})
const work = defineJob('work', { input: anything, output: anything })
// The handler never fails, so one attempt is enough for it: an error of the disk must not be counted as one of its own.
const handler = work.handler({ retry: until({ attempts: 1 }) }, async (job) => {
  for (const step of ['one', 'two'].slice(0, job.input.steps)) {
    await job.step(step, () => ({ at: job.input.n, step }))
    note({ step, id: job.id })
  }
  return { n: job.input.n }
})
const app = await createUntildone({
  store: sqliteWith(Driver, join(TRACE_DIR, 'jobs.db'), { synchronous }),
  handlers: [handler],
  worker: { slots: 8 },
  onError: () => {},
})
await app.start()
note({ begun: true })

/** Submits until it is accepted; null when the store says that it will not work again before a restart. */
async function insist(n, key) {
  for (;;) {
    try {
      return await app.submit(work, { n, steps: n % 3, ballast: 'x'.repeat(ballast) }, { key })
    } catch (error) {
      note({ refused: key, code: error.code })
      if (error.params?.reason !== 'disk-full') return null
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

let next = 0
const ends = []
async function submitter(name = 'key') {
  while (next < jobs) {
    const n = next++
    const key = `${name}-${n}`
    const handle = await insist(n, key)
    if (handle === null) continue
    note({ accepted: handle.id, key })
    ends.push(handle.result().then(() => note({ ended: handle.id })))
    // Not all at once: commits of one, of few and of many jobs.
    if (n % 4 === 0) await Promise.race([ends.at(-1), sleep(patienceMs)])
  }
}
await Promise.all([submitter(), submitter(), submitter()])
if (remove) {
  // Somebody tidies up behind our back. What is promised from here on must be kept, or not be promised.
  await Promise.all(ends)
  const file = join(TRACE_DIR, 'jobs.db')
  if (remove === 'log') unlinkSync(`${file}-wal`)
  else {
    copyFileSync(file, `${file}-copy`)
    renameSync(`${file}-copy`, file)
  }
  note({ removed: remove })
  next = 0
  await submitter('late')
}
await Promise.race([Promise.all(ends), sleep(patienceMs)])
writeSync(3, `${JSON.stringify({ recorded: jobs })}\n`)
process.kill(process.pid, 'SIGKILL')
