// `documentation.processUpload`: documentation that somebody has, as a file or as text, into the session.
import { readFile } from 'node:fs/promises'
import { defineJob, file, type JobContext, Permanent, until } from 'untildone'
import { z } from 'zod'
import type { Source } from '../lib/docs/read-document.js'
import { documentSchema, keepDocument } from '../lib/documents.js'
import { failure } from '../lib/failure.js'
import { type Parts, publish, sessionOf } from '../lib/parts.js'

const MAX_BYTES = 4 << 20

export const processUpload = defineJob('documentation.processUpload', {
  title: 'Process uploaded documentation files',
  description: 'Takes an OpenAPI document, HTML, Markdown or plain text: a file of POST /v1/files, or the text itself.',
  input: z.union([
    z.object({ file: file(), name: z.string().min(1).max(200).optional() }),
    z.object({ text: z.string().min(1), name: z.string().min(1).max(200) }),
  ]),
  output: z.object({ documents: z.array(documentSchema), totalProcessed: z.int() }),
  stages: ['processing', 'finished'],
})

export const processUploadHandler = (parts: Parts) =>
  processUpload.handler(
    {
      version: '1',
      concurrency: 1,
      target: { p95: '5m' },
      timeout: { attempt: '10m' },
      retry: until({ within: '20m', backoff: { from: '1s', to: '30s' } }),
    },
    async (job) => {
      sessionOf(job)
      job.progress('processing', { message: 'Reading the upload', completed: 0, total: 1, unit: 'document' })
      const document = await job.step('document', async () => {
        const source = await sourceOf(job)
        try {
          return keepDocument(source, parts)
        } catch (error) {
          if ((error as { code?: string }).code !== 'not-relevant') throw error
          throw failure('no-documentation', [
            'No relevant documentation was found',
            'Consider uploading more comprehensive API documentation',
          ])
        }
      })
      const done = { completed: 1, total: 1, unit: 'document' }
      await publish(job, parts, 'documentation', { documents: [document] }, done)
      return { documents: [document], totalProcessed: 1 }
    },
  )

async function sourceOf(job: JobContext<z.output<typeof processUpload.input>>): Promise<Source> {
  const { input } = job
  if ('text' in input) return { url: `upload:${input.name}`, contentType: '', body: input.text }
  const opened = await job.open(input.file)
  if (opened.bytes > MAX_BYTES)
    throw new Permanent(`Invalid input: the file has ${opened.bytes} bytes; the limit is ${MAX_BYTES}.`, {
      code: 'upload-too-large',
    })
  const body = await readFile(opened.path, 'utf8')
  if (body.includes('\0')) throw new Permanent('Invalid input: the file is not a text.', { code: 'not-a-text' })
  const url = `upload:${input.name ?? opened.name ?? opened.id}`
  return { url, contentType: opened.contentType, body }
}
