/** The snippets of docs/guide/webhooks.md: from a subscription to a receiver that verifies, and what became of it. */
import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createUntildone, sqlite, type Untildone } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, type Listening, listen } from 'untildone/server'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { greet, greetHandler } from './greet.js'
import { database, receive } from './receive-webhooks.js'

let app: Untildone
let listening: Listening
let url: string
/** What the receiver answers instead of receiving, while it is set. */
let outOfOrder: number | null = null

/** A receiver for fetch requests on Node's own server. */
const receiver = createHttp(async (incoming, outgoing) => {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const request = { method: 'POST', headers: incoming.headers as Record<string, string>, body: Buffer.concat(chunks) }
  const status = outOfOrder ?? (await receive(new Request(url, request))).status
  outgoing.writeHead(status).end()
})

beforeEach(async () => {
  outOfOrder = null
  for (const kept of [database.rows.seen, database.rows.versions, database.rows.statuses]) kept.clear()
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`
  // #region allow
  app = await createUntildone({
    store: sqlite(':memory:'),
    handlers: [greetHandler],
    // Without this line only public https addresses are called.
    webhooks: { allow: ['127.0.0.1', 'hooks.internal', '10.1.0.0/16'] },
  })
  // #endregion
  listening = await listen(createServer(app.engine), { port: 0 })
  await app.start()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await listening.close()
  await app.stop()
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
})

it('is told how a job ends, and says who was told', async () => {
  const client = createClient({ url: listening.url })
  // #region subscribe
  const hook = await client.webhooks.create({
    url,
    events: ['job.completed', 'job.failed', 'job.blocked'],
    filter: { types: ['greet', 'invoice.*'] },
    description: 'order desk',
  })
  console.assert(hook.secret !== undefined) // shown once: it belongs to the receiver
  // #endregion
  vi.stubEnv('WEBHOOK_SECRET', hook.secret!)

  const job = await client.submit(greet, { name: 'Ada' })
  await expect.poll(() => database.rows.statuses.get(job.id), { timeout: 20_000 }).toBe('completed')

  // The receiver acts before it answers, and only the answer is on record.
  const told = () => client.webhooks.jobDeliveries(job.id).page()
  await expect.poll(async () => (await told()).items[0]?.lastStatus, { timeout: 20_000 }).toBe(204)
  // #region told
  for await (const { eventType, url, status, lastStatus } of client.webhooks.jobDeliveries(job.id))
    console.assert(eventType === 'job.completed' && status === 'completed', url, lastStatus)
  // #endregion
  expect((await told()).items).toMatchObject([{ eventType: 'job.completed', webhookId: hook.id, lastStatus: 204 }])
})

it('tells one job to whom it names, and sends again what did not arrive', async () => {
  const client = createClient({ url: listening.url })
  const hook = await client.webhooks.create({ url, events: [] })
  vi.stubEnv('WEBHOOK_SECRET', hook.secret!)
  outOfOrder = 500
  // #region notify
  const job = await client.submit(greet, { name: 'Ada' }, { notify: [{ webhookId: hook.id }] })
  // #endregion
  const delivery = async () => (await client.webhooks.jobDeliveries(job.id).page()).items[0]
  await expect.poll(async () => (await delivery())?.lastError, { timeout: 20_000 }).toBe('The receiver answered 500.')

  outOfOrder = null
  const { id } = (await delivery())!
  // #region resend
  await client.webhooks.resend(id) // still under way: its next try begins now
  // #endregion
  await expect.poll(() => database.rows.statuses.get(job.id), { timeout: 20_000 }).toBe('completed')
  const { tries, status } = await client.webhooks.delivery(id)
  expect([status, tries!.map(({ status }) => status)]).toEqual(['completed', [500, 204]])
})

it('keeps nothing back while a secret is replaced', async () => {
  const client = createClient({ url: listening.url })
  const hook = await client.webhooks.create({ url })
  vi.stubEnv('WEBHOOK_SECRET', hook.secret!)
  // #region rotate
  const { secret } = await client.webhooks.rotate(hook.id, { overlap: '7d', reason: 'yearly' })
  // #endregion
  for (const known of [hook.secret!, secret!]) {
    vi.stubEnv('WEBHOOK_SECRET', known)
    const job = await client.submit(greet, { name: 'Ada' })
    await expect.poll(() => database.rows.statuses.get(job.id), { timeout: 20_000 }).toBe('completed')
  }
})
