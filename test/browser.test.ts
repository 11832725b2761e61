/**
 * The client in a real browser: its files as they are in dist, loaded by a page of another origin that holds no key,
 * only tickets. The page says what it was told; the server and the browser are real.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createClient } from '../src/client/index.js'
import { createUntildone, defineJob, LOCAL, sqlite, type Untildone } from '../src/index.js'
import { createServer, type Listening, listen } from '../src/server/index.js'

const ROOT = join(import.meta.dirname, '..')
const BROWSER = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
)
const NEEDS = 'needs a browser; enable: apt-get install chromium'

const PAGE = `<!doctype html><meta charset="utf-8"><title>hooks</title>
<script type="importmap">{ "imports": { "eventsource-parser": "/node_modules/eventsource-parser/dist/index.js" } }</script>
<script type="module">
import { createClient } from '/dist/client/index.js'
const report = (what) => fetch('/report', { method: 'POST', body: JSON.stringify(what) })
addEventListener('error', (event) => report({ error: String(event.message) }))
addEventListener('unhandledrejection', (event) => report({ error: String(event.reason) }))
const ticket = async (query) => (await (await fetch('/ticket?' + query)).json()).ticket
const { url, group, job } = await (await fetch('/start')).json()
const client = createClient({ url, ticket: () => ticket('use=sse') })
const ofJob = createClient({ url, ticket: () => ticket('use=sse&job=' + job) })
const told = { connections: [] }
let saw
const first = new Promise((resolve) => (saw = resolve))
const watched = (async () => {
  for await (const seen of ofJob.watch(job, { onConnection: (how) => told.connections.push(how) })) (told.watched = [...(told.watched ?? []), seen.status]), saw()
})()
const heard = (async () => {
  const ended = new Set()
  for await (const event of client.events({ groupId: group })) {
    if (event.data.done) ended.add(event.data.jobId)
    if (ended.size === 3) return (told.heard = [...ended].sort())
  }
})()
const socket = client.socket({ ticket: () => ticket('use=ws') })
const bySocket = (async () => {
  const ended = new Set()
  for await (const item of socket.subscribe({ groupId: group })) {
    const { id, done } = 'job' in item ? item.job : { id: item.data.jobId, done: item.data.done }
    if (done) ended.add(id)
    if (ended.size === 3) return (told.bySocket = [...ended].sort())
  }
})()
await first
await report({ ready: true })
await Promise.all([watched, heard, bySocket])
socket.close()
await report(told)
</script>`

const greet = defineJob('greet', { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })

let app: Untildone
let api: Listening
let site: Server
let browser: ChildProcess | undefined
let profile: string
const reports: any[] = []
let onReport = () => {}
let ids: string[] = []

beforeAll(async () => {
  if (!BROWSER) return
  app = await createUntildone({ store: sqlite(':memory:'), handlers: [greet.handler(hello)] })
  site = createHttpServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x')
    if (pathname === '/') return void response.setHeader('content-type', 'text/html').end(PAGE)
    if (pathname === '/start') return void response.end(JSON.stringify({ url: api.url, group: 'g1', job: ids[0] }))
    if (pathname === '/ticket') {
      const use = searchParams.get('use') as 'sse' | 'ws'
      // What the program behind the page does: it holds the key, and says what the page may see.
      const job = searchParams.get('job')
      const filter = job === null ? { groupId: 'g1' } : { jobId: [job] }
      return void response.end(JSON.stringify(await client.streamTicket({ filter, use })))
    }
    if (pathname === '/report') {
      let body = ''
      for await (const chunk of request) body += chunk
      reports.push(JSON.parse(body))
      onReport()
      return void response.end()
    }
    if (!/^\/(dist\/(client|core|define)|node_modules\/eventsource-parser)\/[\w./-]+\.js$/.test(pathname))
      return void response.writeHead(404).end()
    response.setHeader('content-type', 'text/javascript').end(readFileSync(join(ROOT, pathname)))
  })
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  api = await listen(createServer(app.engine, { cors: { origins: [origin] } }), { port: 0 })
  const key = await app.engine.createKey(LOCAL, { name: 'backend', scopes: ['admin'] })
  const client = createClient({ url: api.url, key: key.key! })
  await app.start()
  for (const name of ['Ada', 'Eve', 'Kim']) ids.push((await app.submit(greet, { name }, { group: 'g1' })).id)
  ids = ids.sort()
  profile = mkdtempSync(join(tmpdir(), 'untildone-browser-'))
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${profile}`]
  browser = spawn(BROWSER, [...flags, `${origin}/`], { stdio: 'ignore', detached: true })
}, 60_000)

afterAll(async () => {
  if (browser?.pid) process.kill(-browser.pid, 'SIGKILL')
  site?.closeAllConnections()
  site?.close()
  await api?.close()
  await app?.stop()
  if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
})

let goOn = () => {}
const pageIsThere = new Promise<void>((resolve) => (goOn = resolve))
async function hello(job: { input: { name: string } }) {
  await pageIsThere
  return { text: `Hello ${job.input.name}` }
}

async function reported(n: number): Promise<any> {
  while (reports.length < n) await new Promise<void>((resolve) => (onReport = resolve))
  expect(reports[n - 1].error).toBeUndefined()
  return reports[n - 1]
}

it(
  'watches a job, hears of a group by stream and by socket, and holds no key',
  { timeout: 60_000 },
  async (context) => {
    if (!BROWSER) context.skip(NEEDS)
    await reported(1)
    goOn()
    const told = await reported(2)
    expect(told.heard).toEqual(ids)
    expect(told.bySocket).toEqual(ids)
    expect(told.watched).toEqual(['processing', 'completed'])
    expect(told.connections).toContain('stream')
  },
)
