// Facts out of long documents: what the rules read and what they leave alone, that every citation holds, what becomes of
// contradictions, of chunks that cannot be read and of a model that makes things up.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, dryRun, type TestRig } from 'untildone/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { convertHandlerWith } from './jobs/convert.js'
import { extractHandlerWith, verify } from './jobs/extract.js'
import { counting } from './lib/count.js'
import { npmEngines } from './lib/engines.js'
import { chunksOf, pageAt, pageStarts } from './lib/extract/chunks.js'
import { type Extractor, factsOf } from './lib/extract/extractor.js'
import { isIban } from './lib/extract/iban.js'
import { checkCitations, mergeFacts } from './lib/extract/merge.js'
import { modelExtractor } from './lib/extract/model-extractor.js'
import { ruleExtractor } from './lib/extract/rules.js'
import { makeScan } from './scans/make-scans.mjs'
import { type Bench, bench, type ModelServer, modelServer, stored } from './support.js'

const signal = new AbortController().signal
const read = (text: string, dayFirst: boolean | null = null) => factsOf(ruleExtractor, text, { dayFirst }, signal)
const told = async (text: string, dayFirst: boolean | null = null) => {
  const { found, doubts } = await read(text, dayFirst)
  return [...found.map(({ field, value }) => `${field}: ${value}`), ...doubts.map(({ code }) => code)]
}

describe('the rules', () => {
  const cases: [text: string, ...facts: string[]][] = [
    ['Invoice No. INV-2026/118', 'number: INV-2026/118'],
    ['Rechnungsnummer: 4711-B', 'number: 4711-B'],
    ['The invoice number is missing.'],
    ['Invoice date: 25 November 2026', 'issueDate: 2026-11-25', 'date: 2026-11-25'],
    ['Payable by December 9th, 2026.', 'dueDate: 2026-12-09', 'date: 2026-12-09'],
    ['fällig am 9. Dezember 2026', 'dueDate: 2026-12-09', 'date: 2026-12-09'],
    ['Rechnungsdatum\n25.11.2026', 'issueDate: 2026-11-25', 'date: 2026-11-25'],
    ['on 25/11/2026 and 11/25/2026 and 05/05/2026', 'date: 2026-11-25', 'date: 2026-11-25', 'date: 2026-05-05'],
    ['on 03/04/2026', 'ambiguous-date'],
    ['on 2026-02-30', 'no-such-date'],
    ['version 1.2.2026.4, part 12-2026-11-25'],
    ['Total due: EUR 1,250.50', 'total: EUR 1250.50', 'amount: EUR 1250.50'],
    [
      'Subtotal: €1.000,00\nGesamtbetrag: 1.190,00 €',
      'amount: EUR 1000.00',
      'total: EUR 1190.00',
      'amount: EUR 1190.00',
    ],
    ["CHF 12'000 or $5 or £3,5", 'amount: CHF 12000.00', 'amount: USD 5.00', 'amount: GBP 3.50'],
    ['1 234,50 EUR, -20.00 USD', 'amount: EUR 1234.50', 'amount: USD -20.00'],
    ['IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFFXXX', 'iban: DE89370400440532013000'],
    ['GB82WEST12345698765432.', 'iban: GB82WEST12345698765432'],
    ['DE89 3704 0044 0532 0130 01', 'iban-wrong'],
    ['Seller: Quarry & Sons\nBill to: Ada Marsh', 'seller: Quarry & Sons', 'buyer: Ada Marsh'],
    [
      'made between Northern Slate Ltd, of 4 Dock Road (the "Seller"), and Harbour Works GmbH ("Buyer")',
      ...[
        'seller: Northern Slate Ltd',
        'party: Northern Slate Ltd',
        'buyer: Harbour Works GmbH',
        'party: Harbour Works GmbH',
      ],
    ],
  ]
  test.each(cases)('%s', async (text, ...facts) => {
    expect(await told(text)).toEqual(facts)
  })

  test('a date that can be read in two ways is read as the sender says', async () => {
    expect([await told('03/04/2026', true), await told('03/04/2026', false)]).toEqual([
      ['date: 2026-04-03'],
      ['date: 2026-03-04'],
    ])
  })

  test('no account number with one digit changed is taken for right', () => {
    const right = 'NL91ABNA0417164300'
    expect(isIban(right)).toBe(true)
    for (let i = 2; i < right.length; i++)
      for (const digit of '0123456789') {
        const other = right.slice(0, i) + digit + right.slice(i + 1)
        if (/\d/.test(right[i]!) && other !== right) expect(isIban(other), other).toBe(false)
      }
    expect([isIban('NL91ABNA041716430'), isIban('ZZ91ABNA0417164300'), isIban('')]).toEqual([false, false, false])
  })
})

describe('chunks', () => {
  const text = fc.array(fc.constantFrom('word ', 'end. ', '\n', '\n\n', '\f', 'longer-than-a-word', '\u{1F600}'), {
    maxLength: 300,
  })

  test('cover every character, overlap, and cut no character in two', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 20, max: 200 }), (parts, size) => {
        const whole = parts.join('')
        const overlap = Math.floor(size / 5)
        const chunks = chunksOf(whole, size, overlap)
        expect(chunks[0]!.start).toBe(0)
        expect(chunks.at(-1)!.end).toBe(whole.length)
        for (const [i, { start, end }] of chunks.entries()) {
          expect(end - start).toBeLessThanOrEqual(size)
          if (i > 0) {
            expect(start).toBeLessThan(chunks[i - 1]!.end)
            expect(start).toBeGreaterThan(chunks[i - 1]!.start)
          }
          expect(whole.slice(start, end)).not.toMatch(/\p{Surrogate}/u)
        }
      }),
    )
  })

  test('a page is found by its offset', () => {
    const starts = pageStarts('one\ftwo\f\ffour')
    expect(starts).toEqual([0, 4, 8, 9])
    expect([0, 3, 4, 7, 8, 9, 12].map((at) => pageAt(starts, at))).toEqual([1, 1, 2, 2, 3, 4, 4])
  })
})

test('finished is what was begun and is not under way, and what a former attempt has finished', async () => {
  const told: number[] = []
  const counted = counting((finished) => told.push(finished))
  const ends: (() => void)[] = []
  const begin = (index: number) => counted(index, () => new Promise<void>((resolve) => void (ends[index] = resolve)))
  // The first five are on record, so the list goes on with the sixth.
  const all = [begin(5), begin(6), begin(7)]
  for (const index of [6, 5, 7]) {
    ends[index]!()
    await all[index - 5]
  }
  await expect(counted(8, () => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
  await counted(9, async () => {})
  expect(told).toEqual([6, 7, 8, 9])
})

describe('what chunks say is put together', () => {
  const merge = async (text: string, cuts: [number, number][]) => {
    const chunks = cuts.map(([start, end]) => ({ start, end }))
    const facts = await Promise.all(chunks.map(({ start, end }) => read(text.slice(start, end))))
    return mergeFacts(chunks, facts, pageStarts(text))
  }

  test('the same place in two chunks is one citation, another place is another one', async () => {
    const text = 'IBAN NL91ABNA0417164300, again\f'.padEnd(60) + 'NL91 ABNA 0417 1643 00'
    const { fields, conflicts } = await merge(text, [
      [0, 50],
      [2, text.length],
    ])
    expect(conflicts).toEqual([])
    expect(fields).toEqual([
      {
        ...{ field: 'iban', value: 'NL91ABNA0417164300' },
        citations: [
          { page: 1, start: 5, end: 23, quote: 'NL91ABNA0417164300' },
          { page: 2, start: 60, end: 82, quote: 'NL91 ABNA 0417 1643 00' },
        ],
      },
    ])
  })

  test('what a chunk sees only the half of counts as the whole that its neighbour sees', async () => {
    const text = `${'word '.repeat(20)}Total: EUR 1 250,50 and more`
    for (const cut of ['EUR 1', 'EUR 1 250', 'EUR 1 250,5'].map((half) => text.indexOf('EUR') + half.length)) {
      for (const cuts of [
        [
          [0, cut],
          [60, text.length],
        ],
        [
          [0, text.length - 2],
          [cut - 3, text.length],
        ],
      ] as [number, number][][]) {
        const { fields, conflicts } = await merge(text, cuts)
        expect(fields.map(({ field, value }) => `${field} ${value}`)).toEqual([
          'total EUR 1250.50',
          'amount EUR 1250.50',
        ])
        expect(conflicts).toEqual([])
      }
    }
  })

  const cases: [by: string, text: string, chosen: string, ...others: string[]][] = [
    ['more-often', 'Total: EUR 1.00\nTotal: EUR 2.00\nTotal: EUR 2.00', 'EUR 2.00', 'EUR 1.00'],
    ['first', 'Total: EUR 2.00\nTotal: EUR 1.00', 'EUR 2.00', 'EUR 1.00'],
  ]
  test.each(cases)('a contradiction is decided (%s) and told', async (by, text, chosen, ...others) => {
    const { fields, conflicts } = await merge(text, [[0, text.length]])
    expect(fields.filter(({ field }) => field === 'total')).toMatchObject([{ value: chosen }])
    expect(conflicts).toMatchObject([{ field: 'total', chosen, by, others: others.map((value) => ({ value })) }])
  })

  test('a value with a label goes before one without', () => {
    const fact = (value: string, at: number, labelled: boolean) => ({
      field: 'seller' as const,
      value,
      at,
      quote: value,
      labelled,
    })
    const found = [fact('A', 0, false), fact('A', 2, false), fact('B', 4, true)]
    const { conflicts } = mergeFacts([{ start: 0, end: 5 }], [{ found, doubts: [] }], [0])
    expect(conflicts).toMatchObject([{ chosen: 'B', by: 'labelled', others: [{ value: 'A' }] }])
  })

  test('a citation that does not hold is found', () => {
    const citation = { page: 1, start: 0, end: 3, quote: 'one' }
    const check = (more: object) => () =>
      checkCitations('one\ftwo', [0, 4], [{ citations: [{ ...citation, ...more }] }])
    expect(check({})).not.toThrow()
    for (const wrong of [{ quote: 'One' }, { end: 2 }, { page: 2 }, { start: 4, end: 7 }])
      expect(check(wrong)).toThrow(expect.objectContaining({ code: 'citation-wrong' }))
  })

  test('what does not fit its form, or does not stand there, never leaves a chunk', async () => {
    const saying = (found: object[]): Extractor => ({
      name: 'odd',
      version: '1',
      extract: () => ({ found, doubts: [] }),
    })
    const fact = { field: 'iban', value: 'NL91ABNA0417164300', at: 0, quote: 'NL91', labelled: true }
    const said = (more: object) => factsOf(saying([{ ...fact, ...more }]), 'NL91 and more', { dayFirst: null }, signal)
    await expect(said({})).resolves.toMatchObject({ found: [fact] })
    await expect(said({ value: 'NL91ABNA0417164301' })).rejects.toMatchObject({ code: 'chunk-invalid' })
    await expect(said({ field: 'colour' })).rejects.toMatchObject({ code: 'chunk-invalid' })
    await expect(said({ field: 'date', value: '2026-13-01' })).rejects.toMatchObject({ code: 'chunk-invalid' })
    await expect(said({ at: 1 })).rejects.toMatchObject({ code: 'citation-wrong' })
  })
})

// ── the job ──

let jobs: Bench | undefined
let model: ModelServer | undefined
afterEach(async () => {
  await jobs?.stop()
  model?.close()
  jobs = model = undefined
})
const byRules = extractHandlerWith(ruleExtractor)

async function extracted(text: string | Uint8Array, handlers: JobHandler<any, any>[] = [byRules], more: object = {}) {
  jobs ??= await bench(handlers)
  return jobs.run('document.extract', { document: await stored(jobs.app, text, 'contract.txt'), ...more })
}

const FILLER = 'The parties shall act in good faith and keep the terms of this agreement to themselves. '
/** So many pages, each a chunk or more, with a line of their own. */
const long = (pages: number, line: (page: number) => string) =>
  Array.from({ length: pages }, (_, i) => `Page ${i + 1}\n\n${FILLER.repeat(70)}\n\n${line(i + 1)}\n`).join('\f')

test('a long document: every field has citations that hold, a contradiction is told', async () => {
  const lines: Record<number, string> = {
    1: 'Contract No. C-1894 between Northern Slate Ltd ("Seller") and Harbour Works GmbH ("Buyer"), dated 1 March 2026',
    7: 'Total amount: EUR 48,000.00, to NL91 ABNA 0417 1643 00',
    12: 'Total amount: EUR 47,000.00 on 04/05/2026',
    19: 'Total amount: EUR 48,000.00. Contract No. C-1894',
  }
  const text = long(20, (page) => lines[page] ?? 'Nothing of note.')
  const job = await extracted(text)
  expect(job).toMatchObject({
    status: 'completed',
    result: { pageCount: 20, characters: text.length, chunks: { failed: [] }, engine: 'rules' },
  })
  expect(job.result.chunks.total).toBeGreaterThan(20)
  const { fields, conflicts } = job.result
  const value = (field: string) => fields.find((given: any) => given.field === field)?.value
  expect(['number', 'seller', 'buyer', 'issueDate', 'total', 'iban'].map(value)).toEqual([
    ...['C-1894', 'Northern Slate Ltd', 'Harbour Works GmbH', '2026-03-01', 'EUR 48000.00', 'NL91ABNA0417164300'],
  ])
  expect(conflicts).toMatchObject([
    { field: 'total', chosen: 'EUR 48000.00', by: 'more-often', others: [{ value: 'EUR 47000.00' }] },
  ])
  const total = fields.find((given: any) => given.field === 'total')
  expect(total.citations.map(({ page }: any) => page)).toEqual([7, 19])
  for (const { start, end, quote } of fields.flatMap(({ citations }: any) => citations))
    expect(text.slice(start, end)).toBe(quote)
  expect(job.warnings.map(({ code }: any) => code).sort()).toEqual(['ambiguous-date', 'conflict'])
  const steps = await jobs!.app.engine.steps(LOCAL, job.id)
  expect(steps.filter(({ name }) => name.startsWith('chunk/'))).toHaveLength(job.result.chunks.total)
})

test('what is no text fails at once', async () => {
  expect(await extracted(Buffer.from([0x50, 0x4b, 3, 4, 0xff]))).toMatchObject({
    status: 'failed',
    error: { code: 'not-text', attempts: 1 },
  })
  expect(await extracted('a\0b')).toMatchObject({ status: 'failed', error: { code: 'not-text' } })
  expect(await extracted(' \f ')).toMatchObject({ status: 'failed', error: { code: 'document-empty' } })
})

test('a scanned PDF is read by ocr.convert first, as a job of its own', { timeout: 60_000 }, async () => {
  const bytes = await makeScan({ pages: ['Invoice No. 4711\n\nTotal due: EUR 250.00'], dpi: 200 })
  const job = await extracted(bytes, [byRules, convertHandlerWith(npmEngines())])
  expect(job).toMatchObject({ status: 'completed' })
  expect(job.result.fields).toMatchObject([
    { field: 'number', value: '4711' },
    { field: 'total', value: 'EUR 250.00' },
    { field: 'amount' },
  ])
})

describe('a model', () => {
  test('is believed as far as the text bears it out', async () => {
    const text = 'The buyer is\nAda Marsh. She owes EUR 20.00 since 03/04/2026.'
    model = await modelServer(() => ({
      found: [
        { field: 'buyer', value: 'Ada Marsh', quote: 'The buyer is Ada Marsh' },
        { field: 'total', value: 'EUR 20.00', quote: 'EUR 20.00' },
        { field: 'date', value: '2026-04-03', quote: '03/04/2026' },
        { field: 'amount', value: 'EUR 2000.00', quote: 'EUR 20.00' },
        { field: 'seller', value: 'Bo Quill', quote: 'The seller is Bo Quill' },
        { field: 'seller', value: 'Bo Quill', quote: 'The buyer is' },
        { field: 'iban', value: 'NL91ABNA0417164301', quote: 'Ada' },
        { field: 'colour', value: 'red', quote: 'Ada' },
      ],
    }))
    const job = await extracted(text, [extractHandlerWith(modelExtractor(model.settings))])
    expect(job).toMatchObject({ status: 'completed', result: { engine: 'model wordsmith' } })
    expect(job.result.fields.map(({ field, value, citations: [{ quote }] }: any) => [field, value, quote])).toEqual([
      ['total', 'EUR 20.00', 'EUR 20.00'],
      ['buyer', 'Ada Marsh', 'The buyer is\nAda Marsh'],
      ['date', '2026-04-03', '03/04/2026'],
    ])
    expect(job.warnings.map(({ code }: any) => code)).toEqual(Array(5).fill('not-grounded'))
    expect(model.asked[0]!.material).toEqual({ text, dayFirst: null })
  })

  const pages = long(24, (page) => `IBAN of page ${page}`)
  test('chunks with useless answers are left out up to the stated share, and named', async () => {
    model = await modelServer(({ text }) => (text.includes('Page 7\n') ? 'I am sorry' : { found: [] }))
    const handlers = [extractHandlerWith(modelExtractor(model.settings))]
    const job = await extracted(pages, handlers)
    expect(job).toMatchObject({ status: 'completed' })
    const { failed, total } = job.result.chunks
    expect([failed.length, total > 20]).toEqual([1, true])
    expect(pages.slice(failed[0].start, failed[0].end)).toContain('Page 7\n')
    expect(job.warnings).toMatchObject([
      { code: 'model-answer-useless', step: `chunk/${failed[0].start}-${failed[0].end}` },
    ])
    expect(await extracted(pages, handlers, { tolerate: 0 })).toMatchObject({
      status: 'failed',
      error: { code: 'model-answer-useless' },
    })
  })

  test('that is away now and then is asked again, only about what has no answer', async () => {
    model = await modelServer((_, nth) => (nth === 5 ? 503 : { found: [] }))
    const job = await extracted(pages, [extractHandlerWith(modelExtractor(model.settings))])
    expect(job).toMatchObject({ status: 'completed', ops: { attempt: 2 } })
    expect(model.asked).toHaveLength(job.result.chunks.total + 1)
  })
})

test('wherever it is interrupted, it does nothing twice and ends the same', { timeout: 120_000 }, async () => {
  const text = long(3, (page) => `Total: EUR ${page}.00`)
  const input = async (rig: TestRig) => ({ document: await stored(rig, text, 'long.txt') })
  await assertReplaySafe(byRules, input, { maxCrashes: 30 })
})

test('the committed story tells what the job really does', async () => {
  const example = JSON.parse(readFileSync(new URL('jobs/document.extract.example.json', import.meta.url), 'utf8'))
  const story = await dryRun(byRules as unknown as JobHandler, example)
  const job = await extracted('Total: EUR 1.00')
  const real = await jobs!.app.engine.typeStory(LOCAL, 'document.extract', job.id)
  expect([story.stoppedBy, story.madeUp, real.findings]).toEqual([null, [], []])
})

test('the last look: forms, and no more failed chunks than allowed', () => {
  const citations = [{ page: 1, start: 0, end: 1, quote: 'x' }]
  const whole = {
    ...{
      fields: [{ field: 'total' as const, value: 'EUR 1.00', citations }],
      conflicts: [],
      pageCount: 1,
      characters: 1,
    },
    ...{ chunks: { total: 10, failed: [{ index: 1, start: 0, end: 1 }] }, engine: 'rules' },
  }
  const look =
    (more: object, tolerate = 0.1) =>
    () =>
      verify({ ...whole, ...more }, { input: { tolerate } })
  expect(look({})).not.toThrow()
  expect(look({}, 0)).toThrow(expect.objectContaining({ code: 'too-little-read' }))
  const wrong = { fields: [{ field: 'total', value: '1 EUR', citations }] }
  expect(look(wrong)).toThrow(expect.objectContaining({ code: 'field-invalid' }))
})
