// (c) How long after submit() was called the handler runs, on an engine that has nothing else to do. In between lies one
// commit with its fsync: submit and claim share it.
import { defineJob } from './lib/product.mjs'
import { percentile } from './lib/sample.mjs'
import { INPUT, inFolder, noop, now, openApp, sleep } from './lib/tools.mjs'

export async function measure({ quick, runs, dir }) {
  const count = quick ? 300 : 2000
  const medians = []
  const tails = []
  for (let run = 0; run < runs; run++) {
    const waited = await inFolder(dir, (folder) => once(folder, count))
    medians.push(percentile(waited, 0.5))
    tails.push(percentile(waited, 0.99))
  }
  const row = (name, values, aim) => ({ figure: 'c', name, unit: 'ms', values, aim })
  return [row('submit → handler start, p50', medians, { below: 1 }), row('submit → handler start, p99', tails)]
}

/** @returns sorted milliseconds */
async function once(folder, count) {
  let started
  const definition = defineJob('noop', { input: noop.input })
  const handler = definition.handler(() => {
    started(now())
    return null
  })
  const app = await openApp(folder, { handlers: [handler] })
  await app.start()
  const waited = []
  for (let i = 0; i < count + 50; i++) {
    const start = new Promise((resolve) => {
      started = resolve
    })
    const began = now()
    const handle = await app.submit(definition, INPUT)
    const ms = (await start) - began
    if (i >= 50) waited.push(ms)
    await handle.result()
    // Idle means idle: the loop has gone to sleep before the next one comes.
    await sleep(2)
  }
  await app.stop()
  return waited.sort((a, b) => a - b)
}
