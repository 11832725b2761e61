// Customers side by side: none can read, find, cancel or repeat what another one has sent, whichever door it tries.
import { sqlite } from 'untildone'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAnalysisClient } from './sdk/client.js'
import { start } from './start.js'
import { type Bench, bench } from './support.js'

let gateway: Bench
const bearer = (tenant: string) => ({ authorization: `Bearer ${gateway.keys[tenant]}` })
beforeAll(async () => {
  gateway = await bench({ tenants: ['acme', 'globex'] })
})
afterAll(() => gateway?.stop())

test('with customers there is no way in without a key', async () => {
  const { status, type, body } = await gateway.post({ text: 'a' })
  expect([status, type, body.code]).toEqual([401, 'application/problem+json', 'unauthenticated'])
  expect(body.fix).toMatch(/Authorization/)
  expect((await gateway.post({ text: 'a' }, { authorization: 'Bearer ud_live_nothing' })).status).toBe(401)
})

test('what one has sent is not there for the other', async () => {
  const key = { 'idempotency-key': 'order-1' }
  const mine = await gateway.post({ text: 'The secret plan of acme.' }, { ...bearer('acme'), ...key })
  expect(mine.status).toBe(202)
  const { jobId } = mine.body
  // The same key of another customer is another request.
  const theirs = await gateway.post({ text: 'Something else.' }, { ...bearer('globex'), ...key })
  expect([theirs.status, theirs.body.jobId === jobId]).toEqual([202, false])
  for (const [method, path] of [
    ['GET', `/status/${jobId}`],
    ['GET', `/result/${jobId}`],
    ['POST', `/cancel/${jobId}`],
  ] as const) {
    const { status, body } = await gateway.send(method, path, method === 'POST' ? {} : undefined, bearer('globex'))
    expect([status, body.code], path).toEqual([404, 'analysis-not-found'])
  }
  for (const path of [`/v1/jobs/${jobId}`, `/v1/jobs/${jobId}/result`, `/v1/jobs/${jobId}/events`])
    expect((await gateway.get(path, bearer('globex'))).status, path).toBe(404)
  const listed = async (tenant: string) =>
    (await gateway.get('', bearer(tenant))).body.analyses.map((one: { jobId: string }) => one.jobId)
  expect(await listed('acme')).toEqual([jobId])
  expect(await listed('globex')).toEqual([theirs.body.jobId])
  expect((await gateway.get(`/status/${jobId}`, bearer('acme'))).status).toBe(200)
})

test('a push tells each what is its own', async () => {
  const of = (tenant: string) => createAnalysisClient({ url: gateway.url, key: gateway.keys[tenant] })
  const { jobId } = await of('acme').submit({ text: 'One more text.' })
  const { WebSocket } = await import('ws')
  const mine = of('acme').push({ WebSocket: WebSocket as never })
  expect((await mine.ended(jobId)).status).toBe('completed')
  mine.close()
  const theirs = of('globex').push({ WebSocket: WebSocket as never })
  const other = await of('globex').submit({ text: 'And one of theirs.' })
  const heard: string[] = []
  const strange = (async () => {
    for await (const change of theirs.changes(jobId)) heard.push(change.jobId)
  })()
  expect((await theirs.ended(other.jobId)).status).toBe('completed')
  theirs.close()
  await strange
  expect(heard).toEqual([])
})

test('a key submits and reads analyses, and nothing else', async () => {
  expect((await gateway.send('POST', '/v1/api-keys', { name: 'x', scopes: ['admin'] }, bearer('acme'))).status).toBe(
    403,
  )
  for (const path of ['/v1/audit', '/v1/api-keys'])
    expect((await gateway.get(path, bearer('acme'))).status, path).toBe(403)
})

test('a key is made once, and a name that cannot be is refused', async () => {
  const store = () => sqlite(`${gateway.dir}/second.db`)
  const first = await start({ store: store(), roles: ['api'], tenants: ['acme'] })
  await first.stop()
  const second = await start({ store: store(), roles: ['api'], tenants: ['acme', 'initech'] })
  expect([Object.keys(first.keys), Object.keys(second.keys)]).toEqual([['acme'], ['initech']])
  await second.stop()
  await expect(start({ store: sqlite(':memory:'), tenants: ['A b'] })).rejects.toThrow('"A b" cannot be a tenant')
})
