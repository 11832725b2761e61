// `discovery.getCandidateLinks`: which pages of an application's site are documentation of its API. Reads the site, from
// the addresses that are given or configured, as robots.txt allows, and never leaves the hosts that may be read.
import { defineJob, type JobContext, Permanent, until } from 'untildone'
import { z } from 'zod'
import { chunksOf } from '../lib/docs/chunks.js'
import { readDocument } from '../lib/docs/read-document.js'
import { factsOf } from '../lib/extract/extractor.js'
import { countFacts } from '../lib/extract/facts.js'
import { type Parts, publish, sessionOf } from '../lib/parts.js'
import { assertAllowed, fetchPage, isAllowed, shortHash, withoutHash } from '../lib/web/fetch-page.js'
import { Frontier } from '../lib/web/frontier.js'
import { isReadable, linkScore, pageScore, termsOf } from '../lib/web/rank.js'
import { Robots } from '../lib/web/robots.js'
import { orSkip, type Skipped } from '../lib/web/skip.js'

export const getCandidateLinks = defineJob('discovery.getCandidateLinks', {
  title: 'Search for documentation URLs',
  description: 'Reads the site of an application and gives the pages that document its API, best first.',
  input: z.object({
    applicationName: z.string().trim().min(1).max(100),
    startUrls: z.array(z.url()).max(20).default([]),
    maxPages: z.int().min(1).max(500).default(60),
  }),
  output: z.object({
    candidateLinks: z.array(z.string()),
    searchQuery: z.string(),
    totalFound: z.int(),
  }),
  stages: ['processing', 'finished'],
})

interface Found {
  url: string
  score: number
  /** Whether it mentions the application. */
  named: boolean
  links: { url: string; text: string }[]
}

const LINKS_PER_PAGE = 300

export const getCandidateLinksHandler = (parts: Parts) =>
  getCandidateLinks.handler(
    {
      version: '1',
      concurrency: 1,
      target: { p95: '2m' },
      timeout: { attempt: '5m' },
      retry: until({ within: '10m', backoff: { from: '1s', to: '30s' } }),
    },
    async (job) => {
      sessionOf(job)
      const { applicationName, startUrls, maxPages } = job.input
      const searchQuery = `${applicationName} API documentation`
      const terms = termsOf(searchQuery)
      const frontier = startFrom(startUrls.length > 0 ? startUrls : parts.seeds, parts)
      const robots = new Map<string, Robots>()
      const candidates = new Map<string, number>()
      const origins = new Set<string>()
      let read = 0
      for (let url = frontier.next(); url !== null && read < maxPages; url = frontier.next()) {
        const rules = robots.get(new URL(url).origin) ?? (await robotsOf(job, url, parts))
        robots.set(new URL(url).origin, rules)
        if (!rules.allows(url)) continue
        // No total: how many pages there are is known when there are no more.
        job.progress('processing', { message: `Reading page ${read + 1}: ${url}` })
        const found = await readPage(job, url, { name: applicationName, terms }, parts)
        read++
        if ('skipped' in found) {
          // A dead link says nothing about the site; a page that could not be had may have been the one.
          if (found.lost) job.warn('page-skipped', `${url}: ${found.skipped}`)
          else job.log(`Skipped ${url}: ${found.skipped}`)
          continue
        }
        frontier.skip(found.url)
        if (found.score > 0) candidates.set(found.url, Math.max(found.score, candidates.get(found.url) ?? 0))
        if (found.named) origins.add(new URL(found.url).origin)
        for (const link of found.links) frontier.add(link.url, linkScore(link.url, link.text, terms))
      }
      // Whoever gave an address meant that site; of those that were only configured, the ones that know the application.
      const isMeant = (url: string) => startUrls.length > 0 || origins.has(new URL(url).origin)
      const candidateLinks = [...candidates]
        .sort(([, a], [, b]) => b - a)
        .flatMap(([url]) => (isMeant(url) ? [url] : []))
      if (candidateLinks.length === 0) job.warn('nothing-found', `None of ${read} pages documents an API.`)
      const result = { candidateLinks, searchQuery, totalFound: candidateLinks.length }
      await publish(job, parts, 'candidateLinks', result)
      return result
    },
  )

function startFrom(urls: readonly string[], { web }: Parts): Frontier {
  if (urls.length === 0)
    throw new Permanent('Invalid input: there is no address to begin with; give startUrls, or configure seeds.', {
      code: 'no-start',
    })
  const frontier = new Frontier()
  for (const url of urls) {
    assertAllowed(url, web)
    frontier.add(withoutHash(url), 100)
  }
  return frontier
}

/** A site without robots.txt allows everything; one that cannot be asked is asked again. */
async function robotsOf(job: JobContext<unknown>, url: string, { web }: Parts): Promise<Robots> {
  const address = new URL('/robots.txt', url).href
  const name = `robots-${shortHash(address)}`
  const text = await job.step(name, async ({ signal, attempt }) => {
    const page = await orSkip(attempt, () => fetchPage(address, web, signal))
    return 'skipped' in page ? '' : page.body
  })
  return new Robots(text)
}

function readPage(
  job: JobContext<unknown>,
  url: string,
  about: { name: string; terms: readonly string[] },
  { web }: Parts,
): Promise<Found | Skipped> {
  return job.step(`page-${shortHash(url)}`, async ({ signal, attempt }) =>
    orSkip(attempt, async () => {
      const page = await fetchPage(url, web, signal)
      const { documentation, links } = readDocument(page)
      const facts = chunksOf(documentation).reduce((sum, chunk) => sum + countFacts(factsOf(chunk)), 0)
      const worth = links.filter((link) => isAllowed(link.url, web) && isReadable(link.url))
      return {
        url: page.url,
        score: pageScore(page.url, documentation.title, facts, about.terms),
        named: page.body.toLowerCase().includes(about.name.toLowerCase()),
        links: worth.slice(0, LINKS_PER_PAGE),
      }
    }),
  )
}
