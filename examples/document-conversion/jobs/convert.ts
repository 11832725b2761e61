// The job type `ocr.convert`: a scanned PDF in, its text out. Every page is read by a child program of its own and
// recorded by itself, so that a crash costs one page. It must never end as completed with fewer pages than went in.
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineJob, type ErrorRule, file, Permanent, type ProcessOptions, until } from 'untildone'
import { z } from 'zod'
import { enginesFrom, type PageEngine } from '../lib/engines.js'
import { limitIn } from '../lib/limits.js'
import { checkWords, QUIRKS, type Quirk, readerOf, rulesFor } from '../lib/quirks.js'

/** Stands between the pages of the text, as in the output of other programs of this kind. */
const PAGE_BREAK = '\f'
const LANES = 2

const output = z.object({
  /** All pages, parted by form feeds. */
  text: z.string(),
  /** The same as a file, for those who want to download it. */
  textFile: file(),
  pageCount: z.int(),
  pages: z.array(
    z.object({
      page: z.int(),
      /** The engine that read it: `robust` where `fast` had to leave it alone. */
      engine: z.string(),
      confidence: z.number(),
      /** No text was found on it; there is a warning then. */
      blank: z.boolean(),
    }),
  ),
})

export const convert = defineJob('ocr.convert', {
  title: 'Text of a scanned PDF',
  input: z.object({ pdf: file() }),
  output,
  stages: ['inspect', 'recognise', 'publish'],
})

/**
 * What an engine's exit means. Code and words must agree: Node ends itself with some of these codes too, and then
 * nothing is known about the file. Whatever is not listed is transient.
 */
export const errors: ErrorRule[] = [
  { exit: 4, match: /not a PDF|damaged PDF/, is: 'permanent', as: 'not-a-pdf' },
  { exit: 5, match: 'password required', is: 'permanent', as: 'password-required' },
  // For one engine only: job.first asks the next one, and the job fails when there is none left.
  { exit: 6, match: /cannot (take|draw) this page/, is: 'permanent', as: 'cannot-take-apart' },
  { exit: 7, match: 'no such page', is: 'permanent', as: 'no-such-page' },
  { exit: 2, match: /usage:|must be a whole number/, is: 'permanent', as: 'engine-misused' },
  { code: 'process-signal', is: 'transient', as: 'engine-crashed' },
  { exit: 1, is: 'transient', as: 'engine-failed' },
  { match: /^warning: low resolution/, is: 'harmless', as: 'low-resolution' },
  { match: /^warning: colour profile ignored/, is: 'harmless', as: 'colour-profile-ignored' },
  { match: /^warning: no text found/, is: 'harmless', as: 'blank-page' },
]

/** As many pages out as in, in their order, and none empty unless it was found blank. */
export function verify({ text, pages, pageCount }: z.infer<typeof output>): void {
  const texts = text.split(PAGE_BREAK)
  const whole =
    pages.length === pageCount &&
    texts.length === pageCount &&
    pages.every(({ page, blank }, index) => page === index + 1 && (blank || texts[index] !== ''))
  if (whole) return
  throw new Permanent(
    `${pageCount} pages went in, but the result has ${pages.length} pages and ${texts.length} texts, or one is empty.`,
    { code: 'truncated-output' },
  )
}

/** With these engines, in this order, and what is known of them. */
export const convertHandlerWith = (engines: readonly PageEngine[], quirks: readonly Quirk[] = QUIRKS) =>
  convert.handler(
    {
      version: '1',
      errors,
      verify,
      retry: until({ within: '2h', backoff: { from: '1s', to: '1m' } }),
      timeout: { attempt: '2h' },
      target: { p95: '5m' },
      // #region say
      say: {
        stage: {
          inspect: 'We are looking at your document.',
          recognise: 'We are reading your document.',
          publish: 'We are putting the text together.',
        },
        error: {
          'not-a-pdf': 'This is not a PDF that can be read. Please send another file.',
          'password-required': 'The PDF is protected by a password. Please send it without one.',
          'no-pages': 'The PDF has no pages.',
          'demo-limited': 'Our text recognition is limited at the moment. We know of it.',
        },
      },
      // #endregion
      // An engine keeps one core busy: more of them at once would only make every page late.
      concurrency: Math.max(1, Math.floor(availableParallelism() / LANES)),
    },
    async (job) => {
      job.progress('inspect', { message: 'Looking at the document' })
      const { path } = await job.open(job.input.pdf)
      const { pageCount } = await job.process('inspect', inspector(path))
      if (pageCount === 0) throw new Permanent('The document has no pages.', { code: 'no-pages' })

      let finished = 0
      const progress = () => {
        const all = pageCount === 1 ? 'the page' : `${pageCount} pages`
        const message = finished === 0 ? `Reading ${all}` : `Page ${finished} of ${pageCount}`
        job.progress('recognise', { message, completed: finished, total: pageCount, unit: 'page' })
      }
      progress()
      const pages = await inLanes(LANES, pageCount, async (index) => {
        const page = index + 1
        const readers = engines.map((engine) => {
          const read = () => job.process('recognise', pageReader(engine, path, page, quirks))
          return [engine.name, read] as const
        })
        const { value, engine: by } = await job.first(`page-${page}`, Object.fromEntries(readers))
        finished++
        progress()
        return { page, engine: by, confidence: value.confidence, text: value.text }
      })

      job.progress('publish', { message: 'Putting the pages together' })
      const text = pages.map((page) => page.text).join(PAGE_BREAK)
      const textFile = await job.step('publish', () =>
        job.file(Buffer.from(text), { contentType: 'text/plain; charset=utf-8', name: 'text.txt' }),
      )
      return { text, textFile, pageCount, pages: pages.map(({ text, ...page }) => ({ ...page, blank: text === '' })) }
    },
  )

export const convertHandler = convertHandlerWith(enginesFrom(process.env))

const inspection = z.object({ pageCount: z.int() })
const reading = (page: number) => z.object({ page: z.literal(page), text: z.string(), confidence: z.number() })

const inspector = (path: string): ProcessOptions<z.infer<typeof inspection>> => ({
  command: process.execPath,
  args: [fileURLToPath(new URL('../engines/inspect.mjs', import.meta.url)), path],
  envelope: true,
  timeout: '2m',
  parse: ({ envelope }) => inspection.parse(envelope),
})

/** One engine as a child, at one page. A dense A4 page takes about 5 s on a slow core. */
function pageReader(engine: PageEngine, path: string, page: number, quirks: readonly Quirk[]) {
  const { command, args, env, licensed } = engine
  const errors = rulesFor(engine, quirks)
  return {
    ...{
      command,
      args: [...args, path, String(page)],
      engine: readerOf(engine),
      envelope: true,
      timeout: '2m' as const,
    },
    ...(env ? { env } : {}),
    ...(errors.length > 0 ? { errors } : {}),
    parse: ({ envelope, stderr }: { envelope: unknown; stderr: string }) => {
      checkWords(engine, stderr, quirks)
      const read = reading(page).parse(envelope)
      if (licensed) checkLimits(engine, read.text)
      return read
    },
  }
}

/** @throws Permanent `demo-limited`: the engine ended well, but this is not what stands on the page */
function checkLimits({ name }: PageEngine, text: string): void {
  const limit = text.trim() === '' ? 'an empty page' : limitIn(text)
  if (limit !== null)
    throw new Permanent(`The engine "${name}" ended well but works without a licence: it gives ${limit}.`, {
      code: 'demo-limited',
    })
}

/**
 * Does the work of 0 … count−1, so many at a time, and gives the values in that order. After an error nothing new is
 * begun, but what is under way may end: then it is recorded, and the next attempt does not do it again.
 */
async function inLanes<T>(lanes: number, count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const values: T[] = []
  const errors: unknown[] = []
  let next = 0
  const lane = async () => {
    while (next < count && errors.length === 0) {
      const index = next++
      try {
        values[index] = await work(index)
      } catch (error) {
        errors.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  if (errors.length > 0) throw errors[0]
  return values
}
