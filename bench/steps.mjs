// (e) Jobs of 10 memoized steps each. A step's value reaches the handler only after its record is on disk, so one job makes
// at most one step per commit: the rate comes from jobs that share commits.
import { join } from 'node:path'
import { defineJob } from './lib/product.mjs'
import { breakdown, profiledStore } from './lib/profile.mjs'
import { assertFinished, ends, fill, inFolder, noop, now, openApp, repeat } from './lib/tools.mjs'

const STEPS = 10
const SLOTS = [16, 64, 256]

export async function measure({ quick, log, ...how }) {
  const jobs = quick ? 300 : 1000
  const rows = []
  for (const slots of SLOTS) {
    const values = await repeat(how, (folder) => once(folder, jobs, { slots }))
    rows.push({
      figure: 'e',
      name: `${jobs} jobs of ${STEPS} steps, ${slots} slots`,
      unit: 'steps/s',
      values,
      aim: slots === 256 ? { atLeast: 15_000 } : undefined,
    })
  }
  await inFolder(how.dir, async (folder) => {
    const { store, ...clock } = profiledStore(join(folder, 'bench.db'))
    await once(folder, jobs, { slots: 256, store, clock })
    log(`  Where the time goes: jobs of ${STEPS} steps, 256 slots, per step`)
    for (const line of breakdown(clock.taken, jobs * STEPS, 'step')) log(line)
  })
  return rows
}

/** @returns steps per second from the start of the worker to the last outcome */
async function once(folder, jobs, { slots, store, clock }) {
  const definition = defineJob('noop', { input: noop.input })
  const handler = definition.handler(async (job) => {
    let sum = 0
    for (let i = 0; i < STEPS; i++) sum += await job.step(`step-${i}`, async () => i)
    return sum
  })
  const app = await openApp(folder, { handlers: [handler], worker: { slots }, ...(store ? { store } : {}) })
  await fill(app, jobs)
  const done = ends(app, jobs)
  clock?.reset()
  const began = now()
  await app.start()
  await done
  const seconds = (now() - began) / 1000
  if (clock) clock.taken = clock.take()
  await assertFinished(app, jobs)
  await app.stop()
  return (jobs * STEPS) / seconds
}
