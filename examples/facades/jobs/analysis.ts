// The job behind the first API of docs/guide/facades.md.
import { defineJob, until } from 'untildone'
import { z } from 'zod'

export const analysis = defineJob('analysis', {
  input: z.object({ url: z.url() }),
  output: z.object({ score: z.number() }),
})

const settings = { target: { p95: '1m' }, retry: until({ within: '1h' }) } as const

export const analysisHandler = analysis.handler(settings, async (job) => {
  const page = await job.read('fetch', async () => (await fetch(job.input.url, { signal: job.signal })).text())
  return { score: page.length }
})
