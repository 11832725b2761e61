// The job behind the second API of docs/guide/facades.md.
import { defineJob, Permanent, until } from 'untildone'
import { z } from 'zod'

export const discovery = defineJob('discovery.getCandidateLinks', {
  input: z.object({ pages: z.array(z.url()).min(1) }),
  output: z.object({ candidateLinks: z.array(z.string()), totalFound: z.number() }),
  stages: ['processing'],
})

// #region progress
const settings = { target: { p95: '5m' }, retry: until({ within: '1h' }) } as const

export const discoveryHandler = discovery.handler(settings, async (job) => {
  const { pages } = job.input
  const links = new Set<string>()
  const rounds = ['read the pages', 'read what they link to']
  for (const [round, what] of rounds.entries()) {
    const batch = round === 0 ? pages : [...links]
    for (const [i, page] of batch.entries()) {
      job.progress('processing', {
        message: `Pages to ${what}`,
        completed: i,
        total: batch.length,
        iterations: { completed: round, total: rounds.length },
      })
      const html = await job.read('page', async () => (await fetch(page, { signal: job.signal })).text())
      for (const [, link] of html.matchAll(/href="(https:[^"]+)"/g)) links.add(link!)
    }
  }
  // One line of the message is one entry of `errors`.
  if (links.size === 0) throw new Permanent('No page could be discovered\nConsider to start from more pages')
  return { candidateLinks: [...links], totalFound: links.size }
})
// #endregion
