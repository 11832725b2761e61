/** The snippets of docs/guide/files.md, as they run in programs.test.ts. */
import { readFile } from 'node:fs/promises'
import { defineJob, file } from 'untildone'
import { z } from 'zod'

// #region job
export const stamp = defineJob('stamp', {
  input: z.object({ document: file() }),
  output: z.object({ stamped: file() }),
})

export const stampHandler = stamp.handler(async (job) => {
  const stamped = await job.step('stamp', async () => {
    const document = await job.open(job.input.document)
    const text = await readFile(document.path, 'utf8')
    return job.file(Buffer.from(`${text}RECEIVED\n`), { name: `stamped-${document.name}`, contentType: 'text/plain' })
  })
  return { stamped }
})
// #endregion
