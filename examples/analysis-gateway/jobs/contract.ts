// The contract of the one job type of this gateway: what may be asked, and what comes out. The gateway's OpenAPI document
// is made from it, so that it cannot say anything else.
import { defineJob, file } from 'untildone'
import { z } from 'zod'
import { KINDS } from '../lib/classify/documents.js'
import { ENTITY_KINDS, type EntityKind } from '../lib/extract/entity.js'
import { SENTENCE_MAX } from '../lib/text/statistics.js'

export const ANALYSES = ['statistics', 'extraction', 'classification', 'summary'] as const
export type Analysis = (typeof ANALYSES)[number]

/** Bytes of a request as JSON in UTF-8: what a server of Untildone takes as an input, and tells with 413. */
export const REQUEST_MAX = 256 << 10
/** Bytes of a file. */
export const FILE_MAX = 2 << 20
const TEXT_MAX = 200_000
const DOCUMENTS_MAX = 50
const TERMS = 'must be a whole number from 1 to 50'
const SOURCES = ['text', 'documents', 'file'] as const
const NO_WORDS = 'has no letter and no digit; send the text that is to be analysed'

const must = (what: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is required' : `must be ${what}`),
})
const text = z
  .string(must('text'))
  .max(TEXT_MAX, `has more than ${TEXT_MAX} characters; upload it with POST /v1/files and send the id as \`file\``)
  .refine((given) => /[\p{L}\p{N}]/u.test(given), NO_WORDS)
const name = z
  .string(must('text'))
  .trim()
  .min(1, 'is empty; give the document a name')
  .max(200, 'has more than 200 characters')

const members = {
  text: text
    .optional()
    .describe(`One text, at most ${TEXT_MAX} characters, in a request of at most ${REQUEST_MAX} bytes.`),
  documents: z
    .array(
      z.strictObject({ name, text }, { error: objectLike('{"name":"…","text":"…"}', 'name, text') }),
      must('a list, like [{"name":"…","text":"…"}]'),
    )
    .min(1, 'is empty; send at least one document')
    .max(DOCUMENTS_MAX, `has more than ${DOCUMENTS_MAX} documents; send several requests`)
    .optional()
    .describe(`Several texts with names, at most ${DOCUMENTS_MAX}, in a request of at most ${REQUEST_MAX} bytes.`),
  file: file().optional().describe(`Id of a text file from POST /v1/files, at most ${FILE_MAX} bytes.`),
  analyses: z
    .array(
      z.enum(ANALYSES, { error: `must be one of ${ANALYSES.join(', ')}` }),
      must(`a list of ${ANALYSES.join(', ')}`),
    )
    .min(1, 'is empty; leave it out for statistics, extraction and classification')
    .default(['statistics', 'extraction', 'classification'])
    .describe('What to find out. `summary` needs a gateway with a language model.'),
  topTerms: z
    .int(TERMS)
    .min(1, TERMS)
    .max(50, TERMS)
    .default(10)
    .describe('Terms, pairs and triples of the statistics, at most.'),
}

const request = z
  .strictObject(members, { error: objectLike('{"text":"…"}', Object.keys(members).join(', ')) })
  .superRefine((given, context) => {
    const sources = SOURCES.filter((source) => given[source] !== undefined)
    if (sources.length !== 1) {
      const here = sources.length === 0 ? 'there is none of them' : `here are ${sources.join(' and ')}`
      context.addIssue({ code: 'custom', message: `must have exactly one of ${SOURCES.join(', ')}; ${here}` })
    }
    const names = (given.documents ?? []).map((one) => one.name)
    for (const [i, one] of names.entries()) {
      if (names.indexOf(one) < i)
        context.addIssue({ code: 'custom', path: ['documents', i, 'name'], message: `"${one}" is there twice` })
    }
  })
  .describe(
    `Exactly one of \`text\`, \`documents\` and \`file\`; all of it at most ${REQUEST_MAX} bytes as JSON in UTF-8, where a letter ` +
      'that is not of ASCII has two to four. What is larger is a file.',
  )

function objectLike(example: string, known: string) {
  return ({ code, keys }: { code?: string; keys?: string[] }) =>
    code === 'unrecognized_keys'
      ? `has unknown members: ${keys?.join(', ')}; known are ${known}`
      : `must be an object, like ${example}`
}

const counted = z.array(z.object({ text: z.string(), count: z.int() }))
const share = z.number().min(0).max(1)

const statistics = z.object({
  characters: z.int(),
  words: z.int(),
  differentWords: z.int(),
  sentences: z.int(),
  paragraphs: z.int(),
  wordsPerSentence: z.number().describe(`Above ${SENTENCE_MAX} the text has no ends of sentences that can be seen.`),
  variety: share.describe('Different words by words.'),
  readability: z
    .object({
      readingEase: z.number().nullable().describe('Flesch: 100 very easy, 0 very hard. English only.'),
      schoolYears: z.number().nullable().describe('Flesch and Kincaid. English only.'),
      lix: z.number().nullable().describe('Below 40 easy, above 60 hard.'),
    })
    .describe(`All null above ${SENTENCE_MAX} words per sentence.`),
  terms: counted,
  pairs: counted.describe('Two words that stand side by side more than once.'),
  triples: counted,
})

const COUNTS = Object.fromEntries(ENTITY_KINDS.map((one) => [one, z.int()])) as Record<EntityKind, z.ZodInt>

const extraction = z.object({
  entities: z
    .array(
      z.object({
        kind: z.enum(ENTITY_KINDS),
        text: z.string().describe('As it stands in the text.'),
        at: z.int().describe('Where it begins, in UTF-16 units.'),
        value: z.string().nullable().describe('In one form; null when it can be read in two ways.'),
      }),
    )
    .describe('In the order of the text; the first 500.'),
  counts: z.object(COUNTS).partial().describe('Of all, shown or not.'),
})

const kind = z.enum(KINDS)
const classification = z.object({
  label: kind.nullable().describe('Null when the text has too little in common with the corpus.'),
  score: share.describe('Orders the kinds; no probability.'),
  alternatives: z.array(z.object({ label: kind, score: share })),
  because: z.array(z.string()).describe('The words that decided.'),
  classifier: z.string().describe('Its version: what it had learned from.'),
})

const result = z.object({
  documents: z.array(
    z.object({
      name: z.string(),
      language: z.object({ code: z.string().nullable().describe('ISO 639-1.'), score: share }),
      statistics: statistics.optional(),
      extraction: extraction.optional(),
      classification: classification.optional(),
      summary: z
        .object({ text: z.string(), model: z.string().describe('The language model.') })
        .nullable()
        .optional()
        .describe('Null when the model gave none that could be used.'),
    }),
  ),
})

/** @param summaries whether there is a model: without one, who asks for a summary is told at once */
export function defineAnalysis(summaries: boolean) {
  const input = summaries
    ? request
    : request.superRefine(({ analyses }, context) => {
        const at = analyses.indexOf('summary')
        if (at >= 0)
          context.addIssue({
            code: 'custom',
            path: ['analyses', at],
            message: 'summary needs a language model, and this gateway has none; leave it out',
          })
      })
  return defineJob('analysis', {
    title: 'Analysis of texts',
    description: 'Counts, readability, language, facts and kind of texts; summaries where there is a language model.',
    input,
    output: result,
    stages: ['reading', 'analysing', { name: 'summarising', label: 'Asking the model' }, 'finished'],
  })
}

export type AnalysisInput = z.output<typeof request>
export type AnalysisResult = z.output<typeof result>
