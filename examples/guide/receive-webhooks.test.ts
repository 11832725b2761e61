/** docs/guide/webhooks.md: its receivers take what is signed, once and in the right order, and nothing else. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { signWebhook, type WebhookEvent } from 'untildone/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { database, receive, take } from './receive-webhooks.js'
import { parsedFirst, receiving } from './receive-webhooks-express.mjs'

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

beforeEach(() => {
  vi.stubEnv('WEBHOOK_SECRET', SECRET)
  vi.spyOn(console, 'warn').mockImplementation(() => {})
  for (const kept of [database.rows.seen, database.rows.versions, database.rows.statuses]) kept.clear()
  database.rows.outbox.length = 0
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

function event(version: number, status: WebhookEvent['data']['status']): WebhookEvent {
  const time = '2026-11-22T09:01:44.020Z'
  return {
    ...{ specversion: '1.0', id: `job-1:${version}`, source: '/v1', type: `job.${status}`, subject: 'job/job-1' },
    ...{ time, timestamp: time, datacontenttype: 'application/json' },
    data: {
      ...{ jobId: 'job-1', jobType: 'ocr', status, done: status === 'completed', version },
      ...{ groupId: null, operationKey: 'invoice:9917', previousStatus: null },
    },
  }
}

async function delivery(what: WebhookEvent, secret = SECRET): Promise<RequestInit> {
  // #region sign
  const body = JSON.stringify(what)
  const headers = { ...(await signWebhook({ id: what.id, sentAt: Date.now(), body }, [secret])) }
  const request = { method: 'POST', headers, body }
  // #endregion
  return { ...request, headers: { ...headers, 'content-type': 'application/json' } }
}

it('fetch: takes each event once, and none that was overtaken', async () => {
  const deliver = async (what: WebhookEvent, secret?: string) =>
    (await receive(new Request('http://receiver/hooks', await delivery(what, secret)))).status
  const processing = event(2, 'processing')
  const completed = event(3, 'completed')
  for (const what of [completed, processing, completed]) expect(await deliver(what)).toBe(204)
  expect(Object.fromEntries(database.rows.statuses)).toEqual({ 'job-1': 'completed' })
  expect(database.rows.outbox).toEqual(['tell the customer: invoice:9917 is done'])

  expect(await deliver(event(4, 'failed'), `whsec_${'A'.repeat(40)}`)).toBe(400)
  expect((await receive(new Request('http://receiver/hooks', { method: 'POST', body: '{}' }))).status).toBe(400)
  vi.stubEnv('WEBHOOK_SECRET', '')
  expect(await deliver(event(5, 'failed'))).toBe(500)
  expect(Object.fromEntries(database.rows.statuses)).toEqual({ 'job-1': 'completed' })
})

async function serve(web: RequestListener, run: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(web).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

it('Express: the raw body is verified', async () => {
  await serve(receiving(take), async (url) => {
    expect((await fetch(url, await delivery(event(3, 'completed')))).status).toBe(204)
    const altered = await delivery(event(4, 'failed'))
    altered.body = `${altered.body} `
    expect((await fetch(url, altered)).status).toBe(400)
  })
  expect(Object.fromEntries(database.rows.statuses)).toEqual({ 'job-1': 'completed' })
})

it('Express: a body that was parsed before is a mistake of the receiver', async () => {
  await serve(parsedFirst(receiving(take)), async (url) => {
    expect((await fetch(url, await delivery(event(3, 'completed')))).status).toBe(500)
  })
  expect(database.rows.seen.size).toBe(0)
})
