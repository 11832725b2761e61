// `scrape.getRelevantDocumentation`: the pages themselves, as far as they document an API, into the session. A page that
// cannot be had is left out with a warning.
import { defineJob, Permanent, until } from 'untildone'
import { z } from 'zod'
import { documentSchema, keepDocument } from '../lib/documents.js'
import { failure } from '../lib/failure.js'
import { type Parts, publish, sessionOf } from '../lib/parts.js'
import { assertAllowed, fetchPage, shortHash } from '../lib/web/fetch-page.js'
import { orSkip } from '../lib/web/skip.js'

export const getRelevantDocumentation = defineJob('scrape.getRelevantDocumentation', {
  title: 'Scrape and process web documentation',
  description: "Reads the given pages, or the session's candidate links, and keeps those that document an API.",
  input: z.object({ links: z.array(z.url()).min(1).max(200).optional() }),
  output: z.object({
    documents: z.array(documentSchema),
    totalProcessed: z.int(),
    /** Pages that document nothing or could not be had. */
    totalSkipped: z.int(),
  }),
  stages: ['processing', 'finished'],
})

export const getRelevantDocumentationHandler = (parts: Parts) =>
  getRelevantDocumentation.handler(
    {
      version: '1',
      concurrency: 1,
      target: { p95: '10m' },
      timeout: { attempt: '30m' },
      retry: until({ within: '1h', backoff: { from: '1s', to: '1m' } }),
    },
    async (job) => {
      const links = await job.step('links', () => job.input.links ?? candidatesOf(sessionOf(job), parts))
      if (links.length === 0)
        throw new Permanent('Invalid input: there are no links; give some, or run discovery in this session first.', {
          code: 'no-links',
        })
      for (const url of links) assertAllowed(url, parts.web)
      const documents: z.output<typeof documentSchema>[] = []
      for (const [index, url] of links.entries()) {
        const message = `Scraping ${url}`
        job.progress('processing', { message, completed: index, total: links.length, unit: 'document' })
        const kept = await job.step(`document-${shortHash(url)}`, ({ signal, attempt }) =>
          orSkip(attempt, async () => keepDocument(await fetchPage(url, parts.web, signal), parts)),
        )
        if (!('skipped' in kept)) documents.push(kept)
        else job.warn('page-skipped', `${url}: ${kept.skipped}`)
      }
      if (documents.length === 0)
        throw failure('no-documentation', [
          'No relevant documentation was found',
          `None of ${links.length} pages documents an API`,
          'Consider uploading API documentation',
        ])
      const total = links.length
      await publish(job, parts, 'documentation', { documents }, { completed: total, total, unit: 'document' })
      return { documents, totalProcessed: links.length, totalSkipped: links.length - documents.length }
    },
  )

function candidatesOf(sessionId: string, { sessions }: Parts): string[] {
  return sessions.parts<{ candidateLinks: string[] }>(sessionId, 'candidateLinks')[0]?.value.candidateLinks ?? []
}
