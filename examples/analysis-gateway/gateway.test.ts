// The three calls over HTTP, as a client of any language makes them, and each way in which they can be refused. Real server,
// real store, real work.
import { DEFAULT_LIMITS } from 'untildone/server'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FILE_MAX, REQUEST_MAX } from './jobs/contract.js'
import { type Bench, bench, type FakeModel, fakeModel } from './support.js'

const TEXT =
  'Invoice 2041 from Harbour Lights GmbH. The total is €1,234.50, including 19 % VAT, and is due on 12 March 2026. ' +
  'Please pay to DE89 3704 0044 0532 0130 00 and mail Dr. Anna Berg at billing@harbour.example.'
const PROBLEM = 'application/problem+json'

let gateway: Bench
beforeAll(async () => {
  gateway = await bench({ limits: { bodyBytes: 400_000 } })
})
afterAll(() => gateway?.stop())

describe('submit, status, result', () => {
  test('202 with the id, then the words, then what was found', async () => {
    const { status, headers, body } = await gateway.post({ text: TEXT })
    expect(status).toBe(202)
    expect(body).toEqual({
      jobId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      status: 'pending',
      statusUrl: `/api/v1/analysis/status/${body.jobId}`,
    })
    expect(headers.get('location')).toBe(body.statusUrl)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    await gateway.ended(body.jobId)
    const after = await gateway.get(`/status/${body.jobId}`)
    expect(after.body).toMatchObject({
      ...{ jobId: body.jobId, status: 'completed', text: 'Completed.', warnings: [] },
      progress: { stage: 'finished', documentsDone: 1, documents: 1 },
    })
    const late = await gateway.send('POST', `/cancel/${body.jobId}`)
    expect([late.status, late.type, late.body.code]).toEqual([409, PROBLEM, 'analysis-already-ended'])
    // Final: nobody need ask again.
    expect(after.headers.has('retry-after')).toBe(false)
    const result = await gateway.get(`/result/${body.jobId}`)
    expect(result.status).toBe(200)
    const [document] = result.body.documents
    expect(document.language.code).toBe('en')
    expect(document.statistics).toMatchObject({ words: 37, sentences: 3, paragraphs: 1 })
    expect(document.extraction.entities.map(({ kind, value }: any) => `${kind}: ${value}`)).toEqual([
      'organisation: Harbour Lights GmbH',
      'amount: 1234.50 EUR',
      'percentage: 19 %',
      'date: 2026-03-12',
      'iban: DE89370400440532013000',
      'person: Anna Berg',
      'email: billing@harbour.example',
    ])
    for (const { text, at } of document.extraction.entities) expect(TEXT.slice(at, at + text.length)).toBe(text)
    expect(document.classification).toMatchObject({ label: 'invoice', classifier: expect.stringMatching(/^bayes-/) })
    // Byte for byte the same for whoever asks again.
    const again = await gateway.get(`/result/${body.jobId}`, { 'if-none-match': result.headers.get('etag')! })
    expect(again.status).toBe(304)
  })

  test('only what was asked for, for several documents with names', async () => {
    const jobId = await gateway.submit({
      documents: [
        { name: 'a', text: 'The train was late. The train was full.' },
        { name: 'b', text: 'Der Zug kam zu spät, und er war voll bis auf den letzten Platz.' },
      ],
      analyses: ['statistics'],
      topTerms: 1,
    })
    await gateway.ended(jobId)
    const { documents } = (await gateway.get(`/result/${jobId}`)).body
    expect(documents.map(({ name, language }: any) => [name, language.code])).toEqual([
      ['a', 'en'],
      ['b', 'de'],
    ])
    expect(Object.keys(documents[0])).toEqual(['name', 'language', 'statistics'])
    expect(documents[0].statistics).toMatchObject({ terms: [{ text: 'train', count: 2 }], sentences: 2 })
    // A formula for English says nothing about German.
    expect(documents[1].statistics.readability).toMatchObject({ readingEase: null, lix: expect.any(Number) })
  })

  test('a text that is a file', async () => {
    const bytes = new TextEncoder().encode(`${TEXT}\n`.repeat(3000))
    expect(bytes.length).toBeGreaterThan(500_000)
    const headers = {
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="big.txt"',
    }
    const stored = await fetch(`${gateway.url}/v1/files`, { method: 'POST', headers, body: bytes })
    const { file } = (await stored.json()) as { file: string }
    const jobId = await gateway.submit({ file })
    expect((await gateway.ended(jobId)).status).toBe('completed')
    const [document] = (await gateway.get(`/result/${jobId}`)).body.documents
    expect(document.name).toBe('big.txt')
    expect(document.extraction.counts).toMatchObject({ iban: 3000, amount: 3000 })
    expect(document.extraction.entities).toHaveLength(500)
    const { warnings } = (await gateway.get(`/status/${jobId}`)).body
    expect(warnings).toMatchObject([
      { code: 'extraction-cut', message: 'big.txt: 21000 were found; the first 500 are shown.' },
    ])
  })

  test('a file that is no text: failed at once, with the reason', async () => {
    const headers = { 'content-type': 'application/octet-stream' }
    const stored = await fetch(`${gateway.url}/v1/files`, {
      method: 'POST',
      headers,
      body: new Uint8Array([255, 216, 0, 1]),
    })
    const { file } = (await stored.json()) as { file: string }
    const jobId = await gateway.submit({ file })
    await gateway.ended(jobId)
    expect(await gateway.attempts(jobId)).toEqual(['error permanent'])
    const why = ['The file cannot be analysed: it is no text in UTF-8.']
    expect((await gateway.get(`/status/${jobId}`)).body).toMatchObject({ status: 'failed', errors: why })
    const { status, type, body } = await gateway.get(`/result/${jobId}`)
    expect([status, type]).toEqual([409, PROBLEM])
    expect(body).toMatchObject({ code: 'analysis-failed', analysis: 'failed', errors: why, jobId })
    expect(body.fix).toContain('another Idempotency-Key')
  })

  test('what cannot be relied on is said with it', async () => {
    const cases: [string, string[]][] = [
      ['Сегодня хорошая погода.', ['classification-unsure', 'language-unsure']],
      ['Der Zug kam zu spät, und er war voll bis auf den letzten Platz.', ['classification-unsure']],
      ['Quartz zebras vex jumpy dogs.', ['classification-unsure', 'language-unsure']],
      [
        `${'please pay the invoice with the total that is due by the end of the month '.repeat(20)}`,
        ['sentences-unsure'],
      ],
    ]
    for (const [text, codes] of cases) {
      const jobId = await gateway.submit({ text })
      await gateway.ended(jobId)
      const { warnings } = (await gateway.get(`/status/${jobId}`)).body
      expect(warnings.map(({ code }: any) => code).sort(), text).toEqual(codes)
    }
  })
})

describe('the same request twice', () => {
  test('one key is one analysis, also under another door', async () => {
    const headers = { 'idempotency-key': 'order-9917' }
    const first = await gateway.post({ text: TEXT }, headers)
    const second = await gateway.post({ text: TEXT }, headers)
    expect([first.status, second.status]).toEqual([202, 202])
    expect(second.body.jobId).toBe(first.body.jobId)
    expect([first, second].map((one) => one.headers.get('idempotent-replayed'))).toEqual([null, 'true'])
    await gateway.ended(first.body.jobId)
    expect((await gateway.post({ text: TEXT }, headers)).body).toMatchObject({ status: 'completed' })
    const other = await gateway.post({ text: 'another text' }, headers)
    expect([other.status, other.body.code]).toEqual([422, 'idempotency-key-reused'])
    expect(other.body.fix).toBe('Use a new key, or send the same body.')
  })

  test('ten at the same moment are one', async () => {
    const send = () => gateway.post({ text: TEXT }, { 'idempotency-key': 'at-once' })
    const answers = await Promise.all(Array.from({ length: 10 }, send))
    expect(new Set(answers.map(({ body }) => body.jobId)).size).toBe(1)
  })
})

describe('what is refused, and what is said', () => {
  const said = async (json: unknown) => {
    const { status, type, body } = await gateway.post(json)
    expect(type).toBe(PROBLEM)
    expect(body.fix, body.code).toMatch(/\w/)
    return [status, body.code, ...body.errors.map(({ pointer, message }: any) => `${pointer} ${message}`)]
  }

  test.each<[string, unknown, string[]]>([
    ['nothing', {}, [' must have exactly one of text, documents, file; there is none of them']],
    [
      'two of it',
      { text: 'a', documents: [{ name: 'b', text: 'c' }] },
      [' must have exactly one of text, documents, file; here are text and documents'],
    ],
    [
      'a member with a slip',
      { text: 'a', analysis: ['statistics'] },
      [' has unknown members: analysis; known are text, documents, file, analyses, topTerms'],
    ],
    ['no words', { text: '...' }, ['/text has no letter and no digit; send the text that is to be analysed']],
    [
      'an analysis that there is not',
      { text: 'a', analyses: ['statistics', 'sentiment'] },
      ['/analyses/1 must be one of statistics, extraction, classification, summary'],
    ],
    [
      'a summary without a model',
      { text: 'a', analyses: ['summary'] },
      ['/analyses/0 summary needs a language model, and this gateway has none; leave it out'],
    ],
    [
      'no analysis',
      { text: 'a', analyses: [] },
      ['/analyses is empty; leave it out for statistics, extraction and classification'],
    ],
    [
      'one name twice',
      { documents: ['a', 'b', 'a'].map((name) => ({ name, text: 'x' })) },
      ['/documents/2/name "a" is there twice'],
    ],
    ['a document without a text', { documents: [{ name: 'a' }] }, ['/documents/0/text is required']],
    [
      'too many documents',
      { documents: Array.from({ length: 51 }, (_, i) => ({ name: `d${i}`, text: 'x' })) },
      ['/documents has more than 50 documents; send several requests'],
    ],
    [
      'a long text',
      { text: 'a'.repeat(200_001) },
      ['/text has more than 200000 characters; upload it with POST /v1/files and send the id as `file`'],
    ],
  ])('%s', async (_, json, errors) => {
    expect(await said(json)).toEqual([422, 'input-invalid', ...errors])
  })

  test.each<[string, unknown, string[]]>([
    ['a list', [], [' must be an object, like {"text":"…"}']],
    ['a text', '"a"', [' must be an object, like {"text":"…"}']],
    ['a text that is a number', { text: 7 }, ['/text must be text']],
    ['documents that are none', { documents: 'a' }, ['/documents must be a list, like [{"name":"…","text":"…"}]']],
    ['a document that is none', { documents: ['a'] }, ['/documents/0 must be an object, like {"name":"…","text":"…"}']],
    ['a name that is a number', { documents: [{ name: 1, text: 'a' }] }, ['/documents/0/name must be text']],
    [
      'analyses that are no list',
      { text: 'a', analyses: 'summary' },
      ['/analyses must be a list of statistics, extraction, classification, summary'],
    ],
    ['no terms', { text: 'a', topTerms: 0 }, ['/topTerms must be a whole number from 1 to 50']],
    ['many terms', { text: 'a', topTerms: 51 }, ['/topTerms must be a whole number from 1 to 50']],
    ['half a term', { text: 'a', topTerms: 1.5 }, ['/topTerms must be a whole number from 1 to 50']],
    ['terms in words', { text: 'a', topTerms: 'ten' }, ['/topTerms must be a whole number from 1 to 50']],
  ])('%s is told in a sentence', async (_, json, errors) => {
    expect(await said(json)).toEqual([422, 'input-invalid', ...errors])
  })

  test('the bytes that a request and a file may have are those that the document names', async () => {
    const { paths } = (await gateway.get('/openapi.json')).body
    const { schema } = paths['/api/v1/analysis'].post.requestBody.content['application/json']
    const { file, text, documents } = schema.properties
    // Also where the command serves this facade, with limits of its own.
    expect(REQUEST_MAX).toBe(DEFAULT_LIMITS.inputBytes)
    expect([schema.description, text.description, documents.description]).toEqual(
      Array(3).fill(expect.stringContaining(`${REQUEST_MAX} bytes`)),
    )
    expect(file.description).toContain(`${FILE_MAX} bytes`)
    const upload = (bytes: number) =>
      fetch(`${gateway.url}/v1/files`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/octet-stream' } },
        body: new Uint8Array(bytes).fill(97),
      })
    expect([(await upload(FILE_MAX)).status, (await upload(FILE_MAX + 1)).status]).toEqual([201, 413])
    const large = { text: 'Слово '.repeat(33_000) }
    const { status, body } = await gateway.post(large)
    expect([status, body.code, body.detail]).toEqual([
      ...[413, 'payload-too-large', `The input is larger than ${REQUEST_MAX} bytes.`],
    ])
    expect(body.fix).toContain('POST /v1/files')
  })

  test('a body that is too large, broken or of another type', async () => {
    expect(await said({ text: 'a'.repeat(500_000) })).toEqual([413, 'payload-too-large'])
    expect(await said('{"text"')).toEqual([400, 'malformed-request'])
    const form = await gateway.send('POST', '', 'text=a', { 'content-type': 'application/x-www-form-urlencoded' })
    expect([form.status, form.body.code, form.body.fix]).toEqual([
      ...[415, 'unsupported-media-type', 'Send `Content-Type: application/json`.'],
    ])
    expect((await gateway.get('')).body.analyses.length).toBeGreaterThan(0)
  })

  test('an id that nobody has', async () => {
    for (const id of ['8f2c5d90-3a17-4b3e-9c4e-7fa8b1d6e8a2', 'x', '__proto__', '%00', '..%2f..']) {
      for (const [method, path] of [
        ['GET', 'status'],
        ['GET', 'result'],
        ['POST', 'cancel'],
      ] as const) {
        const { status, type, body } = await gateway.send(method, `/${path}/${id}`, method === 'POST' ? {} : undefined)
        expect([status, type, body.code], `${path} ${id}`).toEqual([404, PROBLEM, 'analysis-not-found'])
        expect(body.fix).toBe('Check the jobId. GET /api/v1/analysis lists those that you can see.')
      }
    }
  })
})

describe('while it is under way', () => {
  let model: FakeModel
  let slow: Bench
  beforeAll(async () => {
    model = await fakeModel()
  })
  afterEach(() => slow?.stop())
  afterAll(() => model?.close())

  test('pending without a worker: no result yet, and cancelled at once', async () => {
    slow = await bench({ roles: ['api'] })
    const jobId = await slow.submit({ text: TEXT })
    const status = await slow.get(`/status/${jobId}`)
    expect(status.body).toEqual({
      ...{ jobId, status: 'pending', text: expect.any(String), createdAt: expect.any(String), warnings: [] },
    })
    const early = await slow.get(`/result/${jobId}`)
    expect([early.status, early.type, early.body.code, early.body.analysis]).toEqual([
      ...[409, PROBLEM, 'analysis-not-finished', 'pending'],
    ])
    expect(Number(early.headers.get('retry-after'))).toBeGreaterThan(0)
    const cancelled = await slow.send('POST', `/cancel/${jobId}`, { reason: 'Sent by mistake.' })
    expect([cancelled.status, cancelled.body]).toEqual([200, { jobId, status: 'cancelled' }])
    expect((await slow.get(`/status/${jobId}`)).body.errors).toEqual(['Job cancelled: Sent by mistake.'])
    expect((await slow.get(`/result/${jobId}`)).body).toMatchObject({
      code: 'analysis-cancelled',
      analysis: 'cancelled',
    })
    const again = await slow.send('POST', `/cancel/${jobId}`)
    expect([again.status, again.body]).toEqual([200, { jobId, status: 'cancelled' }])
  })

  test('in_progress: the gateway goes on answering, and a cancel reaches the call to the model', async () => {
    slow = await bench({ model })
    model.replies = [{ silent: true }]
    const there = model.nextAsked()
    const jobId = await slow.submit({ text: TEXT, analyses: ['statistics', 'summary'] })
    await there
    const { body } = await slow.get(`/status/${jobId}`)
    expect(body).toMatchObject({ status: 'in_progress', text: 'Summarising "text"' })
    expect(body.progress).toMatchObject({ stage: 'summarising', documentsDone: 0, documents: 1 })
    expect((await slow.get(`/result/${jobId}`)).body).toMatchObject({ analysis: 'in_progress' })
    // Another one, which wants no model, is not held up by it.
    const other = await slow.submit({ text: TEXT })
    expect((await slow.ended(other)).status).toBe('completed')
    const asked = await slow.send('POST', `/cancel/${jobId}`, {})
    expect(asked.status).toBe(202)
    expect((await slow.ended(jobId)).status).toBe('cancelled')
    expect((await slow.get(`/status/${jobId}`)).body.status).toBe('cancelled')
  })

  test('the list goes page by page, newest first', async () => {
    slow = await bench({ roles: ['api'] })
    const ids: string[] = []
    for (const text of ['one', 'two', 'three']) ids.unshift(await slow.submit({ text }))
    const first = (await slow.get('?limit=2')).body
    expect(first.analyses.map(({ jobId }: any) => jobId)).toEqual(ids.slice(0, 2))
    const second = (await slow.get(`?limit=2&cursor=${encodeURIComponent(first.nextCursor)}`)).body
    expect(second.analyses).toMatchObject([{ jobId: ids[2], status: 'pending' }])
    expect(second.nextCursor).toBeUndefined()
  })
})
