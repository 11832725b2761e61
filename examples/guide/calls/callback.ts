/** A recogniser in another house that calls back; docs/guide/waiting.md. */
import { defineJob, Transient } from 'untildone'
import { z } from 'zod'
import { recogniser } from './far-side.js'

// #region job
export const scan = defineJob('scan', {
  input: z.object({ page: z.string() }),
  output: z.object({ text: z.string() }),
})

export const scanHandler = scan.handler(async (job) => {
  const answer = await job.callback<{ text: string }>('recognised', { timeout: '1h' })
  await job.step('begin', ({ key }) => recogniser.begin(job.input.page, answer.url, key))
  const end = await answer.result()
  if (end.outcome === 'completed') return { text: end.payload.text }
  throw new Transient(end.outcome === 'failed' ? end.error.message : 'The recogniser never answered.')
})
// #endregion
