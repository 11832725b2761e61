/** docs/guide/deploys.md: what its snippets really do. */
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { mail, resetAll } from './far-side.js'
import { first, firstHandler, report, reportHandler, second, secondHandler } from './upgrade.js'

let rig: TestRig
beforeEach(resetAll)
afterEach(() => rig.close())
const open = async (handler: JobHandler<any, any>) => {
  rig = await createTestRig([handler as JobHandler])
}
const deploy = (handler: JobHandler<any, any>) => rig.restart([handler as JobHandler])

it('a job that waits goes on with the new code: what is recorded stays, the input is upgraded', async () => {
  await open(firstHandler)
  const { id } = await rig.submit(first, { name: 'Ada' })
  await rig.advance('1h')
  await deploy(secondHandler)
  expect((await rig.untilDone(id, '2d')).status).toBe('completed')
  expect(mail.done).toEqual(['Greet Ada', 'Hello Ada'])
  expect(mail.calls.send).toBe(2)
})

it('a producer that was built against the old version may go on', async () => {
  await open(secondHandler)
  // #region producer
  const { id } = await rig.submit('greet-later', { name: 'Ada' }, { typeVersion: '1' })
  // #endregion
  expect((await rig.untilDone(id, '2d')).status).toBe('completed')
  expect(mail.done).toEqual(['Greet Ada', 'Hello Ada'])
  await expect(rig.submit('greet-later', { name: 'Ada' })).rejects.toMatchObject({ code: 'input-invalid' })
})

it('a deploy that is taken back fails nothing: what the old code cannot read waits for a person', async () => {
  await open(secondHandler)
  const { id } = await rig.submit(second, { names: ['Ada', 'Grace'], language: 'de' })
  await rig.advance('1h')
  await deploy(firstHandler)
  await rig.advance('2d')
  expect(await rig.get(id)).toMatchObject({
    status: 'blocked',
    error: { code: 'code-changed', details: { pointer: '/input/name', fromVersion: '2' } },
  })
  await deploy(secondHandler)
  await rig.engine.retry(LOCAL, id, { reason: 'Version 2 is back.' })
  expect((await rig.untilDone(id, '2d')).status).toBe('completed')
  expect(mail.done).toEqual(['Greet Ada and Grace', 'Hallo Ada, Grace'])
})

it('a step that became something else blocks the job instead of guessing', async () => {
  await open(firstHandler)
  const { id } = await rig.submit(first, { name: 'Ada' })
  await rig.advance('1h')
  await deploy(
    first.handler(async (job) => {
      await job.sleep('note', '1h')
    }),
  )
  await rig.advance('2d')
  expect((await rig.get(id)).error).toMatchObject({
    code: 'code-changed',
    message: '"note" was recorded as a step, and the present code has it as a sleep.',
  })
})

it('a pinned job waits for a worker of its version, and says so', async () => {
  await open(reportHandler('1'))
  const { id } = await rig.submit(report, { day: 'Monday' })
  await rig.settle()
  await deploy(reportHandler('2'))
  await rig.advance('2h')
  expect((await rig.get(id)).statusText).toMatch(/no worker for version 1 of "report" in queue "default" since/)
  await deploy(reportHandler('1'))
  expect((await rig.untilDone(id)).result).toBe('Monday, by version 1')
})

it('can be interrupted anywhere', async () => {
  await open(firstHandler)
  await assertReplaySafe(firstHandler, { name: 'Ada' }, { reset: resetAll })
  await assertReplaySafe(secondHandler, { names: ['Ada'], language: 'en' }, { reset: resetAll })
  await assertReplaySafe(reportHandler('1'), { day: 'Monday' })
})
