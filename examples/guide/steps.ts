/** The snippets of docs/guide/steps-and-retries.md, as they run in steps.test.ts. */
import { fileURLToPath } from 'node:url'
import { defineJob, Harmless, Permanent, Review, Transient, until } from 'untildone'
import { z } from 'zod'
import { bank, fastEngine, post, robustEngine, shop } from './far-side.js'

// #region step
export const charge = defineJob('charge', {
  input: z.object({ order: z.string(), cents: z.int() }),
  output: z.object({ receipt: z.string() }),
})

export const chargeHandler = charge.handler(async (job) => {
  // Runs once: in every later attempt the value comes from the record.
  const receipt = await job.step('pay', ({ key, signal }) => bank.charge(job.input.cents, { key, signal }))
  // When this one has to be tried again, the bank is not asked again.
  await job.step('mail', () => post.send(`Receipt ${receipt}`))
  return { receipt }
})
// #endregion

// #region read
export const reserve = defineJob('reserve', { input: z.object({ article: z.string() }) })

export const reserveHandler = reserve.handler(async (job) => {
  await job.step('prepare', () => post.send(`Preparing ${job.input.article}`))
  // Runs in every attempt: the stock may have changed since the last one.
  const stock = await job.read('stock', () => shop.inStock(job.input.article))
  if (stock < 1) throw new Permanent('The article is sold out.', { code: 'sold-out' })
  await job.step('reserve', () => post.send(`Reserve ${job.input.article}`))
  return { left: stock - 1 }
})
// #endregion

// #region first
export const recognise = defineJob('recognise', {
  input: z.object({ scan: z.string() }),
  output: z.object({ text: z.string(), engine: z.string() }),
})

export const recogniseHandler = recognise.handler(async (job) => {
  const { engine, value } = await job.first('read', {
    fast: () => fastEngine.read(job.input.scan),
    robust: () => robustEngine.read(job.input.scan),
  })
  return { text: value, engine }
})
// #endregion

// #region process
export const count = defineJob('count', {
  input: z.object({ text: z.string() }),
  output: z.object({ words: z.int(), longest: z.string() }),
})

export const countHandler = count.handler(async (job) => {
  const words = await job.process('count', {
    command: 'wc',
    args: ['-w'],
    stdin: job.input.text,
    timeout: '10s',
    parse: ({ stdout }) => Number(stdout),
  })
  const longest = await job.process('longest', {
    command: process.execPath,
    args: [fileURLToPath(new URL('engines/longest.mjs', import.meta.url))],
    stdin: job.input.text,
    envelope: true,
    parse: ({ envelope }) => z.string().parse(envelope),
  })
  return { words, longest }
})
// #endregion

// #region notes
export const translate = defineJob('translate', {
  input: z.object({ units: z.array(z.string()) }),
  output: z.object({ units: z.array(z.string()) }),
  stages: ['translate', { name: 'check', label: 'Checking the result' }],
})

export const translateHandler = translate.handler(async (job) => {
  const { units } = job.input
  const done: string[] = []
  for (const [i, unit] of units.entries()) {
    job.progress('translate', { completed: i, total: units.length, unit: 'unit', message: `Unit ${i + 1}` })
    // The second and later ones are recorded as unit#2, unit#3 …
    done.push(await job.step('unit', () => unit.toUpperCase()))
  }
  job.progress('check')
  const empty = done.filter((unit) => unit === '').length
  if (empty > 0) job.warn('empty-units', `${empty} of ${done.length} units have no text.`)
  job.log('Translated', { units: done.length, empty })
  return { units: done }
})
// #endregion

// #region verdicts
export const verdict = defineJob('verdict', { input: z.object({ say: z.string() }) })

export const verdictHandler = verdict.handler(async (job) => {
  switch (job.input.say) {
    case 'later':
      throw new Transient('The licence server is busy.', { retryAfterMs: 30_000 })
    case 'never':
      throw new Permanent('The file is password-protected.', { code: 'input-locked' })
    case 'noise':
      throw new Harmless('The ICC profile was ignored.', { code: 'icc-ignored', result: { pages: 3 } })
    case 'ask':
      throw new Review('The two totals differ by 3 cents.', { code: 'totals-differ' })
    default:
      return { pages: 3 }
  }
})
// #endregion

// #region table
export const convert = defineJob('convert', {
  input: z.object({ scan: z.string() }),
  output: z.object({ text: z.string() }),
})

export const convertHandler = convert.handler(
  {
    retry: until({ within: '2h', backoff: { from: '2s', to: '5m' } }),
    timeout: { attempt: '20m' },
    errors: [
      { match: /licence server busy/, is: 'transient' },
      { match: /not a PDF|password required/, is: 'permanent', as: 'bad-input' },
      { match: /font substitution/, is: 'harmless' },
      { exit: 77, is: 'review' },
    ],
    verify: ({ text }) => {
      if (text.includes('DEMO VERSION')) throw new Permanent('The engine ran in demo mode.', { code: 'demo-output' })
    },
  },
  async (job) => {
    const text = await job.step('convert', () => fastEngine.read(job.input.scan), { timeout: '10m', onHarmless: '' })
    return { text }
  },
)
// #endregion

export const handlers = [
  chargeHandler,
  reserveHandler,
  recogniseHandler,
  countHandler,
  translateHandler,
  verdictHandler,
  convertHandler,
]
