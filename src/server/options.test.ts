import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { FakeEngine } from './fakes/engine.js'
import { createServer, type ServerOptions } from './index.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

/** What a server says of itself: the header of every answer, and the head of its document. */
async function said(options: ServerOptions): Promise<unknown[]> {
  const engine = new FakeEngine()
  const server = createServer(engine, options)
  try {
    const answer = await server.fetch(new Request('http://localhost/openapi.json'))
    const { info } = (await answer.json()) as { info: { title: string; version: string } }
    return [answer.headers.get('untildone-version'), info.title, info.version]
  } finally {
    await server.close()
    engine.dispose()
  }
}

describe('what a server says of itself', () => {
  test('is the version of the package, unless another is given', async () => {
    expect(await said({})).toEqual([version, 'Untildone', version])
    expect(await said({ version: '1.2.3' })).toEqual(['1.2.3', 'Untildone', '1.2.3'])
  })

  test('a document may have title and version of the API that it describes; the header is about the server', async () => {
    const info = { title: 'Analysis gateway', version: '2.0.0' }
    expect(await said({ info })).toEqual([version, 'Analysis gateway', '2.0.0'])
  })
})
