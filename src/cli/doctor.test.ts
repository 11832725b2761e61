import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeClock, problem, sendJson, startFakeServer } from '../client/fake-server.mjs'
import { createContext, Interrupted } from './context.js'
import { serverChecks } from './doctor.js'
import { fakeIo } from './fake-io.mjs'

let fake: Awaited<ReturnType<typeof startFakeServer>>
let clock: ReturnType<typeof fakeClock>
const stop = { now: new AbortController() }
beforeEach(async () => {
  fake = await startFakeServer()
  clock = fakeClock()
  stop.now = new AbortController()
})
afterEach(() => fake.close())

const ME = { tenant: 'default', actor: { kind: 'service', id: 'key_1', name: 'me' }, scopes: ['jobs:read'] }
/** Answers after `tookMs`, with the time it was halfway, on a clock that is `apartMs` ahead. */
function answers({ status = 'ready', tookMs = 0, apartMs = 0 } = {}) {
  fake.routes['GET /readyz'] = (_, response) => {
    const theirs = new Date(clock.now() + tookMs / 2 + apartMs).toUTCString()
    clock.advance(tookMs)
    const checks = { store: status === 'down' ? 'failed' : 'ok' }
    sendJson(response, status === 'down' ? 503 : 200, { status, checks }, { date: theirs })
  }
  fake.routes['GET /v1/webhooks'] = (_, response) => sendJson(response, 200, { items: [], nextCursor: null })
  fake.routes['GET /v1/whoami'] = (_, response) => sendJson(response, 200, ME)
}
async function checks(late = false) {
  const io = fakeIo({ env: { UNTILDONE_URL: fake.url } })
  const { fetch } = io
  if (late)
    io.fetch = async (url, init) => {
      if (String(url).endsWith('/readyz')) throw new DOMException('It took too long.', 'TimeoutError')
      return fetch(url, init)
    }
  const found = await serverChecks(createContext(io, {}, stop.now.signal, { clock }))
  return Object.fromEntries(found.map((one) => [one.what, one]))
}
const refused = (status: number, code: string) => {
  fake.routes['GET /v1/whoami'] = (_, response) => problem(response, status, code)
}

describe('doctor about the server', () => {
  it('compares clocks with the middle of the request, whatever is asked afterwards', async () => {
    answers({ tookMs: 1500 })
    refused(503, 'store-unavailable')
    expect((await checks()).clocks).toMatchObject({ state: 'ok' })
    answers({ tookMs: 1500, apartMs: 61_000 })
    expect((await checks()).clocks).toMatchObject({ state: 'note', text: '61 s apart' })
  })

  it('says nothing of clocks when the answer took long: it may have been written at any time of it', async () => {
    answers({ tookMs: 4500, apartMs: 61_000 })
    expect(await checks()).not.toHaveProperty('clocks')
  })

  it('asks for a key only where a key is what is missing', async () => {
    answers()
    refused(401, 'unauthenticated')
    expect((await checks()).access).toMatchObject({ state: 'bad', fix: expect.stringContaining('--api-key') })
    refused(503, 'store-unavailable')
    expect((await checks()).access).toEqual({
      ...{ what: 'access', state: 'bad', text: 'Detail of store-unavailable.', fix: 'Fix of store-unavailable.' },
    })
  })

  it('does not try a key on a server that cannot look it up', async () => {
    answers({ status: 'down' })
    refused(503, 'store-unavailable')
    const { server, access } = await checks()
    expect(server).toMatchObject({ state: 'bad', text: expect.stringContaining('is down (store: failed)') })
    expect(access).toMatchObject({ state: 'note', text: 'cannot be told while the server is down' })
    expect(clock.slept).toEqual([])
  })

  it('tells a server that waits for its database from one that is not there', async () => {
    fake.routes['GET /healthz'] = (_, response) => sendJson(response, 200, { status: 'ok' })
    expect((await checks(true)).server).toMatchObject({
      ...{ state: 'bad', text: `${fake.url} runs, and did not say within 5 s that it is ready` },
      fix: expect.stringContaining('waits for its database'),
    })
    fake.routes['GET /healthz'] = (_, response) => response.destroy()
    expect((await checks(true)).server).toMatchObject({ state: 'bad', text: `no answer from ${fake.url}` })
  })

  it('ends when it is interrupted, instead of finding fault with the key', async () => {
    answers()
    fake.routes['GET /v1/whoami'] = () => stop.now.abort(new Interrupted())
    await expect(checks()).rejects.toThrow(Interrupted)
    stop.now = new AbortController()
    fake.routes['GET /readyz'] = () => stop.now.abort(new Interrupted())
    await expect(checks()).rejects.toThrow(Interrupted)
  })
})
