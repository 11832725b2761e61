/** `untildone webhooks listen` between a real server and a receiver, each on a port of its own. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import { checkWebhook } from '../core/webhook-signature.js'
import { createUntildone, defineJob, LOCAL, Permanent, sqlite, type Untildone } from '../index.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const greet = defineJob('greet', { input: z.object({ name: z.string() }) })
const publish = defineJob('docs.publish', {
  input: z.object({}),
  approvals: { publish: z.object({}) },
})

interface Received {
  path: string
  headers: IncomingHttpHeaders
  body: string
}

let app: Untildone
let listening: Listening
let cwd: string
let receiver: Server
let received: Received[]
let answer: (response: ServerResponse) => void
/** The address of the receiver, without http://. */
let at: string

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-listen-'))
  app = await createUntildone({
    store: sqlite(':memory:'),
    webhooks: { allow: ['127.0.0.1'] },
    handlers: [
      greet.handler(async ({ input }) => {
        if (input.name === 'nobody') throw new Permanent('There is nobody.', { code: 'nobody' })
        return { text: `Hello ${input.name}`, more: 'x'.repeat(Number(input.name) || 0) }
      }),
      publish.handler(async (job) => {
        await job.approve('publish', {
          ...{ summary: 'Publish it', because: 'It is Monday.', data: {} },
          writes: [{ target: 'site', operation: 'publish', change: { text: { now: null, after: 'x' } } }],
          evidence: [{ label: 'Draft', quote: 'x' }],
          impact: { description: 'Visitors read it', visibility: 'public' },
          rollback: 'Take it offline',
        })
        return null
      }),
    ],
  })
  await app.start()
  listening = await listen(createServer(app.engine), { port: 0 })
  received = []
  answer = (response) => response.writeHead(204).end()
  receiver = createHttp(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    received.push({ path: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString() })
    answer(response)
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  at = `127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`
})
afterEach(async () => {
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
  await listening.close()
  await app.stop()
  rmSync(cwd, { recursive: true })
})

/** Runs it until `use` is done, then presses Ctrl-C. */
async function listened(
  words: string[],
  use: (io: ReturnType<typeof fakeIo>, clock: ReturnType<typeof fakeClock>) => Promise<void>,
  env: Record<string, string> = {},
) {
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: listening.url, ...env } })
  const clock = fakeClock()
  const running = run(['webhooks', 'listen', ...words], io, { clock })
  await io.saw(/Ready|"ready"|✕/)
  await use(io, clock)
  io.interrupt()
  return { exit: await running, out: io.stdout, err: io.stderr }
}
const finished = async (name: string) => (await app.submit(greet, { name })).result().catch(() => null)
/** So many lines of deliveries: the narration names events, too. */
const lines = (io: ReturnType<typeof fakeIo>, n: number) =>
  io.saw(new RegExp(`(^\\d\\d:\\d\\d:\\d\\d {2}job[^]*?){${n}}`, 'm'))
const secretIn = (text: string) => /whsec_\S+/.exec(text)![0].replace(/["}].*$/, '')

it('sends how a job ends as the server would, signed', async () => {
  await finished('before')
  const { exit, out, err } = await listened(['--forward-to', at], async (io) => {
    await finished('Ada')
    await io.saw(/ 204 /)
  })
  expect(exit).toBe(0)
  expect(received).toHaveLength(1)
  const [{ path, headers, body }] = received as [Received]
  const event = JSON.parse(body)
  expect(event).toMatchObject({ type: 'job.completed', source: '/v1', data: { jobType: 'greet', status: 'completed' } })
  expect(path).toBe('/hooks')
  expect(headers).toMatchObject({
    'webhook-id': event.id,
    'content-type': 'application/json; charset=utf-8',
    'user-agent': 'Untildone-Webhooks',
  })
  const sentAt = new Date(Number(headers['webhook-timestamp']) * 1000)
  const secret = secretIn(err)
  expect(new Webhook(secret).sign(event.id, sentAt, body)).toBe(headers['webhook-signature'])
  expect(out).toMatch(/^\d\d:\d\d:\d\d {2}job\.completed {7}[0-9a-f]{8} {2}204 {2}\S+ ms\n$/)
  expect(err).toContain('Nothing is sent twice here')
  expect(err).toContain('Stopped. 1 event sent.')
})

it.each(['thin', 'full'] as const)('%s: is what a webhook of the server gets', async (payload) => {
  const url = `http://${at.replace('/hooks', '/webhook')}`
  const { secret } = await app.engine.webhooks.create(LOCAL, { url, payload, events: ['job.processing', 'job.failed'] })
  await listened(['--forward-to', at, '--payload', payload, '--events', 'job.processing,job.failed'], async (io) => {
    await finished('nobody')
    await lines(io, 2)
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(4)
  })
  const own = ['webhook-signature', 'webhook-timestamp', 'content-length']
  // How the two HTTP clients of Node talk to any server; nothing of ours.
  const ofHttp = ['host', 'connection', 'accept', 'accept-language', 'accept-encoding', 'sec-fetch-mode']
  const sent = (from: string) =>
    received
      .filter(({ path }) => path === from)
      .map(({ headers, body }) => ({
        headers: Object.entries(headers)
          .filter(([name]) => ![...own, ...ofHttp].includes(name))
          .sort(),
        body: JSON.parse(body),
      }))
      .sort((a, b) => (a.body.id < b.body.id ? -1 : 1))
  const [mine, theirs] = [sent('/hooks'), sent('/webhook')]
  expect(mine.map(({ body }) => body.type)).toEqual(['job.processing', 'job.failed'])
  expect(mine[1]).toEqual(theirs[1])
  // With `full` the job is as it is when it is sent, which is not the same moment.
  const alike = ({ headers, body }: (typeof mine)[number]) => ({ headers, ...body, data: { ...body.data, job: null } })
  expect(mine.map(alike)).toEqual(theirs.map(alike))
  for (const { path, headers, body } of received) {
    const key = path === '/hooks' ? readFileSync(join(cwd, '.untildone/webhook-secret'), 'utf8').trim() : secret!
    expect(await checkWebhook({ headers, body, keys: [key], toleranceMs: Infinity, now: 0 })).toMatchObject({
      ok: true,
    })
  }
})

it('keeps its secret for the next start, for nobody else to read', async () => {
  const first = await listened(['--forward-to', at], async () => {})
  const second = await listened(['--forward-to', at], async () => {})
  const path = join(cwd, '.untildone/webhook-secret')
  expect(secretIn(first.err)).toBe(secretIn(second.err))
  expect(readFileSync(path, 'utf8').trim()).toBe(secretIn(first.err))
  expect(statSync(path).mode & 0o077).toBe(0)
  writeFileSync(path, 'rubbish')
  expect(secretIn((await listened(['--forward-to', at], async () => {})).err)).not.toBe(secretIn(first.err))
})

it('goes on where it was when the server comes back', async () => {
  const { port } = listening
  const { exit, err } = await listened(['--forward-to', at], async (io) => {
    await finished('one')
    await lines(io, 1)
    await listening.close()
    await io.saw(/does not answer/)
    await finished('meanwhile')
    listening = await listen(createServer(app.engine), { port })
    await io.saw(/is back/)
    await finished('three')
    await lines(io, 3)
  })
  expect(exit).toBe(0)
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(3)
  expect(received).toHaveLength(3)
  expect(err.match(/does not answer/g)).toHaveLength(1)
})

it('hears only what it is asked to', async () => {
  const { out } = await listened(['--print', '--events', 'job.accepted,job.failed', '--types', 'gr*'], async (io) => {
    await app.submit(publish, {})
    await finished('nobody')
    await lines(io, 2)
  })
  const told = out.split('\n').filter((line) => /^\d\d:/.test(line))
  expect(told.map((line) => /job\.\w+/.exec(line)![0])).toEqual(['job.accepted', 'job.failed'])
  expect(out).toContain('  "type": "job.failed"')
  expect(received).toEqual([])
})

it('of one tag', async () => {
  const { out } = await listened(['--print', '--json', '--tags', 'eu,us'], async (io) => {
    await finished('untagged')
    const tagged = await app.submit(greet, { name: 'Ada' }, { tags: ['us'] })
    await tagged.result()
    await io.saw(new RegExp(tagged.id))
  })
  const [ready, ...events] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(ready).toMatchObject({ event: 'ready', forwardTo: null, secret: expect.stringMatching(/^whsec_/) })
  expect(events).toMatchObject([{ event: 'job.completed', status: null, body: { data: { status: 'completed' } } }])
})

it('--payload full has the job with it, without its result where that is too large', async () => {
  await listened(['--forward-to', at, '--payload', 'full'], async (io) => {
    await finished('5')
    await finished('262144')
    await lines(io, 2)
  })
  const [small, large] = received.map(({ body }) => JSON.parse(body).data.job)
  expect(small).toMatchObject({ status: 'completed', result: { text: 'Hello 5', more: 'xxxxx' } })
  expect(large).toMatchObject({ status: 'completed', result: null })
})

it.each([
  ['404', (response: ServerResponse) => response.writeHead(404).end(), 'nothing at POST /hooks: check the path'],
  ['401', (response: ServerResponse) => response.writeHead(401).end(), 'Does it verify with the secret above'],
  ['302', (response: ServerResponse) => response.writeHead(302, { location: '/login' }).end(), 'points to, /login'],
  ['410', (response: ServerResponse) => response.writeHead(410).end(), 'a server would disable the webhook'],
  ['no answer', (response: ServerResponse) => response.socket!.destroy(), 'closed the connection without an answer'],
])('%s: says what to do, once', async (word, how, hint) => {
  answer = how
  const { err, out } = await listened(['--forward-to', at], async (io) => {
    await finished('one')
    await finished('two')
    await lines(io, 2)
  })
  expect(out.match(new RegExp(` ${word} `, 'g'))).toHaveLength(2)
  expect(err.split(hint)).toHaveLength(2)
  expect(err).toContain('Stopped. 2 events sent, 2 not received.')
})

it('says that nothing listens, and goes on when something does', async () => {
  const { port } = receiver.address() as AddressInfo
  await new Promise((resolve) => receiver.close(resolve))
  const { err } = await listened(['--forward-to', at], async (io) => {
    await finished('one')
    await io.saw(/Nothing listens at/)
    await new Promise<void>((resolve) => receiver.listen(port, '127.0.0.1', resolve))
    await finished('two')
    await io.saw(/ 204 /)
  })
  expect(err).toContain(
    `→ Nothing listens at http://127.0.0.1:${port}. Start your receiver, or give its address: --forward-to`,
  )
})

it('waits 20 s for an answer', async () => {
  answer = () => {}
  const { err, out } = await listened(['--forward-to', at], async (io, clock) => {
    await finished('one')
    await expect.poll(() => received.length).toBe(1)
    expect(clock.fire(20_000)).toBe(1)
    await io.saw(/No answer within 20 s/)
  })
  expect(out).toContain('no answer')
  expect(err).toContain('Answer 2xx first')
})

it('hears approvals', async () => {
  const { out } = await listened(
    ['--print', '--json', '--events', 'approval.requested,approval.decided'],
    async (io) => {
      const { id } = await app.submit(publish, {})
      await io.saw(/"event":"approval\.requested"/)
      const [item] = (await app.engine.approvals.list(LOCAL, { jobId: id })).items
      await app.engine.approvals.decide(
        { ...LOCAL, actor: { kind: 'user', id: 'mara' }, person: { id: 'mara' } },
        item!.id,
        { decision: 'reject', reason: 'Not now.', evidenceDigest: item!.digest } as never,
      )
      await io.saw(/"event":"approval\.decided"/)
    },
  )
  const events = out
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line).body)
  expect(events.map(({ type, data }) => [type, data.gate, data.state, data.jobType])).toEqual([
    ['approval.requested', 'publish', 'pending', 'docs.publish'],
    ['approval.decided', 'publish', 'rejected', 'docs.publish'],
  ])
})

it.each([
  [[], 'Where is your receiver?', 2],
  [['--forward-to', 'http://'], '"http://" is no address', 2],
  [['--print', '--events', 'job.done'], '"job.done" is no event', 2],
  [['--print', '--events', 'webhook.ping'], 'cannot be heard here', 2],
])('%j is refused before anything is asked', async (words, what, exit) => {
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: 'http://127.0.0.1:9' } })
  expect(await run(['webhooks', 'listen', ...words], io, { clock: fakeClock() })).toBe(exit)
  expect(io.stderr).toContain(what)
})

it('a key that may not read is told so, and what would', async () => {
  const { key } = await app.engine.createKey(LOCAL, { name: 'hooks', scopes: ['webhooks:manage'] })
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: listening.url, UNTILDONE_KEY: key! } })
  expect(await run(['webhooks', 'listen', '--print'], io, { clock: fakeClock() })).toBe(4)
  expect(io.stderr).toContain('untildone keys create --name me --scopes jobs:read')
})

it('a server that is not there is an error at the start', async () => {
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: 'http://127.0.0.1:9' } })
  expect(await run(['webhooks', 'listen', '--print'], io, { clock: fakeClock() })).toBe(3)
})
