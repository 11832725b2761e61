import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UntildoneError } from '../core/errors.js'
import { CliError } from './failure.js'
import { inFile, loadFacades } from './load-facades.js'
import { type ServerRequest, startServer } from './start-server.js'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-facades-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const put = (path: string, text: string) => {
  mkdirSync(dirname(join(cwd, path)), { recursive: true })
  writeFileSync(join(cwd, path), text)
}
const FACADE = {
  name: 'old',
  status: 'replicate',
  routes: [
    {
      op: 'submit',
      method: 'POST',
      path: '/old',
      map: { type: 'hello', input: '$req.body' },
      respond: { id: '$job.id' },
    },
    { op: 'submit', method: 'POST', path: '/other', map: { type: 'gone' }, respond: { id: '$job.id' } },
  ],
}
const failure = async (file: string) => {
  const error = await loadFacades(file, cwd).catch((caught) => caught)
  return error instanceof CliError ? `${error.failure.code}: ${error.failure.what}` : error
}

describe('the file', () => {
  it('is JSON: a list, one alone, or under `facades`', async () => {
    put('list.json', `\ufeff${JSON.stringify([FACADE])}`)
    put('deep/one.json', JSON.stringify(FACADE))
    put('under.json', JSON.stringify({ facades: [FACADE] }))
    for (const file of ['list.json', 'deep/one.json', join(cwd, 'under.json')])
      expect(await loadFacades(file, cwd), file).toEqual([FACADE])
  })

  it('or TypeScript and JavaScript, where nothing is installed', async () => {
    const body = JSON.stringify([FACADE])
    put('a.ts', `import type { Facade } from 'untildone/server'\nexport default ${body} satisfies Facade[]`)
    put('b.mjs', `export const facades = ${body}`)
    put('name.ts', `export const OLD: string = 'old'`)
    put('c.ts', `import { OLD } from './name.js'\nexport default { ...${JSON.stringify(FACADE)}, name: OLD }`)
    for (const file of ['a.ts', 'b.mjs', 'c.ts']) expect(await loadFacades(file, cwd), file).toEqual([FACADE])
  })

  it('says what is wrong with it', async () => {
    put('broken.json', '{"name": }')
    put('broken.ts', 'export default {{')
    put('throws.ts', `throw new Error('not today')`)
    put('empty.json', '{}')
    put('empty.ts', 'export const other = 1')
    put('facades.yaml', 'a: 1')
    expect(await failure('none.json')).toBe('facade-file-broken: none.json does not exist.')
    expect(await failure('none.ts')).toBe('facade-file-broken: none.ts does not exist.')
    expect(await failure('broken.json')).toMatch(/^facade-file-broken: broken.json is not JSON: .+/)
    expect(await failure('broken.ts')).toMatch(/^facade-file-broken: broken.ts cannot be loaded: .+/)
    expect(await failure('throws.ts')).toBe('facade-file-broken: throws.ts cannot be loaded: not today')
    expect(await failure('empty.json')).toBe('facade-file-broken: empty.json holds no facades.')
    expect(await failure('empty.ts')).toBe('facade-file-broken: empty.ts holds no facades.')
    expect(await failure('facades.yaml')).toBe(
      'facade-file-broken: facades.yaml is no JSON, TypeScript or JavaScript file.',
    )
  })

  it('is named in what the server says about it, and in nothing else', () => {
    const wrong = new UntildoneError('bad-definition', 'Facade "old": no.', { fix: 'Do it.' })
    expect(inFile(wrong, 'x/facades.json', cwd)).toMatchObject({
      message: 'x/facades.json: Facade "old": no.',
      fix: 'Do it.',
    })
    const other = new UntildoneError('store-in-use')
    expect(inFile(other, 'facades.json', cwd)).toBe(other)
  })
})

describe('the server', () => {
  const request = (facadesFile: string | null): ServerRequest => ({
    ...{ cwd, jobsDir: 'jobs', facadesFile, dataDir: 'data', database: 'x.db', host: '127.0.0.1', port: 0 },
    ...{ env: 'test', slots: 1, tolerant: false, onError: () => {} },
  })
  beforeEach(() => {
    const handler = `defineJob('hello', { input: jsonSchema({ type: 'object' }) }).handler(async () => null)`
    put('jobs/hello.ts', `import { defineJob, jsonSchema } from 'untildone'\nexport const hello = ${handler}`)
  })

  it('serves them, names them, and says which type nobody handles', async () => {
    put('facades.json', JSON.stringify(FACADE))
    const server = await startServer(request('facades.json'))
    try {
      expect(server.facades).toEqual(['old'])
      expect(server.notes).toEqual(['Facade "old" submits jobs of type "gone", but no job file handles that.'])
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${server.url}/old`, { method: 'POST', headers, body: '{}' })
      expect([answer.status, Object.keys((await answer.json()) as object)]).toEqual([202, ['id']])
    } finally {
      await server.stop()
    }
  })

  it('hands out callback URLs under its own address, or the one that it is told', async () => {
    const handler = `async (job) => (await job.callback('vendor')).url`
    const wrapped = `defineJob('url', { input: jsonSchema({ type: 'object' }) }).handler(${handler})`
    put('jobs/url.ts', `import { defineJob, jsonSchema } from 'untildone'\nexport const url = ${wrapped}`)
    for (const publicUrl of [undefined, 'https://jobs.example.com/base/']) {
      const server = await startServer({ ...request(null), ...(publicUrl ? { publicUrl } : {}) })
      const given = String(await (await server.app.submit('url', {})).result())
      expect(given.replace(/[0-9a-f]{64}$/, '')).toBe(
        `${publicUrl ? 'https://jobs.example.com/base' : server.url}/v1/callbacks/`,
      )
      await server.stop()
    }
  })

  it('refuses to start with a wrong one, and lets go of the database', async () => {
    put('facades.json', JSON.stringify({ ...FACADE, status: 'nope' }))
    await expect(startServer(request('facades.json'))).rejects.toMatchObject({
      code: 'bad-definition',
      message: expect.stringMatching(/^facades\.json: Facade "old": `status` names the vocabulary "nope"/),
    })
    const server = await startServer(request(null))
    expect([server.facades, server.notes]).toEqual([[], []])
    await server.stop()
  })
})
