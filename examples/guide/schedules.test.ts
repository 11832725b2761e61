/** The snippets of docs/guide/schedules.md. */
import { createUntildone, LOCAL, sqlite } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { createTestRig } from 'untildone/testing'
import { expect, it } from 'vitest'
import { nightly, report, reportHandler } from './schedules.js'

// #region test
it('makes up for a night that was missed', async () => {
  const rig = await createTestRig([reportHandler], { schedules: [nightly], start: Date.UTC(2026, 2, 28, 12) })
  await rig.crash()
  await rig.clock.advance(24 * 3_600_000)
  await rig.restart()
  await rig.untilIdle()

  const { lastJobId, missedCount } = await rig.engine.schedules.get(LOCAL, 'nightly-report')
  expect((await rig.get(lastJobId!)).result).toEqual({ day: '2026-03-29' })
  expect(missedCount).toBe(0)
  await rig.close()
})
// #endregion

it('is managed by a client', async () => {
  // #region embed
  const app = await createUntildone({
    store: sqlite(':memory:'),
    handlers: [reportHandler],
    schedules: [nightly],
  })
  // #endregion
  const listening = await listen(createServer(app.engine), { port: 0 })
  await app.start()
  const client = createClient({ url: listening.url })

  // #region client
  await client.schedules.create(report, { region: 'us' }, { id: 'us-report', every: '15m' })
  await client.schedules.pause('us-report', { reason: 'the source is being moved' })
  const job = await client.schedules.run('us-report', { reason: 'once by hand' })
  const [next] = await client.schedules.upcoming('nightly-report', { count: 1 })
  // #endregion

  expect(next!.text).toMatch(/, 03:30 Europe\/Berlin$/)
  expect(await client.result(job.id)).toEqual({ day: new Date(job.createdAt).toISOString().slice(0, 10) })
  expect((await client.schedules.get('us-report')).statusText).toMatch(/^Paused since .*: the source is being moved\.$/)
  await listening.close()
  await app.stop()
})
