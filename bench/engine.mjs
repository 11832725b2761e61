// (b) No-op jobs through the whole engine (submit → run → outcome), beside the floor: in bulk, drained from a backlog, and
// with 64 callers who submit one at a time while the worker runs.
import { join } from 'node:path'
import { measureFloor } from './floor.mjs'
import { breakdown, profiledStore } from './lib/profile.mjs'
import { median } from './lib/sample.mjs'
import { assertFinished, ends, fill, INPUT, inFolder, noop, now, openApp, repeat } from './lib/tools.mjs'

const SLOTS = [16, 64, 256]
const CALLERS = 64
/** The callers' worker has as many slots as there are callers. */
const CALLERS_SLOTS = 64

export async function measure({ quick, log, ...how }) {
  const jobs = quick ? 10_000 : 60_000
  const floor = await measureFloor({ jobs, ...how })
  const rows = []
  const row = (name, values, beside, aim) =>
    rows.push({ figure: 'b', name, unit: 'jobs/s', values, value: median(values), beside, aim })

  const submits = await repeat(how, async (folder) => {
    const app = await openApp(folder, { worker: false })
    const seconds = await fill(app, jobs)
    await app.stop()
    return jobs / seconds
  })
  row('bulk submit, batches of 500', submits, ['rows of a submit', floor.submit.value], { ratio: 0.3 })

  for (const slots of SLOTS) {
    const values = await repeat(how, (folder) => drain(folder, jobs, { slots }))
    row(`drain a backlog, ${slots} slots`, values, ['rows of claim + complete', floor.drain.value], {
      ratio: 0.3,
      ...(slots === 64 ? { atLeast: 20_000 } : {}),
    })
  }

  const submitting = await repeat(how, (folder) => callers(folder, jobs, false))
  row(`${CALLERS} callers, each awaits its submit`, submitting, ['rows of a whole life', floor.whole.value], {
    ratio: 0.3,
    atLeast: 15_000,
  })
  const finishing = await repeat(how, (folder) => callers(folder, jobs, true))
  row(`${CALLERS} callers, each awaits its result`, finishing, ['rows of a whole life', floor.whole.value])

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
