// The part of a connector that is the same for all: repeats, errors, and lists that do not end as they should.
import { expect, test } from 'vitest'
import { ConnectorError, Http, objectAt, within } from './lib/codegen/runtime/http.js'
import { type Paging, pages } from './lib/codegen/runtime/paging.js'

type Handler = (request: Request) => Response | [number, unknown, Record<string, string>?]

function http(handler: Handler, more: object = {}) {
  const requests: Request[] = []
  const client = new Http({
    baseUrl: 'https://api.example/v1/',
    headers: { authorization: 'secret' },
    fetch: async (input, init) => {
      const request = new Request(input, init)
      requests.push(request)
      const answer = handler(request)
      if (answer instanceof Response) return answer
      return new Response(JSON.stringify(answer[1]), { status: answer[0], headers: answer[2] ?? {} })
    },
    ...more,
  })
  return { client, requests }
}

async function listed(handler: Handler, paging: Paging) {
  const { client, requests } = http(handler)
  const items: unknown[] = []
  const plan = { path: '/things', itemsPath: ['items'], idAttribute: 'id', paging }
  for await (const page of pages(client, plan)) items.push(...page)
  return { items, queries: requests.map(({ url }) => new URL(url).search) }
}

test('a busy server is asked again after the pause that it wants; a write only where nothing was done', async () => {
  const at: number[] = []
  const answers: [number, unknown, Record<string, string>?][] = [
    [429, {}, { 'retry-after': '0' }],
    [503, {}, { 'retry-after': '0' }],
    [200, { ok: 1 }],
  ]
  const { client } = http(() => {
    at.push(Date.now())
    return answers.shift()!
  })
  expect((await client.request('GET', '/x')).body).toEqual({ ok: 1 })
  expect(at).toHaveLength(3)

  const writes = http(({ method }) => [method === 'POST' ? 503 : 404, { why: 'no' }])
  await expect(writes.client.request('POST', '/x', { body: {} })).rejects.toMatchObject({
    status: 503,
    body: { why: 'no' },
  })
  await expect(writes.client.request('GET', '/x')).rejects.toThrow(ConnectorError)
  expect(writes.requests).toHaveLength(2)
})

test('gives up after its repeats, and stops when told to', async () => {
  const { client, requests } = http(() => [503, null, { 'retry-after': '0' }], { retries: 2 })
  await expect(client.request('GET', '/x')).rejects.toMatchObject({ status: 503 })
  expect(requests).toHaveLength(3)
  const controller = new AbortController()
  controller.abort(new Error('enough'))
  await expect(client.request('GET', '/x', { signal: controller.signal })).rejects.toThrow('enough')
})

test('addresses: below the base, and never to another host with the credentials', async () => {
  const { client, requests } = http(() => [200, {}])
  await client.request('GET', '/a?x=1', { query: { y: 'ü&' } })
  await client.request('GET', 'https://api.example/v1/b?page=2')
  expect(requests.map(({ url }) => url)).toEqual([
    'https://api.example/v1/a?x=1&y=%C3%BC%26',
    'https://api.example/v1/b?page=2',
  ])
  await expect(client.request('GET', 'https://evil.example/b')).rejects.toThrow('https://evil.example is not the host')
  expect(requests).toHaveLength(2)
})

test('short pages are no end, an empty one is; so is 404 behind the last one', async () => {
  const sizes = [3, 1, 3, 0, 5]
  const paging: Paging = { kind: 'page', page: 'p', size: null, first: 0, pages: null }
  const handler: Handler = ({ url }) => [
    200,
    { items: new Array(sizes[Number(new URL(url).searchParams.get('p'))]).fill('x') },
  ]
  expect((await listed(handler, paging)).items).toHaveLength(7)
  const gone: Handler = (request) => (request.url.endsWith('p=2') ? [404, {}] : handler(request))
  expect(await listed(gone, paging)).toEqual({ items: ['x', 'x', 'x', 'x'], queries: ['?p=0', '?p=1', '?p=2'] })
})

test('the id of the last object as the cursor', async () => {
  const ids = [1, 2, 3, 4, 5].map((id) => ({ id }))
  const handler: Handler = ({ url }) => {
    const after = Number(new URL(url).searchParams.get('starting_after') ?? 0)
    return [200, { items: ids.filter(({ id }) => id > after).slice(0, 2) }]
  }
  const paging: Paging = { kind: 'cursor', cursor: 'starting_after', size: null, next: null }
  expect((await listed(handler, paging)).items).toEqual(ids)
})

test('an API that sends its reader in circles is left, and an answer without a list is no empty list', async () => {
  const cursor: Paging = { kind: 'cursor', cursor: 'c', size: null, next: ['next'] }
  const circle: Handler = ({ url }) => [200, { items: [1], next: url.includes('c=a') ? 'b' : 'a' }]
  await expect(listed(circle, cursor)).rejects.toThrow('/things gives the same page again')
  const elsewhere: Handler = () => [200, { items: [1], next: 'https://evil.example/x' }]
  await expect(listed(elsewhere, { kind: 'nextUrl', next: ['next'], size: null })).rejects.toThrow('is not the host')
  await expect(listed(() => [200, { data: [] }], cursor)).rejects.toThrow('holds no list at items')
  await expect(listed(() => new Response('<html>'), cursor)).rejects.toThrow('holds no list at items')
})

test('envelopes: put on, taken off, and missed where they are not there', () => {
  const answer = { url: 'https://api.example/x', headers: new Headers(), body: within(['data', 'thing'], { id: 1 }) }
  expect(answer.body).toEqual({ data: { thing: { id: 1 } } })
  expect(objectAt(answer, ['data', 'thing'])).toEqual({ id: 1 })
  expect(within([], 'bare')).toBe('bare')
  for (const path of [['data', 'other'], ['data', 'thing', 'id'], ['toString']])
    expect(() => objectAt(answer, path)).toThrow(`holds no object at ${path.join('.')}`)
})
