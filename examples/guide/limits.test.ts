/** docs/guide/limits.md: what each of its snippets really does. */
import { createUntildone, sqlite } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  book,
  bookHandler,
  digest,
  digestHandler,
  ledger,
  notify,
  notifyHandler,
  render,
  renderer,
  renderHandler,
  sent,
  sync,
  syncHandler,
} from './limits.js'

const handlers = [renderHandler, bookHandler, notifyHandler, syncHandler, digestHandler]
let rig: TestRig
beforeEach(async () => {
  ledger.length = 0
  sent.length = 0
  rig = await createTestRig(handlers)
})
afterEach(() => rig.close())

it('concurrency: two pages of a customer at once, whoever else is rendered', async () => {
  const pages = Array.from({ length: 12 }, (_, page) => ({ customer: page % 2 ? 'acme' : 'zenith', page }))
  const jobs = await Promise.all(pages.map((page) => rig.submit(render, page)))
  await rig.untilIdle()
  for (const job of jobs) expect((await rig.get(job)).status).toBe('completed')
  expect(renderer.most).toBe(2)
})

it('order: one account after the other, in the order of the submits', async () => {
  for (const cents of [100, -30, -70]) await rig.submit(book, { account: 'a-1', cents })
  await rig.untilIdle()
  expect(ledger).toEqual(['a-1 100 40', 'a-1 -30 40', 'a-1 -70 40'])
})

it('rate: five at once, then one every two seconds', async () => {
  const jobs = await Promise.all(
    Array.from({ length: 7 }, (_, n) => rig.submit(notify, { tenant: 'acme', text: `${n}` })),
  )
  await rig.settle()
  expect(sent).toHaveLength(5)
  expect((await rig.get(jobs[5]!)).statusText).toMatch(/^Waiting: at most 30 in 1 m start for acme; it starts /)
  await rig.advance('2s')
  expect(sent).toHaveLength(6)
  await rig.untilIdle()
})

it('unique: the second submit is the first job', async () => {
  const first = await rig.submit(sync, { shop: 'berlin', since: '2026-11-01' })
  const second = await rig.submit(sync, { shop: 'berlin', since: '2026-11-02' })
  expect(second.duplicateOf).toBe(first.id)
  await rig.untilDone(first)
  expect((await rig.submit(sync, { shop: 'berlin', since: '2026-11-03' })).duplicateOf).toBeNull()
  await rig.untilIdle()
})

it('window: refused for ten minutes, done or not', async () => {
  await rig.untilDone(await rig.submit(digest, { user: 'ada' }))
  await expect(rig.submit(digest, { user: 'ada' })).rejects.toMatchObject({ code: 'duplicate-operation' })
  await rig.advance('10m')
  expect((await rig.submit(digest, { user: 'ada' })).duplicateOf).toBeNull()
})

it('is managed by a client', async () => {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers, worker: false })
  const listening = await listen(createServer(app.engine), { port: 0 })
  await app.start()
  const client = createClient({ url: listening.url })

  // #region client
  const handle = await client.submit(sync, { shop: 'berlin', since: '2026-11-01' }, { onDuplicate: 'replace' })
  if (handle.duplicateOf !== null) console.log(`nothing was stored: ${handle.duplicateOf} is there`)

  await client.pauseType('render', { reason: 'the renderer is being replaced' })
  const [queue] = await client.queues.list()
  console.log(`${queue!.name}: ${queue!.depth} waiting, ${queue!.held} of them held`)
  await client.resumeType('render')
  // #endregion

  expect(handle.duplicateOf).toBeNull()
  expect(queue).toMatchObject({ name: 'default', depth: 1, held: 0 })
  await listening.close()
  await app.stop()
})
