// Whether a program stays while its application has something to do. A job between two attempts is nothing but timers.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, defineSchedule, sqlite } from './index.js'
import { systemClock } from './system/index.js'

let filesDir: string
let alive: number
const clock = {
  ...systemClock,
  keepAlive: () => {
    alive += 1
    let held = 1
    return {
      cancel: () => {
        alive -= held
        held = 0
      },
    }
  },
}
const work = defineJob('work', { input: z.object({}) })
const handler = work.handler(async () => {})

beforeEach(() => {
  filesDir = mkdtempSync(join(tmpdir(), 'untildone-alive-'))
  alive = 0
})
afterEach(() => rmSync(filesDir, { recursive: true, force: true }))

it.each([
  ['with a worker', undefined],
  ['without one', false as const],
])('keeps the process alive from start() to the end of stop(), %s', async (_, worker) => {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers: [handler], filesDir, clock, worker })
  expect(alive).toBe(0)
  await app.start()
  expect(alive).toBe(1)
  const stopping = app.stop()
  expect(alive).toBe(1)
  await stopping
  expect(alive).toBe(0)
})

it('lets the process end when it cannot start', async () => {
  const unknown = defineSchedule({ id: 'nightly', definition: work, input: {}, cron: 'never' })
  const app = await createUntildone({
    store: sqlite(':memory:'),
    handlers: [handler],
    schedules: [unknown],
    filesDir,
    clock,
  })
  await expect(app.start()).rejects.toThrow()
  expect(alive).toBe(0)
  await app.stop()
  expect(alive).toBe(0)
})
