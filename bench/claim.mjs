// (d) What a claim of 16 jobs costs while other jobs wait (for later, at a lower priority, in other lanes) and among
// finished ones. Filled by plain inserts; then claims alternate between that database and one without the others, so that
// both meet the same weather. The commit is left out: its fsync is the same everywhere and would hide a difference.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { inTransactions, lifeOf, openPlain, statements } from './floor.mjs'
import { systemClock, systemEntropy } from './lib/product.mjs'
import { profiledStore } from './lib/profile.mjs'
import { median } from './lib/sample.mjs'
import { ends, fill, inFolder, now, openApp } from './lib/tools.mjs'

const CLAIM = 16
const LANES = [{ lane: 'default/noop/default', limit: CLAIM }]
const DAY_MS = 86_400_000
const WARMUP = 20
/** Where other jobs can be: `part` of a life is what is written of each. */
const OTHERS = [
  { name: 'wait for later in the same lane', part: 'submit', job: () => ({ runAt: Date.now() + DAY_MS }) },
  { name: 'wait at a lower priority in the same lane', part: 'submit', job: () => ({ priority: -1, level: 3 }) },
  { name: 'wait in 1,000 other lanes', part: 'submit', job: (i) => ({ type: `other-${i % 1000}` }) },
  { name: 'are finished', part: 'finished', job: () => ({}) },
]

export async function measure({ quick, runs, dir, log }) {
  const claims = quick ? 100 : 300
  const drained = quick ? 5000 : 20_000
  const rows = []
  for (const others of OTHERS) {
    for (const count of quick ? [100_000] : [100_000, 1_000_000]) {
      await inFolder(dir, async (folder) => {
        const began = now()
        const [bare, crowded] = [join(folder, 'bare'), join(folder, 'crowded')]
        await crowd(crowded, others, count)
        log(`  ${count} jobs that ${others.name}: written in ${((now() - began) / 1000).toFixed(0)} s`)
        // Jobs of a lower priority would be drained along.
        const rates = others.job(0).level === 3 ? null : [await drain(bare, drained), await drain(crowded, drained)]
        const costs = await compare(bare, crowded, claims, runs)
        rows.push({
          figure: 'd',
          name: `claim of ${CLAIM} while ${short(count)} ${others.name}`,
          unit: 'µs',
          values: costs.crowded,
          beside: ['none', costs.bare],
          aim: { ratioBelow: 1.2 },
        })
        if (rates)
          rows.push({
            figure: 'd',
            name: `drain while ${short(count)} ${others.name}`,
            unit: 'jobs/s',
            values: [rates[1]],
            beside: ['none', [rates[0]]],
          })
      })
    }
  }
  return rows
}

const short = (count) => (count >= 1_000_000 ? `${count / 1_000_000} M` : `${count / 1000} k`)

/** Writes `count` other jobs into a new database. */
async function crowd(folder, { part, job }, count) {
  mkdirSync(folder, { recursive: true })
  const db = await openPlain(folder)
  const write = statements(db)[part]
  for (let done = 0; done < count; done += 10_000) {
    const lives = Array.from({ length: 10_000 }, (_, i) => lifeOf(systemEntropy.jobId(), Date.now(), job(done + i)))
    inTransactions(db, lives, [write], lives.length)
  }
  db.exec('pragma wal_checkpoint(truncate)')
  db.close()
}

/** Jobs per second of a worker with 64 slots, among whatever the database holds. */
async function drain(folder, jobs) {
  mkdirSync(folder, { recursive: true })
  const app = await openApp(folder, { worker: { slots: 64 } })
  await fill(app, jobs)
  const done = ends(app, jobs)
  const began = now()
  await app.start()
  await done
  const seconds = (now() - began) / 1000
  await app.stop()
  return jobs / seconds
}

/** Microseconds per claim without its commit, medians of each run. */
async function compare(bare, crowded, claims, runs) {
  const sides = []
  for (const folder of [bare, crowded]) {
    mkdirSync(folder, { recursive: true })
    const db = await openPlain(folder)
    const ready = Array.from({ length: (claims * runs + WARMUP) * CLAIM }, () =>
      lifeOf(systemEntropy.jobId(), Date.now()),
    )
    inTransactions(db, ready, [statements(db).submit], 10_000)
    db.close()
    const profiled = profiledStore(join(folder, 'bench.db'))
    const store = await profiled.store.open({ clock: systemClock, entropy: systemEntropy })
    sides.push({ profiled, store, all: [], run: [] })
  }
  for (let i = -WARMUP; i < claims * runs; i++) {
    for (const { profiled, store, all, run } of sides) {
      profiled.reset()
      const claimed = await store.claim({ worker: 'w-bench', lanes: LANES, limit: () => CLAIM, levels: [0, 1, 2, 3] })
      const { sqlMs, planMs } = profiled.take()
      if (claimed.length !== CLAIM) throw new Error(`A claim of ${CLAIM} took ${claimed.length} jobs.`)
      if (i >= 0) run.push((sqlMs + planMs) * 1000)
      if (run.length === claims) all.push(median(run.splice(0)))
    }
  }
  for (const { store } of sides) await store.close()
  return { bare: sides[0].all, crowded: sides[1].all }
}
