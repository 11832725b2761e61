/** The snippets of docs/guide/testing-jobs.md about replays, and the check of every handler of the guide. */
import { defineJob, type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, fake, ReplaySafetyError, type TestRig } from 'untildone/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { bank, fastEngine, post, robustEngine, shop } from './far-side.js'
import { stampHandler } from './files.js'
import { greetHandler } from './greet.js'
import { helloHandler } from './hello.js'
import {
  chargeHandler,
  convertHandler,
  countHandler,
  recogniseHandler,
  reserveHandler,
  translateHandler,
  verdictHandler,
} from './steps.js'

// #region assert
it('can be interrupted anywhere', async () => {
  await assertReplaySafe(chargeHandler, { order: 'o-1', cents: 990 }, { reset: () => bank.reset() })
})
// #endregion

// #region fake
const payments = fake('payments', {
  refund: async (order: string, _cents: number, _key: string) => ({ receipt: `r-${order}` }),
})

const refund = defineJob('refund', { input: z.object({ order: z.string(), cents: z.int() }) })

const refundHandler = refund.handler(async (job) => {
  const { order, cents } = job.input
  return job.step('refund', ({ key }) => payments.refund(order, cents, key))
})

it('refunds once per key', async () => {
  await assertReplaySafe(refundHandler, { order: 'o-1', cents: 500 })
})
// #endregion

it('says what is wrong with a key of its own', async () => {
  const handler = refund.handler(async (job) => {
    const { order, cents } = job.input
    return job.step('refund', () => payments.refund(order, cents, `${order}-${Date.now()}`))
  })
  const error = await assertReplaySafe(handler, { order: 'o-1', cents: 500 }).catch((error) => error)
  expect(error).toBeInstanceOf(ReplaySafetyError)
  expect(error.findings).toMatchObject([{ kind: 'effect-key-differs', file: import.meta.filename, step: 'refund' }])
})

const reset = () => {
  for (const side of [bank, post, shop, fastEngine, robustEngine]) side.reset()
  shop.stock = 3
}

describe('every handler of the guide', () => {
  const cases: [string, JobHandler, unknown, 'completed' | 'failed' | 'blocked'][] = [
    ['charge', chargeHandler, { order: 'o-1', cents: 990 }, 'completed'],
    ['reserve', reserveHandler, { article: 'lamp' }, 'completed'],
    ['recognise', recogniseHandler, { scan: 'abc' }, 'completed'],
    ['count', countHandler, { text: 'one three five' }, 'completed'],
    ['translate', translateHandler, { units: ['a', '', 'c'] }, 'completed'],
    ['verdict', verdictHandler, { say: 'nothing' }, 'completed'],
    ['verdict, never', verdictHandler, { say: 'never' }, 'failed'],
    ['verdict, noise', verdictHandler, { say: 'noise' }, 'completed'],
    ['verdict, ask', verdictHandler, { say: 'ask' }, 'blocked'],
    ['convert', convertHandler, { scan: 'abc' }, 'completed'],
    ['greet', greetHandler, { name: 'Ada' }, 'completed'],
    ['hello', helloHandler, { name: 'Ada' }, 'completed'],
  ]
  it.each(cases)('%s', async (_, handler, input, ends) => {
    await assertReplaySafe(handler, input, { reset, ends })
  })

  it('stamp, with a file of each run', async () => {
    await assertReplaySafe(stampHandler, async (rig: TestRig) => {
      const bytes = (async function* () {
        yield Buffer.from('A letter\n')
      })()
      const meta = { contentType: 'text/plain', name: 'letter.txt', maxBytes: 1000 }
      return { document: (await rig.engine.addFile(LOCAL, bytes, meta)).file }
    })
  })
})
