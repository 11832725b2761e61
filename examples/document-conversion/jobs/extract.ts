// The job type `document.extract`: a long document in, its numbers, dates, amounts, accounts and parties out, each with the
// place that says so. A scanned PDF goes through `ocr.convert` first. It must never give a value without a citation that holds.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { defineJob, type ErrorRule, file, Permanent, until } from 'untildone'
import { z } from 'zod'
import { counting } from '../lib/count.js'
import { chunksOf, pageStarts } from '../lib/extract/chunks.js'
import { type Extractor, factsOf } from '../lib/extract/extractor.js'
import { FIELDS, VALUES } from '../lib/extract/facts.js'
import { checkCitations, mergeFacts } from '../lib/extract/merge.js'
import { modelExtractor } from '../lib/extract/model-extractor.js'
import { ruleExtractor } from '../lib/extract/rules.js'
import { modelFrom } from '../lib/model.js'
import { convert } from './convert.js'

const LANES = 4
const MOST_BYTES = 32 * 1024 * 1024

const citation = z.object({ page: z.int(), start: z.int(), end: z.int(), quote: z.string() })
const value = z.object({ value: z.string(), citations: z.array(citation).min(1) })

const output = z.object({
  fields: z.array(value.extend({ field: z.enum(FIELDS) })),
  /** Fields of which the document says more than one thing: what was chosen, why, and what else it says. */
  conflicts: z.array(
    z.object({
      field: z.enum(FIELDS),
      chosen: z.string(),
      by: z.enum(['labelled', 'more-often', 'first']),
      others: z.array(value),
    }),
  ),
  pageCount: z.int(),
  characters: z.int(),
  chunks: z.object({
    total: z.int(),
    /** Not read: there is a warning for each, and nothing of them is in the fields. */
    failed: z.array(z.object({ index: z.int(), start: z.int(), end: z.int() })),
  }),
  engine: z.string(),
})

export const extract = defineJob('document.extract', {
  title: 'Facts of a long document',
  input: z.object({
    /** A text whose pages are parted by form feeds, or a scanned PDF. */
    document: file(),
    /** How 03/04/2026 is meant. Not given: such a date is not read, and there is a warning. */
    dayFirst: z.boolean().nullable().default(null),
    /** The share of chunks that may fail for good; more fail the job. */
    tolerate: z.number().min(0).max(0.5).default(0.1),
  }),
  output,
  stages: ['read', 'extract', 'merge'],
})

/** What can go wrong, for the story of the type; each is thrown with its verdict where it is found. */
const errors: ErrorRule[] = [
  ...['not-text', 'document-too-large', 'document-empty'].map(permanent),
  ...['chunk-invalid', 'citation-wrong', 'field-invalid', 'too-little-read', 'model-answer-useless'].map(permanent),
  { code: 'model-busy', is: 'transient' },
]

function permanent(code: string): ErrorRule {
  return { code, is: 'permanent' }
}

/** The forms once more, and no more failed chunks than were allowed. */
export function verify({ fields, chunks }: z.infer<typeof output>, { input }: { input: { tolerate: number } }): void {
  const wrong = fields.find(({ field, value }) => !VALUES[field].safeParse(value).success)
  if (wrong) throw new Permanent(`"${wrong.value}" is not of the form of ${wrong.field}.`, { code: 'field-invalid' })
  if (chunks.failed.length > chunks.total * input.tolerate)
    throw new Permanent(`${chunks.failed.length} of ${chunks.total} chunks were not read.`, { code: 'too-little-read' })
}

export const extractHandlerWith = (extractor: Extractor) =>
  extract.handler(
    {
      version: '1',
      errors,
      verify,
      retry: until({ within: '6h', backoff: { from: '1s', to: '2m' } }),
      timeout: { attempt: '2h' },
      target: { p95: '15m' },
      say: {
        stage: {
          read: 'We are looking at your document.',
          extract: 'We are reading your document.',
          merge: 'We are putting the facts together.',
        },
        error: {
          'not-text': 'This is neither a text nor a PDF. Please send another file.',
          'document-too-large': 'The document is too large. Please send it in parts.',
          'document-empty': 'There is no text in the document.',
        },
      },
    },
    async (job) => {
      job.progress('read', { message: 'Looking at the document' })
      const given = await job.open(job.input.document)
      const isPdf = await job.step('look', () => beginsLikePdf(given.path), { effect: 'read' })
      const textId = isPdf ? (await job.call(convert, { pdf: job.input.document })).textFile : job.input.document
      const { path } = await job.open(textId)
      let text: string | undefined
      const open = () => (text ??= readDocument(path))
      const outline = await job.step(
        'read',
        () => ({ chunks: chunksOf(open()), pages: pageStarts(open()), characters: open().length }),
        { effect: 'read' },
      )
      const { chunks, pages, characters } = outline

      const progress = (finished: number) =>
        job.progress('extract', {
          message: `Part ${finished} of ${chunks.length}`,
          completed: finished,
          total: chunks.length,
          unit: 'part',
        })
      progress(0)
      const counted = counting(progress)
      const { dayFirst, tolerate } = job.input
      const facts = await job.map(
        'chunk',
        chunks,
        ({ start, end }, { signal, index }) =>
          counted(index, () => factsOf(extractor, open().slice(start, end), { dayFirst }, signal)),
        { concurrency: LANES, key: ({ start, end }) => `${start}-${end}`, tolerate },
      )
      progress(chunks.length)

      job.progress('merge', { message: 'Putting the facts together' })
      const { fields, conflicts } = await job.step('merge', () => {
        const merged = mergeFacts(chunks, facts, pages)
        checkCitations(open(), pages, [...merged.fields, ...merged.conflicts.flatMap(({ others }) => others)])
        return merged
      })
      const doubts = new Map(
        facts
          .flatMap((said) => said?.doubts ?? [])
          .map((doubt) => [`${doubt.code} ${doubt.quote} ${doubt.why}`, doubt]),
      )
      for (const { code, quote, why } of doubts.values()) job.warn(code, `"${quote}" was left out: ${why}.`)
      for (const { field, chosen, others } of conflicts)
        job.warn(
          'conflict',
          `${field} is given as ${[chosen, ...others.map(({ value }) => value)].join(' and as ')}; ${chosen} was taken.`,
        )
      const failed = chunks.flatMap(({ start, end }, index) => (facts[index] ? [] : [{ index, start, end }]))
      return {
        ...{ fields, conflicts, pageCount: pages.length, characters, engine: extractor.name },
        chunks: { total: chunks.length, failed },
      }
    },
  )

function beginsLikePdf(path: string): boolean {
  const head = Buffer.alloc(1024)
  const fd = openSync(path, 'r')
  try {
    return head.subarray(0, readSync(fd, head)).includes('%PDF-')
  } finally {
    closeSync(fd)
  }
}

/** @throws Permanent `document-too-large`, `not-text`, `document-empty` */
function readDocument(path: string): string {
  const bytes = readFileSync(path)
  const refuse = (code: string, message: string) => new Permanent(message, { code })
  if (bytes.length > MOST_BYTES)
    throw refuse('document-too-large', `The document has ${bytes.length} bytes; ${MOST_BYTES} are taken.`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw refuse('not-text', 'The document is not a text in UTF-8.')
  }
  if (text.includes('\0')) throw refuse('not-text', 'The document is not a text: there are zero bytes in it.')
  if (text.trim() === '') throw refuse('document-empty', 'There is no text in the document.')
  return text
}

const model = modelFrom(process.env)
export const extractHandler = extractHandlerWith(model ? modelExtractor(model) : ruleExtractor)
