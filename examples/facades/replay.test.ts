/** The jobs behind the facades can be interrupted anywhere; their pages come from a web of three. */
import { assertReplaySafe } from 'untildone/testing'
import { afterEach, beforeEach, it, vi } from 'vitest'
import { analysisHandler } from './jobs/analysis.js'
import { discoveryHandler } from './jobs/discovery.js'

const WEB: Record<string, string> = {
  'https://a.example/': '<a href="https://b.example/">B</a> <a href="https://c.example/">C</a>',
  'https://b.example/': '<a href="https://a.example/">A</a>',
  'https://c.example/': 'Nothing.',
}
beforeEach(() => void vi.stubGlobal('fetch', async (url: string) => new Response(WEB[url])))
afterEach(() => void vi.unstubAllGlobals())

it('analysis', async () => {
  await assertReplaySafe(analysisHandler, { url: 'https://a.example/' })
})

it('discovery, with links and without', async () => {
  await assertReplaySafe(discoveryHandler, { pages: ['https://a.example/'] })
  await assertReplaySafe(discoveryHandler, { pages: ['https://c.example/'] }, { ends: 'failed' })
})
