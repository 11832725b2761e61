/** docs/guide/decisions.md: what its snippets really do. */
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { triage, triageHandler } from './decision.js'
import { model, resetAll } from './far-side.js'

let rig: TestRig
beforeEach(async () => {
  resetAll()
  rig = await createTestRig([triageHandler] as JobHandler[])
})
afterEach(() => rig.close())
const input = { letter: 'I want a refund.' }

it('keeps what decided, once, over attempts', async () => {
  const gone = rig.crashAt({ op: 'move', when: 'before' })
  const { id } = await rig.submit(triage, input)
  await gone
  await rig.restart()
  expect((await rig.untilDone(id)).result).toEqual({ label: 'refund' })
  expect(model.calls.classify).toBe(1)
  // #region read
  const [entry] = await rig.engine.decisions(LOCAL, id)
  // #endregion
  expect(entry).toMatchObject({ model: 'triage-large', path: 'triage/refund', tools: [], fields: { score: 0.93 } })
})

it('says where a failure came from', async () => {
  model.classify = async () => ({ label: 'refund', score: 0.4 })
  const { id } = await rig.submit(triage, input)
  await rig.advance('1m')
  expect((await rig.get(id)).error).toMatchObject({ origin: 'model', code: 'not-sure' })
  delete (model as { classify?: unknown }).classify
})

it('can be interrupted anywhere', async () => {
  await assertReplaySafe(triageHandler, input, { reset: resetAll })
})
