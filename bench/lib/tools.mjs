// What all figures share: folders that vanish, the no-op job with its input of about 200 bytes.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { createUntildone, defineJob, LOCAL, sqlite } from './product.mjs'

export const now = () => performance.now()
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** For throughput, of every worker process, ours and others': young objects have more room (docs/guide/scaling.md). */
export const THROUGHPUT_FLAGS = ['--max-semi-space-size=64']

/** A fresh folder below `dir` for the time of `use`. */
export async function inFolder(dir, use) {
  mkdirSync(dir, { recursive: true })
  const folder = mkdtempSync(join(dir, 'run-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `runs` times in fresh folders; an array of what `once` answered. */
export async function repeat({ runs, dir }, once) {
  const answers = []
  for (let i = 0; i < runs; i++) answers.push(await inFolder(dir, once))
  return answers
}

/** With its envelope, `{"type":"noop","input":…}`, about 200 bytes of JSON. */
export const INPUT = {
  to: 'ada@example.org',
  subject: 'Your report is ready',
  text: 'lorem ipsum dolor sit amet '.repeat(4),
}
export const noop = defineJob('noop', {
  input: z.object({ to: z.string(), subject: z.string(), text: z.string() }),
})
export const noopHandler = noop.handler(async () => null)

/** An app over a database in `folder`, not started. `options.store` replaces the store. */
export function openApp(folder, options = {}) {
  return createUntildone({
    store: sqlite(join(folder, 'bench.db')),
    handlers: [noopHandler],
    filesDir: join(folder, 'files'),
    ...options,
  })
}

/** Bulk submit in batches of 500. @returns seconds */
export async function fill(app, count) {
  const began = now()
  for (let left = count; left > 0; left -= 500) {
    const items = Array.from({ length: Math.min(500, left) }, () => ({
      body: { type: 'noop', input: INPUT },
      key: null,
    }))
    await app.engine.submitBatch(LOCAL, items, null)
  }
  return (now() - began) / 1000
}

/** Resolves when `count` more jobs have ended. */
export function ends(app, count) {
  return new Promise((resolve) => {
    const stop = app.engine.onChange((changes) => {
      for (const { done } of changes) if (done) count--
      if (count > 0) return
      stop()
      resolve()
    })
  })
}

/** Asks the store itself, so that no figure rests on jobs that are not there. */
export async function assertFinished(app, count) {
  const { finished, unfinished } = await app.engine.check(LOCAL)
  if (finished !== count || unfinished !== 0)
    throw new Error(`${finished} jobs are finished and ${unfinished} are not; ${count} were expected to be.`)
}
