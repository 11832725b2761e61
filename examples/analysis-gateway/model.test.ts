// Summaries by a language model behind an OpenAI-compatible endpoint: what is asked, what is believed, and what becomes of
// an endpoint that is busy, slow, away or of no use. The endpoint is a server of this test.
import { LOCAL } from 'untildone'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { partsOf } from './lib/text/words.js'
import { type Bench, bench, type FakeModel, fakeModel, type Reply } from './support.js'

const TEXT = 'The harbour bridge closes to cars in 2027. Shop owners fear for their income. A ferry will replace it.'

let model: FakeModel
let gateway: Bench
beforeAll(async () => {
  model = await fakeModel()
  gateway = await bench({ model, modelTimeout: '1s' })
})
beforeEach(() => {
  model.replies = []
  model.asked = []
})
afterEach(() => expect(model.replies).toEqual([]))
afterAll(async () => {
  await gateway?.stop()
  await model?.close()
})

async function summarised(text = TEXT, analyses = ['statistics', 'summary']) {
  const jobId = await gateway.submit({ text, analyses })
  const job = await gateway.ended(jobId)
  const result = (await gateway.get(`/result/${jobId}`)).body
  return { jobId, job, document: result.documents[0], attempts: await gateway.attempts(jobId) }
}

test('a summary, with its model on record', async () => {
  const { jobId, document } = await summarised()
  expect(document.summary).toEqual({ text: 'The harbour bridge closes to cars in 2027.', model: 'teller-1' })
  expect(model.asked).toMatchObject([
    {
      authorization: 'Bearer secret',
      body: { model: 'teller-1', temperature: 0, messages: [{ role: 'system' }, { content: TEXT }] },
    },
  ])
  expect(await gateway.app.engine.decisions(LOCAL, jobId)).toMatchObject([
    { model: 'teller-1', modelVersion: 'three-sentences-1', path: 'summary' },
  ])
})

test.each<[string, Reply[]]>([
  ['429 with Retry-After', [{ status: 429, headers: { 'retry-after': '0' } }]],
  ['500, then 503', [{ status: 500 }, { status: 503 }]],
  ['no answer in time', [{ silent: true }]],
])(
  '%s: tried again, what is on record is kept, and the client sees in_progress and then the end',
  async (_, replies) => {
    model.replies = [...replies]
    const { document, attempts, jobId, job } = await summarised()
    expect(job.status).toBe('completed')
    expect(document.summary.text).toBe('The harbour bridge closes to cars in 2027.')
    expect(attempts.filter((one) => one === 'error transient')).toHaveLength(replies.length)
    const keys = model.asked.map(({ key }) => key)
    expect([keys.length, new Set(keys).size, typeof keys[0]]).toEqual([replies.length + 1, 1, 'string'])
    const steps = await gateway.app.engine.steps(LOCAL, jobId)
    expect(steps.find(({ name }) => name === 'statistics-1')).toMatchObject({ attempt: 1 })
    expect(model.asked).toHaveLength(replies.length + 1)
  },
)

test.each<[string, Reply, string]>([
  ['no answer of a model', { body: '<html>' }, 'the answer is not that of a model'],
  ['nothing', { says: '  ' }, 'the answer is empty'],
  ['a novel', { says: 'word '.repeat(1000) }, 'the answer is longer than any summary'],
  ['a text it does not take', { status: 413, body: '{}' }, 'the endpoint answered 413'],
  ['a number of its own', { says: 'The bridge closes in 2029.' }, 'it says 2029, which does not stand in the text'],
])('%s: a warning, and everything else is there', async (_, reply, why) => {
  model.replies = [reply]
  const { document, job, attempts } = await summarised()
  expect([job.status, document.summary, document.statistics.words]).toEqual(['completed', null, 19])
  expect(job.warnings).toMatchObject([{ code: 'summary-unusable', message: `There is no summary: ${why}.` }])
  expect(attempts.every((one) => !one.startsWith('error'))).toBe(true)
})

test('a refused key waits for whoever runs the service, and then the job goes on', async () => {
  model.replies = [{ status: 401 }]
  const jobId = await gateway.submit({ text: TEXT, analyses: ['statistics', 'summary'] })
  const { engine } = gateway.app
  const blocked = await engine.wait(LOCAL, jobId, { until: 'attention', timeoutMs: 20_000 })
  expect(blocked).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'review' }] })
  const { body } = await gateway.get(`/status/${jobId}`)
  expect(body).toMatchObject({ status: 'in_progress' })
  expect(body.text).toBe('The summary needs somebody who runs this service; nothing is needed from you.')
  await engine.retry(LOCAL, jobId, { reason: 'The key is right now.' })
  expect((await gateway.ended(jobId)).status).toBe('completed')
})

test('a long text is summarised in parts, then the parts, and no part is paid for twice', async () => {
  const long = Array.from({ length: 600 }, (_, i) => `Boat ${i} left the harbour before noon with a full load.`).join(
    '\n\n',
  )
  const parts = partsOf(long, 12_000).length
  expect(parts).toBeGreaterThan(2)
  model.replies = [{ says: 'Boats left.' }, { status: 503 }]
  const { document, job } = await summarised(long, ['summary'])
  expect(job.status).toBe('completed')
  expect(document.summary.text).toBe('Boats left.')
  // Each part, the one that was refused once more, and the parts together.
  expect(model.asked).toHaveLength(parts + 2)
  const last = model.asked.at(-1)!.body.messages[1].content
  expect(last.split('\n\n')).toHaveLength(parts)
})
