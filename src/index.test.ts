// Whether a program stays while its application has something to do. A job between two attempts is nothing but timers.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, defineSchedule, sqlite } from './index.js'
import type { StoreFactory } from './stores/store.js'
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

describe('what cannot be put together leaves no store open', () => {
  const closes: string[] = []
  const store: StoreFactory = {
    async open(env) {
      const opened = await sqlite(':memory:').open(env)
      closes.push('opened')
      const close = opened.close.bind(opened)
      opened.close = () => {
        closes.push('closed')
        return close()
      }
      return opened
    },
  }
  beforeEach(() => void closes.splice(0))

  it('when what was asked for is wrong, it is not even opened', async () => {
    const webhooks = { allow: ['10.0.0.0/99'] }
    await expect(createUntildone({ store, handlers: [handler], filesDir, webhooks })).rejects.toMatchObject({
      code: 'bad-definition',
    })
    expect(closes).toEqual([])
  })

  it.each([
    ['the rules of approvals', { approvals: { tiers: { odd: {} } } as never }],
    ['the transport', { transport: { open: () => Promise.reject(new Error('unfit')) } }],
  ])('when it is %s', async (_, wrong) => {
    await expect(createUntildone({ store, handlers: [handler], filesDir, ...wrong })).rejects.toThrow()
    expect(closes).toEqual(['opened', 'closed'])
  })
})
