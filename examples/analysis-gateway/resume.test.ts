// Processes that die in the middle: whatever the instant, what is on record is not done again and the end is the same.
import { LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, expect, test } from 'vitest'
import { analysisHandler } from './jobs/analysis.js'
import type { Summariser } from './lib/model.js'

/** Counts what it is asked, as a model with a price would. */
let read: string[] = []
const model: Summariser = {
  name: 'counting',
  version: '1',
  async summarise(text) {
    read.push(text)
    return `About ${text.slice(0, 10)}`
  },
}
const handler = analysisHandler({ model })
const INPUT = {
  documents: [
    { name: 'bill', text: 'Invoice 12. Total 99.00, VAT included. Please pay within ten days.' },
    { name: 'letter', text: 'I am very disappointed. Nobody answered my letter, and I want my money back.' },
  ],
  analyses: ['statistics' as const, 'extraction' as const, 'classification' as const, 'summary' as const],
}

let rig: TestRig | undefined
afterEach(async () => {
  await rig?.close()
  rig = undefined
})

test('a crash after each record in turn: each analysis is done once', { timeout: 60_000 }, async () => {
  rig = await createTestRig([handler])
  read = []
  const smooth = await rig.untilDone(await rig.submit('analysis', INPUT))
  expect(smooth.status).toBe('completed')
  expect(read).toHaveLength(2)
  const records = (await rig.engine.steps(LOCAL, smooth.id)).length
  // Two documents with language, three analyses and a summary each, and the stage.
  expect(records).toBe(11)
  for (let nth = 1; nth <= records; nth++) {
    read = []
    const job = await rig.submit('analysis', INPUT)
    const died = rig.crashAt({ op: 'record', when: 'after', nth })
    await rig.settle()
    await died
    await rig.restart()
    const after = await rig.untilDone(job)
    expect(after.result, `crash after record ${nth}`).toEqual(smooth.result)
    expect(read.length, `crash after record ${nth}`).toBe(2)
    const again = (await rig.engine.steps(LOCAL, job.id)).filter(({ attempt }) => attempt === 1)
    expect(again.length, `steps of the first attempt, crash after record ${nth}`).toBeGreaterThanOrEqual(
      Math.min(nth, 8),
    )
  }
})

test('it may be interrupted anywhere', { timeout: 60_000 }, async () => {
  await assertReplaySafe(handler, INPUT)
})
