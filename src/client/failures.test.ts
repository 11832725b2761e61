import { afterEach, beforeEach, expect, it } from 'vitest'
import { fakeClock, sendJson, startFakeServer } from './fake-server.mjs'
import { createClient } from './index.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
const client = () => createClient({ url: fake.url, clock: fakeClock() })
const sent = () =>
  fake.requests.map(({ method, path, query, body }) => [
    method,
    query.size > 0 ? `${path}?${query}` : path,
    body === '' ? null : JSON.parse(body),
  ])
const answers = (route: string, status: number, value: unknown = {}) => {
  fake.routes[route] = (_, response) => sendJson(response, status, value)
}
beforeEach(async () => {
  fake = await startFakeServer()
})
afterEach(() => fake.close())

it('lists failures page by page', async () => {
  const pages: Record<string, unknown> = {
    '': { items: [{ fingerprint: 'a' }], nextCursor: 'c' },
    c: { items: [{ fingerprint: 'b' }], nextCursor: null },
  }
  fake.routes['GET /v1/failures'] = (request, response) =>
    sendJson(response, 200, pages[request.query.get('cursor') ?? ''])
  const seen: string[] = []
  for await (const one of client().failures.list({ type: 'ocr.*', since: new Date(0), limit: 1 }))
    seen.push(one.fingerprint)
  expect(seen).toEqual(['a', 'b'])
  expect(sent().map(([, path]) => path)).toEqual([
    '/v1/failures?type=ocr.*&limit=1&since=1970-01-01T00%3A00%3A00.000Z',
    '/v1/failures?type=ocr.*&limit=1&since=1970-01-01T00%3A00%3A00.000Z&cursor=c',
  ])
})

it('teaches, adds, lists, forgets and explains in the words of the wire', async () => {
  answers('GET /v1/failures/f', 200, { fingerprint: 'f' })
  answers('POST /v1/failures/f/teach', 201, { rule: { id: 1 } })
  answers('POST /v1/rules', 201, { rule: { id: 2 } })
  answers('GET /v1/rules', 200, { items: [{ id: 2 }], nextCursor: null })
  answers('DELETE /v1/rules/2', 200, { id: 2, inForce: false })
  answers('POST /v1/explain-error', 200, { verdict: 'harmless' })
  const { failures, rules, explainError } = client()
  expect((await failures.get('f')).fingerprint).toBe('f')
  const when = { match: 'font', signal: 'SIGSEGV', engine: { name: 'tess', versions: '5.3.x' } }
  expect((await failures.teach('f', { verdict: 'harmless', reason: 'noise', when, dryRun: true })).rule?.id).toBe(1)
  await rules.add('ocr', { verdict: 'review', reason: 'May', when: { exit: 3 } })
  expect((await rules.list({ type: 'ocr', all: true })).map(({ id }) => id)).toEqual([2])
  expect((await rules.forget(2, { reason: 'replaced' })).inForce).toBe(false)
  expect((await explainError('ocr', { message: 'font', signal: 'SIGSEGV' })).verdict).toBe('harmless')
  expect(sent().slice(1)).toEqual([
    ['POST', '/v1/failures/f/teach', { verdict: 'harmless', reason: 'noise', dryRun: true, ...when }],
    ['POST', '/v1/rules', { type: 'ocr', verdict: 'review', reason: 'May', exit: 3 }],
    ['GET', '/v1/rules?type=ocr&all=true', null],
    ['DELETE', '/v1/rules/2?reason=replaced', null],
    ['POST', '/v1/explain-error', { type: 'ocr', message: 'font', signal: 'SIGSEGV' }],
  ])
})

it('does not teach again after a lost answer', async () => {
  fake.routes['POST /v1/failures/f/teach'] = (_, response) => response.destroy()
  await expect(client().failures.teach('f', { verdict: 'harmless', reason: 'noise' })).rejects.toThrow()
  expect(fake.requests).toHaveLength(1)
})
