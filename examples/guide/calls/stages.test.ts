/** docs/guide/stages-and-queues.md: what its snippets really do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig } from 'untildone/testing'
import { beforeEach, expect, it } from 'vitest'
import { HttpError } from '../far-side.js'
import { carrier, printer, resetAll } from './far-side.js'
import { letter, letterHandler, start } from './stage.js'

beforeEach(resetAll)

it('each stage is done by the worker of its queue, one letter at a time at the printer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'untildone-letters-'))
  const app = await start(folder)
  const handles = await Promise.all(
    ['Ada', 'Grace', 'Edsger'].map((to) => app.submit(letter, { to, text: 'Come and see.' })),
  )
  const results = await Promise.all(handles.map((handle) => handle.result()))
  expect(results.map(({ tracking }) => tracking)).toEqual(
    ['Ada', 'Grace', 'Edsger'].map((to) => `2 pages to ${to}, 1 Main Street`),
  )
  expect(printer.most).toBe(1)
  const { engine } = app
  const { id } = handles[0]!
  expect((await engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['suspended', 'suspended', 'ok'])
  expect(new Set((await engine.attempts(LOCAL, id)).map(({ workerId }) => workerId)).size).toBe(3)
  expect((await engine.steps(LOCAL, id)).map(({ name }) => name)).toEqual([
    ...['intake/address', 'intake', 'print/print', 'print', 'send/send', 'send'],
  ])
  await app.stop()
  rmSync(folder, { recursive: true })
})

it('a job whose next stage nobody serves waits, and says so', async () => {
  const rig = await createTestRig([letterHandler], { worker: [{ queues: ['intake'] }, { queues: ['printers'] }] })
  const { id } = await rig.submit(letter, { to: 'Ada', text: 'Hi' })
  await rig.advance('10s')
  const job = await rig.get(id)
  // #region nobody
  expect(job.status).toBe('processing')
  expect(job.statusText).toMatch(/no worker for "letter" in queue "carriers" since \d+ s/)
  expect(job.progress?.stages.map(({ label, state }) => `${label}: ${state}`)).toEqual([
    'Intake: done',
    'Print: done',
    'On its way: active',
  ])
  // #endregion
  await rig.restart(undefined, {})
  expect((await rig.untilDone(id)).status).toBe('completed')
  expect(printer.calls.print).toBe(1)
  await rig.close()
})

it('a stage has its own budget, and what is before it is not done again', async () => {
  const rig = await createTestRig([letterHandler], {})
  printer.trouble.print = [1, 2, 3, 4].map(() => new HttpError(503))
  const { id } = await rig.submit(letter, { to: 'Ada', text: 'Hi' })
  expect((await rig.untilDone(id)).status).toBe('completed')
  expect([printer.calls.print, carrier.calls.send]).toEqual([5, 1])

  printer.reset()
  printer.trouble.print = [1, 2, 3, 4, 5].map(() => new HttpError(503))
  const other = await rig.submit(letter, { to: 'Grace', text: 'Hi' })
  expect(await rig.untilDone(other)).toMatchObject({
    status: 'failed',
    error: { code: 'exhausted', step: 'print/print' },
  })
  await rig.close()
})

it('can be interrupted anywhere', async () => {
  await assertReplaySafe(letterHandler, { to: 'Ada', text: 'Hi' }, { reset: resetAll })
})
