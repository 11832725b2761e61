/** A catalogue made of pages, each a job of its own; docs/guide/waiting.md. */
import { defineJob, Permanent } from 'untildone'
import { z } from 'zod'
import { printer } from './far-side.js'

// #region job
export const page = defineJob('page', { input: z.object({ text: z.string() }), output: z.object({ sheets: z.int() }) })

export const pageHandler = page.handler({ queue: 'printers' }, async (job) => {
  if (job.input.text === '') throw new Permanent('The page is empty.', { code: 'empty-page' })
  return { sheets: await job.step('print', ({ key }) => printer.print(job.input.text, key)) }
})

export const catalogue = defineJob('catalogue', {
  input: z.object({ pages: z.array(z.string()) }),
  output: z.object({ sheets: z.int(), missing: z.array(z.string()) }),
})

export const catalogueHandler = catalogue.handler(async (job) => {
  const ends = await Promise.all(
    job.input.pages.map((text) => job.call(page, { text }, { onFailure: 'return', timeout: '1d' })),
  )
  let sheets = 0
  const missing: string[] = []
  for (const [i, end] of ends.entries()) {
    if (end.status === 'completed') sheets += end.result.sheets
    else missing.push(`page ${i + 1}: ${end.error.message}`)
  }
  return { sheets, missing }
})
// #endregion
