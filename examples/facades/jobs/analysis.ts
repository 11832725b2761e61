// The job behind the first API of docs/guide/facades.md.
import { defineJob } from 'untildone'
import { z } from 'zod'

export const analysis = defineJob('analysis', {
  input: z.object({ url: z.url() }),
  output: z.object({ score: z.number() }),
})

export const analysisHandler = analysis.handler(async (job) => {
  const page = await job.read('fetch', async () => (await fetch(job.input.url, { signal: job.signal })).text())
  return { score: page.length }
})
