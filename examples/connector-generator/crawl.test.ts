// How a site is read: what it allows, what is worth reading, what becomes of pages that are not there or not there now.
import { afterEach, describe, expect, test } from 'vitest'
import { fetchPage } from './lib/web/fetch-page.js'
import { Frontier } from './lib/web/frontier.js'
import { linkScore, pageScore } from './lib/web/rank.js'
import { Robots } from './lib/web/robots.js'
import type { RunningSite, SitePage } from './sites/serve.js'
import { opal } from './sites/sites.js'
import { type Bench, bench, serveAll } from './support.js'

describe('robots.txt', () => {
  const allows = (text: string, path: string) => new Robots(text).allows(`https://host.example${path}`)

  test('the longest rule that fits, of the groups for everybody', () => {
    const text = `User-agent: evil
Disallow: /

User-agent: other
User-agent: *
Disallow: /private # not yours
Allow: /private/open
Disallow: /*.pdf$
Disallow: /search?*q=`
    expect(['/', '/private', '/private/x', '/private/open/x'].map((path) => allows(text, path))).toEqual([
      true,
      false,
      false,
      true,
    ])
    expect(['/a.pdf', '/a.pdf.html', '/search?p=1&q=2', '/search'].map((path) => allows(text, path))).toEqual([
      false,
      true,
      false,
      true,
    ])
  })

  test('nothing said is everything allowed, and an empty rule forbids nothing', () => {
    expect(allows('', '/x')).toBe(true)
    expect(allows('User-agent: *\nDisallow:', '/x')).toBe(true)
    expect(allows('User-agent: *\nDisallow: /\nAllow: /', '/x')).toBe(true)
  })
})

describe('what is worth reading', () => {
  test('documentation before marketing, and the application by its name', () => {
    const score = (path: string, text = '') => linkScore(`https://host.example${path}`, text, ['harbor'])
    expect(score('/developers/openapi.yaml')).toBeGreaterThan(score('/docs'))
    expect(score('/docs/harbor')).toBeGreaterThan(score('/docs/other'))
    expect(score('/x', 'API reference')).toBeGreaterThan(score('/x', 'Read more'))
    expect(score('/blog/api')).toBeLessThan(score('/api'))
    expect(score('/pricing')).toBeLessThan(0)
    expect(pageScore('https://host.example/docs', 'API documentation', 0, [])).toBe(0)
  })

  test('the best first, among equals the first that was found, each once', () => {
    const frontier = new Frontier()
    for (const [url, score] of [
      ['a', 1],
      ['b', 5],
      ['c', 5],
      ['b', 9],
      ['d', 0],
    ] as const)
      frontier.add(url, score)
    frontier.skip('d')
    expect([frontier.next(), frontier.next(), frontier.next(), frontier.next()]).toEqual(['b', 'c', 'a', null])
  })
})

describe('on the way', () => {
  let sites: Awaited<ReturnType<typeof serveAll>> | undefined
  let jobs: Bench | undefined
  afterEach(async () => {
    await jobs?.stop()
    await sites?.close()
    jobs = undefined
    sites = undefined
  })

  const html = (body: string): SitePage => ({ type: 'text/html', body: `<main>${body}</main>` })
  const ENDPOINT = '<p><code>GET /things</code> lists things.</p>'

  async function serve(pages: Record<string, SitePage>, hosts?: RunningSite[]): Promise<[RunningSite, Bench]> {
    sites = await serveAll({ ...opal(), pages })
    jobs = await bench(hosts ?? sites.running)
    return [sites.running[0]!, jobs]
  }
  const discover = (jobs: Bench, { origin }: RunningSite, more = {}) =>
    jobs.run('s', 'discovery', { applicationName: 'Things', startUrls: [origin], ...more })

  test('a page that is away for a moment is asked again; those before it are not', async () => {
    const [site, jobs] = await serve({ '/': html('<a href="/api">API</a>'), '/api': html(ENDPOINT) })
    site.trouble.set('/api', [503, 503])
    const body = await discover(jobs, site)
    expect(body.result.candidateLinks).toEqual([`${site.origin}/api`])
    expect(await jobs.attempts(body.jobId)).toEqual(['error transient', 'error transient', 'ok'])
    expect(site.visits).toEqual(['/robots.txt', '/', '/api', '/api', '/api'])
  })

  test('a page that stays away is left out with a warning; a dead link without one', async () => {
    const links = '<a href="/api">API</a> <a href="/api/gone">API</a> <a href="/api/lost">API</a>'
    const [site, jobs] = await serve({ '/': html(links), '/api': html(ENDPOINT), '/api/lost': html(ENDPOINT) })
    site.trouble.set('/api/lost', [500, 500, 500, 500])
    const body = await discover(jobs, site)
    expect(body.result.totalFound).toBe(1)
    expect((await jobs.job(body.jobId)).warnings).toMatchObject([
      { code: 'page-skipped', message: `${site.origin}/api/lost: ${site.origin}/api/lost answered 500` },
    ])
  })

  test('not further than it was told, not where it must not, not to another host', async () => {
    const many = Array.from({ length: 9 }, (_, i) => `<a href="/api/${i}">API</a>`).join('')
    const elsewhere =
      '<a href="http://127.0.0.1:1/api">API</a> <a href="/logo.png">API</a> <a href="mailto:x@y">API</a>'
    const [site, jobs] = await serve({
      '/robots.txt': { type: 'text/plain', body: 'User-agent: *\nDisallow: /api/0' },
      '/': html(many + elsewhere),
      ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`/api/${i}`, html(ENDPOINT)])),
    })
    await discover(jobs, site, { maxPages: 4 })
    expect(site.visits).toEqual(['/robots.txt', '/', '/api/1', '/api/2', '/api/3'])
  })

  test('without an address: the configured sites that know the application', async () => {
    sites = await serveAll(
      { ...opal(), pages: { '/': html(`<p>Things for everybody</p>${ENDPOINT}`) } },
      { ...opal(), pages: { '/': html(`<p>Others</p>${ENDPOINT.replaceAll('thing', 'other')}`) } },
    )
    const seeds = sites.running.map(({ origin }) => `${origin}/`)
    jobs = await bench(sites.running, { seeds })
    expect((await jobs.run('s', 'discovery', { applicationName: 'Things' })).result.candidateLinks).toEqual([seeds[0]])
    await jobs.stop()
    jobs = await bench(sites.running)
    expect((await jobs.run('s', 'discovery', { applicationName: 'Things' })).errors).toEqual([
      'Invalid input: there is no address to begin with; give startUrls, or configure seeds.',
    ])
  })

  test('a site without anything about an API gives nothing, and says so', async () => {
    const [site, jobs] = await serve({ '/': html('<p>We sell flowers.</p>') })
    const body = await discover(jobs, site)
    expect(body.result).toMatchObject({ candidateLinks: [], totalFound: 0 })
    expect((await jobs.job(body.jobId)).warnings).toMatchObject([{ code: 'nothing-found' }])
  })

  test('a redirect is followed on hosts that may be read, and a page has its limit', async () => {
    const other = await serveAll(opal())
    const { createServer } = await import('node:http')
    const server = createServer((request, response) =>
      response
        .writeHead(302, {
          location: request.url === '/out' ? 'http://127.0.0.1:1/' : `${other.running[0]!.origin}/docs`,
        })
        .end(),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const host = `127.0.0.1:${(server.address() as { port: number }).port}`
    const hosts = new Set([host, other.running[0]!.host])
    const { signal } = new AbortController()
    try {
      expect(await fetchPage(`http://${host}/in`, { hosts }, signal)).toMatchObject({
        url: `${other.running[0]!.origin}/docs`,
      })
      await expect(fetchPage(`http://${host}/out`, { hosts }, signal)).rejects.toThrow('not on a host that may be read')
      await expect(fetchPage(`http://${host}/in`, { hosts, maxBytes: 100 }, signal)).rejects.toThrow(
        'larger than 100 bytes',
      )
    } finally {
      server.close()
      await other.close()
    }
  })
})
