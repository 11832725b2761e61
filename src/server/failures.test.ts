/** Failures and taught rules over HTTP with the real engine behind them. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { WireExplainedError, WireFailure, WireRule, WireTeaching } from '../core/wire-failure.js'
import { defineJob, until } from '../define/index.js'
import { type Caller, LOCAL } from '../engine/api.js'
import { createTestRig } from '../testing/index.js'
import { createServer } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'
import type { components } from './schemas/index.js'

const render = defineJob('render', { input: z.object({ page: z.number(), word: z.string() }) }).handler(
  { retry: until({ attempts: 1 }) },
  ({ input }) => Promise.reject(new Error(`${input.word} substitution on page ${input.page}`)),
)
const READER: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'k' }, scopes: ['jobs:read'] }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function running(basePath = '') {
  const rig = await createTestRig([render])
  cleanups.push(() => rig.close())
  const server = createServer(rig.engine, {
    authenticate: async (request) => (request.headers.get('x-who') === 'reader' ? READER : LOCAL),
    basePath,
  })
  cleanups.push(() => server.close())
  const send = (method: string, path: string, body?: unknown, who = '') =>
    server.fetch(
      new Request(`http://localhost${basePath}${path}`, {
        method,
        headers: { 'x-who': who, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    )
  const json = async <T>(method: string, path: string, body?: unknown) =>
    (await (await send(method, path, body)).json()) as T
  const meet = async (page: number, word = 'font') => {
    await rig.submit('render', { page, word })
    await rig.settle()
    await rig.advance('1s')
  }
  return { rig, send, json, meet }
}

const document = buildOpenapi(routes, { base: '', version: '1' }) as any
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'doc', ...document })
const wrongIn = (name: string, value: unknown) => {
  const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
  return check(value) ? null : ajv.errorsText(check.errors)
}
type Failures = { items: WireFailure[]; nextCursor: string | null }

test('lists, shows, teaches, explains and forgets, each as the document says', async () => {
  const { send, json, meet } = await running()
  await meet(1)
  await meet(2)
  const page = await json<Failures>('GET', '/v1/failures?type=render&since=2026-11-22T09:00:00Z')
  expect(wrongIn('FailurePage', page)).toBe(null)
  const [{ fingerprint, count }] = page.items as [WireFailure]
  expect(count).toBe(2)
  const one = await json<WireFailure>('GET', `/v1/failures/${fingerprint}`)
  expect([wrongIn('Failure', one), one.recent]).toEqual([null, { jobs: 2, met: 2 }])

  const teach = { verdict: 'harmless', reason: 'noise of the engine' }
  const dry = await send('POST', `/v1/failures/${fingerprint}/teach`, { ...teach, dryRun: true })
  expect([dry.status, dry.headers.get('location')]).toEqual([200, null])
  expect(await dry.json()).toMatchObject({ rule: null, matched: 1 })
  const taught = await send('POST', `/v1/failures/${fingerprint}/teach`, teach)
  const teaching = (await taught.json()) as WireTeaching
  expect([taught.status, taught.headers.get('location'), wrongIn('Teaching', teaching)]).toEqual([
    201,
    '/v1/rules/1',
    null,
  ])
  const added = await send('POST', '/v1/rules', {
    type: 'render',
    match: '/licen[cs]e/i',
    verdict: 'review',
    reason: 'May',
  })
  expect([added.status, added.headers.get('location')]).toEqual([201, '/v1/rules/2'])

  const explained = await json<WireExplainedError>('POST', '/v1/explain-error', {
    ...{ type: 'render', message: 'font substitution on page 9', engine: { name: 'tess', version: '5.3.0' } },
  })
  expect([wrongIn('ExplainedError', explained), explained.verdict, explained.taught?.id]).toEqual([null, 'harmless', 1])

  const rules = await json<{ items: WireRule[] }>('GET', '/v1/rules')
  expect([wrongIn('TaughtRuleList', rules), rules.items.map(({ id }) => id)]).toEqual([null, [2, 1]])
  const forgotten = await json<WireRule>('DELETE', '/v1/rules/1?reason=replaced')
  expect([wrongIn('TaughtRule', forgotten), forgotten.inForce]).toEqual([null, false])
  expect((await json<{ items: WireRule[] }>('GET', '/v1/rules')).items).toHaveLength(1)
  expect((await json<{ items: WireRule[] }>('GET', '/v1/rules?all=true')).items).toHaveLength(2)
})

test('pages carry a link to the next', async () => {
  const { send, meet } = await running()
  await meet(1)
  await meet(2, 'image')
  const first = await send('GET', '/v1/failures?limit=1')
  const { items } = (await first.json()) as Failures
  const next = /^<(.+)>; rel="next"$/.exec(first.headers.get('link')!)![1]!
  const second = (await (await send('GET', next)).json()) as Failures
  expect([...items, ...second.items].map(({ words }) => words)).toEqual([
    'image substitution on page <n>',
    'font substitution on page <n>',
  ])
  expect(second.nextCursor).toBe(null)
})

test('refuses in the words of the problem registry', async () => {
  const { send, meet, json } = await running()
  await meet(1)
  const [{ fingerprint }] = (await json<Failures>('GET', '/v1/failures')).items as [WireFailure]
  const at = `/v1/failures/${fingerprint}/teach`
  const said = async (answer: Response) => {
    const { code, errors } = (await answer.json()) as { code: string; errors?: { pointer: string }[] }
    return [answer.status, code, ...(errors ?? []).map(({ pointer }) => pointer)]
  }
  const wellTaught = { verdict: 'permanent', reason: 'x' }
  expect(await said(await send('POST', at, { ...wellTaught, verdict: 'ignore' }))).toEqual([
    422,
    'validation-failed',
    '/verdict',
  ])
  expect(await said(await send('POST', at, { verdict: 'permanent' }))).toEqual([422, 'validation-failed', '/reason'])
  expect(await said(await send('POST', at, { ...wellTaught, match: 'other' }))).toEqual([
    422,
    'validation-failed',
    '/match',
  ])
  expect(await said(await send('POST', at, { ...wellTaught, fingerprint }))).toContain('validation-failed')
  expect(await said(await send('POST', '/v1/failures/0000000000000000/teach', wellTaught))).toEqual([404, 'not-found'])
  expect(await said(await send('GET', '/v1/failures/x'))).toEqual([404, 'not-found'])
  expect(await said(await send('DELETE', '/v1/rules/x?reason=y'))).toEqual([404, 'not-found'])
  expect(await said(await send('DELETE', '/v1/rules/7?reason=y'))).toEqual([404, 'not-found'])
  expect(await said(await send('POST', '/v1/explain-error', { type: 'none', message: 'x' }))).toEqual([
    404,
    'not-found',
  ])
  expect(await said(await send('GET', '/v1/failures?cursor=x'))).toContain('invalid-cursor')
  for (const [method, path, body] of [
    ['GET', '/v1/failures'],
    ['GET', `/v1/failures/${fingerprint}`],
    ['POST', at, wellTaught],
    ['GET', '/v1/rules'],
    ['POST', '/v1/rules', { type: 'render', match: 'x', ...wellTaught }],
    ['DELETE', '/v1/rules/1?reason=x'],
    ['POST', '/v1/explain-error', { type: 'render', message: 'x' }],
  ] as const)
    expect(await said(await send(method, path, body, 'reader')), path).toEqual([403, 'forbidden'])
})

test('links stand under the mount prefix', async () => {
  const { json, meet, send } = await running('/background')
  await meet(1)
  const [{ links, fingerprint }] = (await json<Failures>('GET', '/v1/failures')).items as [WireFailure]
  expect(links.teach).toBe(`/background/v1/failures/${fingerprint}/teach`)
  expect(links.job).toMatch(/^\/background\/v1\/jobs\//)
  const taught = await send('POST', `/v1/failures/${fingerprint}/teach`, { verdict: 'permanent', reason: 'x' })
  expect(taught.headers.get('location')).toBe('/background/v1/rules/1')
})

test('the schemas are the types of the wire', () => {
  type Of<T extends z.ZodType> = z.infer<T>
  type C = typeof components
  expectTypeOf<Of<C['Failure']>>().toExtend<WireFailure>()
  expectTypeOf<keyof Of<C['Failure']>>().toEqualTypeOf<keyof WireFailure>()
  expectTypeOf<Of<C['TaughtRule']>>().toExtend<WireRule>()
  expectTypeOf<keyof Of<C['TaughtRule']>>().toEqualTypeOf<keyof WireRule>()
  expectTypeOf<Of<C['Teaching']>>().toExtend<WireTeaching>()
  expectTypeOf<keyof Of<C['Teaching']>>().toEqualTypeOf<keyof WireTeaching>()
  expectTypeOf<Of<C['ExplainedError']>>().toExtend<WireExplainedError>()
  expectTypeOf<keyof Of<C['ExplainedError']>>().toEqualTypeOf<keyof WireExplainedError>()
})
