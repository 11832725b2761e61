/** The snippets of docs/guide/testing-jobs.md about replays, and the check of every handler of the guide. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineJob, type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, fake, type ReplayOptions, ReplaySafetyError, type TestRig } from 'untildone/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { announceHandler, refundHandler as paysOutHandler } from './approvals.js'
import { bank, fastEngine, orders, post, robustEngine, shop } from './far-side.js'
import { stampHandler } from './files.js'
import { greetHandler } from './greet.js'
import { helloHandler } from './hello.js'
import { bookHandler, digestHandler, notifyHandler, renderHandler, syncHandler } from './limits.js'
import { type Bank, orderHandler } from './operating.js'
import { reportHandler } from './schedules.js'
import {
  chargeHandler,
  convertHandler,
  countHandler,
  recogniseHandler,
  reserveHandler,
  translateHandler,
  verdictHandler,
} from './steps.js'
import { welcomeHandler } from './within.js'

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
  for (const side of [bank, orders, post, shop, fastEngine, robustEngine]) side.reset()
  shop.stock = 3
  orders.refundable = { '77': 90 }
}
const tills = fake<Bank>(
  'bank',
  {
    reserve: async (sku) => `one ${sku}`,
    release: async () => undefined,
    charge: async () => 'R-17',
    refund: async () => undefined,
  },
  { keyOf: (method, [first, second]) => (method === 'refund' ? second : first) },
)

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
    ['render', renderHandler, { customer: 'acme', page: 1 }, 'completed'],
    ['book', bookHandler, { account: 'a', cents: 5 }, 'completed'],
    ['notify', notifyHandler, { tenant: 'acme', text: 'Hello' }, 'completed'],
    ['sync', syncHandler, { shop: 'berlin', since: '2026-11-01' }, 'completed'],
    ['digest', digestHandler, { user: 'ada' }, 'completed'],
    ['report, submitted by hand', reportHandler, { region: 'eu' }, 'completed'],
    ['welcome', welcomeHandler, { user: 'ada' }, 'completed'],
  ]
  it.each(cases)('%s', async (_, handler, input, ends) => {
    await assertReplaySafe(handler, input, { reset, ends })
  })

  const packed: ReplayOptions['answer'] = (job, rig) => rig.signal(job, 'packed', { tracking: 'TR-1' })
  it('order, packed and never packed', async () => {
    const handler = orderHandler(tills)
    await assertReplaySafe(handler, { sku: 'chair', card: '4242' }, { answer: packed })
    await assertReplaySafe(handler, { sku: 'chair', card: '4242' }, { ends: 'failed' })
  })

  it('refund and announcement, as people decide', async () => {
    let asked = 0
    const begin = () => {
      reset()
      asked = 0
    }
    const approve: ReplayOptions['answer'] = (job, rig) =>
      rig.approve(job, { by: job.blockedOn[0]!.quorum!.filled === 0 ? 'mara' : 'otto', reason: 'Seen.' })
    const wishFirst: ReplayOptions['answer'] = (job, rig) =>
      asked++ === 0
        ? rig.requestChanges(job, { by: 'mara', reason: 'Too short.', changes: [{ text: 'say more' }] })
        : approve(job, rig)
    await assertReplaySafe(paysOutHandler, { order: '77', why: 'It came back.' }, { reset: begin, answer: approve })
    await assertReplaySafe(announceHandler, { product: 'Lamp' }, { reset: begin, answer: wishFirst })
    await assertReplaySafe(paysOutHandler, { order: '77', why: 'It came back.' }, { reset: begin, ends: 'cancelled' })
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

it('no handler of an example is left out', () => {
  const root = join(import.meta.dirname, '..')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const texts = files.map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))
  const checks = texts.flatMap(({ file, text }) =>
    file.endsWith('.test.ts') && text.includes('assertReplaySafe') ? [text] : [],
  )
  const handlers = texts.flatMap(({ file, text }) =>
    file.endsWith('.test.ts')
      ? []
      : [...text.matchAll(/export const (\w+Handler)\b/g)].map(([, name]) => ({ text, name: name! })),
  )
  expect(handlers.length).toBeGreaterThan(30)
  // By its own name, or by that of its type.
  const left = handlers.filter(({ text, name }) => {
    const type = new RegExp(`${name.replace(/Handler$/, '')} = defineJob\\('([^']+)'`).exec(text)?.[1]
    return !checks.some((check) => check.includes(name) || (type && check.includes(`'${type}'`)))
  })
  expect(left.map(({ name }) => name)).toEqual([])
})
