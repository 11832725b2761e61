// `digester.getObjectClass`: one object class out of the session's documentation. A chunk that cannot be read is a
// warning; a documentation that does not say enough is a permanent error, because no repeat makes it say more.
import { defineJob, type JobContext, Permanent, until } from 'untildone'
import { z } from 'zod'
import { assemble } from '../lib/digest/assemble.js'
import { mergeFacts } from '../lib/digest/merge.js'
import { objectClassSchema } from '../lib/digest/object-class.js'
import { type Chunk, chunksOf } from '../lib/docs/chunks.js'
import { documentsOf } from '../lib/documents.js'
import { factsOf } from '../lib/extract/extractor.js'
import { countFacts, type Facts, noFacts } from '../lib/extract/facts.js'
import { normal } from '../lib/extract/words.js'
import { failure } from '../lib/failure.js'
import { type Parts, publish, sessionOf } from '../lib/parts.js'

export const getObjectClass = defineJob('digester.getObjectClass', {
  title: 'Extract schema from documentation',
  description:
    'Fields, endpoints, paging and authentication of one object class, from all documentation of the session.',
  input: z.object({
    objectClass: z.string().trim().min(1).max(100),
    /** Only documents whose address or title has one of these words. */
    filter: z.array(z.string().trim().min(1).max(100)).max(20).optional(),
  }),
  output: z.object({
    objectClass: objectClassSchema,
    /** Documents that said something about it. */
    sources: z.array(z.string()),
    /** `deterministic`, or with it the name of the model. */
    extractors: z.array(z.string()),
    chunks: z.object({ total: z.int(), failed: z.int() }),
  }),
  stages: ['chunking', { name: 'processing_chunks', label: 'Processing chunks' }, 'processing', 'finished'],
})

export const getObjectClassHandler = (parts: Parts) =>
  getObjectClass.handler(
    {
      version: '1',
      concurrency: 1,
      target: { p95: '10m' },
      timeout: { attempt: '20m' },
      retry: until({ within: '40m', backoff: { from: '1s', to: '1m' } }),
    },
    async (job) => {
      const asked = job.input.objectClass
      job.progress('chunking', { message: 'Splitting documentation' })
      const chunks = await chunksFor(job, parts)
      const total = chunks.length
      const learned: Learned[] = []
      for (const [index, chunk] of chunks.entries()) {
        const message = `Analyzing documentation chunk ${index + 1} of ${total}`
        job.progress('processing_chunks', { message, completed: index, total, unit: 'document' })
        learned.push(await learn(job, chunk, parts))
      }
      job.progress('processing', { message: `Putting '${asked}' together`, completed: total, total, unit: 'document' })
      const assembled = assemble(mergeFacts(byCertainty(learned)), asked)
      const failed = learned.filter((one) => one.failed).length
      if (!assembled.ok) {
        const { missing, known } = assembled
        throw insufficient(asked, { missing, known, chunks: total, failed })
      }
      for (const note of assembled.notes) job.warn('documentation-gap', note)
      const result = {
        objectClass: assembled.objectClass,
        sources: sourcesOf(learned, asked),
        extractors: ['deterministic', ...(parts.model ? [parts.model.name] : [])],
        chunks: { total, failed },
      }
      await publish(job, parts, `objectClass:${asked}`, result, { completed: total, total, unit: 'document' })
      return result
    },
  )

interface Learned {
  chunk: Chunk
  facts: Facts
  /** What the model added. */
  more: Facts
  failed: boolean
}

/** The documents as they are when the job begins; what comes into the session later is for a later job. */
async function chunksFor(job: JobContext<z.output<typeof getObjectClass.input>>, parts: Parts): Promise<Chunk[]> {
  const { filter } = job.input
  const hashes = await job.step('documents', () =>
    documentsOf(sessionOf(job), parts)
      .filter(
        ({ url, title }) =>
          !filter || filter.some((word) => `${url} ${title}`.toLowerCase().includes(word.toLowerCase())),
      )
      .map(({ sha256 }) => sha256),
  )
  const documents = hashes.flatMap((sha256) => parts.sessions.document(sha256) ?? [])
  if (documents.length === 0)
    throw new Permanent('Invalid input: the session has no documentation; scrape or upload some first.', {
      code: 'no-documentation',
    })
  return documents.flatMap(chunksOf)
}

async function learn(job: JobContext<unknown>, chunk: Chunk, { model }: Parts): Promise<Learned> {
  const { facts, failed } = await job.step(`chunk-${chunk.id}`, () => {
    try {
      return { facts: factsOf(chunk), failed: null }
    } catch (error) {
      return { facts: noFacts(), failed: String(error) }
    }
  })
  if (failed) job.warn('chunk-failed', `Processing failed for chunk ${chunk.id} of ${chunk.title}: ${failed}`)
  // An answer that is no use is a warning on the job; a busy endpoint ends the attempt, and the chunks so far are kept.
  const more = model
    ? await job.step(`model-${chunk.id}`, ({ signal }) => model.extract(chunk, signal), {
        timeout: '2m',
        onHarmless: null as never,
      })
    : noFacts()
  return { chunk, facts, more: more ?? noFacts(), failed: failed !== null || more === null }
}

/** OpenAPI documents first, then what stands in text, then what a model made of either. */
function byCertainty(learned: readonly Learned[]): Facts[] {
  const of = (kind: Chunk['kind']) => learned.filter(({ chunk }) => chunk.kind === kind).map(({ facts }) => facts)
  return [...of('openapi'), ...of('text'), ...learned.map(({ more }) => more)]
}

function sourcesOf(learned: readonly Learned[], asked: string): string[] {
  const isGeneral = ({ objectClasses, endpoints, ...rest }: Facts) =>
    countFacts({ ...rest, objectClasses: [], endpoints: [] }) > 0
  const tells = (facts: Facts) =>
    isGeneral(facts) ||
    facts.objectClasses.some(({ name, aliases }) => [name, ...aliases].some((one) => normal(one) === normal(asked))) ||
    facts.endpoints.some(({ objectClass }) => normal(objectClass ?? '') === normal(asked))
  return [...new Set(learned.filter(({ facts, more }) => tells(facts) || tells(more)).map(({ chunk }) => chunk.url))]
}

function insufficient(asked: string, details: Record<string, unknown>): Error {
  const lines = [
    'Failed to extract schema from documentation',
    `Insufficient documentation coverage for object '${asked}'`,
    'Consider uploading more comprehensive API documentation',
  ]
  return failure('insufficient-documentation', lines, details)
}
