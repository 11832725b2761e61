// (b) No-op jobs through the whole engine (submit → run → outcome), beside the floor: in bulk, drained from a backlog, and
// with 64 callers who submit one at a time while the worker runs.
import { join } from 'node:path'
import { floor } from './floor.mjs'
import { breakdown, profiledStore } from './lib/profile.mjs'
import { assertFinished, ends, fill, INPUT, inFolder, noop, now, openApp } from './lib/tools.mjs'

const SLOTS = [16, 64, 256]
const FLOORS = { submit: 'rows of a submit', drain: 'rows of claim + complete', whole: 'rows of a whole life' }
const CALLERS = 64
/** The callers' worker has as many slots as there are callers. */
const CALLERS_SLOTS = 64

export async function measure({ quick, runs, log, ...how }) {
  const jobs = quick ? 10_000 : 60_000
  const figures = [
    ['bulk submit, batches of 500', 'submit', (folder) => bulk(folder, jobs), { ratio: 0.3 }],
    ...SLOTS.map((slots) => [
      `drain a backlog, ${slots} slots`,
      'drain',
      (folder) => drain(folder, jobs, { slots }),
      { ratio: 0.3, ...(slots === 64 ? { atLeast: 20_000 } : {}) },
    ]),
    [
      `${CALLERS} callers, each awaits its submit`,
      'whole',
      (folder) => callers(folder, jobs, false),
      { ratio: 0.3, atLeast: 15_000 },
    ],
    [`${CALLERS} callers, each awaits its result`, 'whole', (folder) => callers(folder, jobs, true)],
  ]
  const floors = []
  const values = figures.map(() => [])
  for (let run = 0; run < runs; run++) {
    // The floor anew in each run, so that floor and engine meet the same weather.
    floors.push(await inFolder(how.dir, (folder) => floor(folder, jobs)))
    for (const [i, [, , once]] of figures.entries()) values[i].push(await inFolder(how.dir, once))
  }
  const rows = figures.map(([name, of, , aim], i) => ({
    figure: 'b',
    name,
    unit: 'jobs/s',
    values: values[i],
    beside: [FLOORS[of], floors.map((rates) => rates[of])],
    aim,
  }))

  await inFolder(how.dir, async (folder) => {
    const { store, ...clock } = profiledStore(join(folder, 'bench.db'))
    await drain(folder, jobs, { slots: 64, store, clock })
    log(`  Where the time goes: ${jobs} jobs drained, 64 slots, per job`)
    for (const line of breakdown(clock.taken, jobs)) log(line)
  })
  await inFolder(how.dir, async (folder) => {
    const { store, ...clock } = profiledStore(join(folder, 'bench.db'))
    await callers(folder, jobs, false, { store, clock })
    log(`  Where the time goes: ${CALLERS} callers, submit to outcome, per job`)
    for (const line of breakdown(clock.taken, jobs)) log(line)
  })
  return rows
}

/** @returns jobs per second */
async function bulk(folder, jobs) {
  const app = await openApp(folder, { worker: false })
  const seconds = await fill(app, jobs)
  await app.stop()
  return jobs / seconds
}

/** @returns jobs per second from the start of the worker to the last outcome */
async function drain(folder, jobs, { slots, store, clock }) {
  const app = await openApp(folder, { worker: { slots }, ...(store ? { store } : {}) })
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
  return jobs / seconds
}

/** @returns jobs per second from the first submit to the last outcome */
async function callers(folder, jobs, awaitResult, { store, clock } = {}) {
  const app = await openApp(folder, { worker: { slots: CALLERS_SLOTS }, ...(store ? { store } : {}) })
  await app.start()
  const done = ends(app, jobs)
  let left = jobs
  const caller = async () => {
    while (left-- > 0) {
      const handle = await app.submit(noop, INPUT)
      if (awaitResult) await handle.result()
    }
  }
  clock?.reset()
  const began = now()
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await done
  const seconds = (now() - began) / 1000
  if (clock) clock.taken = clock.take()
  await assertFinished(app, jobs)
  await app.stop()
  return jobs / seconds
}
