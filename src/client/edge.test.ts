/**
 * The client as a runtime at the edge or a browser sees it: its files as they are, not bundled, in a context that has the
 * web globals named here and nothing of Node.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import ts from 'typescript'
import { beforeEach, expect, it } from 'vitest'
import type { WireJob } from '../core/wire.js'
import { fakeLive } from './fake-live.mjs'
import { virtualClock } from './fake-time.mjs'
import type * as Client from './index.js'

const SRC = join(import.meta.dirname, '..')
let clock: ReturnType<typeof virtualClock>
let live: ReturnType<typeof fakeLive>
beforeEach(() => {
  clock = virtualClock()
  live = fakeLive(clock)
})

/** setTimeout in the time of the clock. */
function timers() {
  const stops = new Map<number, AbortController>()
  return {
    setTimeout: (act: () => void, ms: number) => {
      const id = stops.size + 1
      const stop = new AbortController()
      stops.set(id, stop)
      clock.sleep(ms, stop.signal).then(act, () => {})
      return id
    },
    clearTimeout: (id: number) => stops.get(id)?.abort(),
  }
}

const texts = new Map<string, string>()
function compiled(path: string): string {
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 }
  const known = texts.get(path)
  if (known !== undefined) return known
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions })
  texts.set(path, outputText)
  return outputText
}

/** Loads `untildone/client` into a new context with these globals. */
function load(more: object = {}): typeof Client {
  const globals = {
    fetch: live.fetch,
    ReadableStream,
    TextDecoder,
    TextEncoder,
    AbortController,
    URL,
    URLSearchParams,
    crypto,
  }
  const context = createContext({ ...globals, ...timers(), ...more })
  const loaded = new Map<string, { exports: any }>()
  const require = (from: string, name: string): unknown => {
    const path = name.startsWith('.')
      ? join(dirname(from), name.replace(/\.js$/, '.ts'))
      : createRequire(from).resolve(name)
    // What is outside of our folder may only be what the package itself ships for the browser.
    if (!path.startsWith(SRC)) expect(name).toBe('eventsource-parser')
    const known = loaded.get(path)
    if (known) return known.exports
    const module = { exports: {} }
    loaded.set(path, module)
    const code = `(function (module, exports, require) {${compiled(path)}\n})`
    const run = runInContext(code, context, { filename: path })
    run(module, module.exports, (inner: string) => require(path, inner))
    return module.exports
  }
  return require(join(SRC, 'client/main.ts'), './index.js') as typeof Client
}

it('has nothing of Node in that context', () => {
  const names = [
    'process',
    'Buffer',
    'require',
    'setImmediate',
    'Blob',
    'Headers',
    'WebSocket',
    'EventSource',
    'window',
  ]
  const context = createContext({})
  expect(names.filter((name) => runInContext(`typeof ${name}`, context) !== 'undefined')).toEqual([])
})

it('submits, watches over the stream and takes the result', async () => {
  const post = live.fetch
  live.fetch = async (input, init) => {
    if (init?.method !== 'POST') return post(input, init)
    live.add('a')
    return Response.json(live.jobs.get('a'), { status: 202 })
  }
  const client = load({ fetch: live.fetch }).createClient({ url: 'http://fake', key: 'ud_live_1' })
  const handle = await client.submit('greet', { name: 'Ada' })
  expect(handle.key).toMatch(/^[0-9a-f-]{36}$/)
  const seen: string[] = []
  const watching = (async () => {
    for await (const job of handle.watch()) seen.push(job.status)
  })()
  await clock.sleep(1000)
  live.move('a', 'processing')
  await clock.sleep(1000)
  live.cut()
  await clock.sleep(1000)
  live.move('a', 'completed')
  await watching
  expect(seen).toEqual(['accepted', 'processing', 'completed'])
  expect(await handle.result()).toEqual({ of: 'a' })
  expect(live.requests.some(({ path }) => path.endsWith('/events/stream'))).toBe(true)
})

it('hears of many jobs by stream, by poll and with a ticket', async () => {
  const { createClient } = load()
  live.add('a', { groupId: 'g' })
  for (const options of [{}, { ticket: 't' }]) {
    if (options.ticket) live.tickets.add('t')
    const seen: WireJob[] = []
    for await (const job of createClient({ url: 'http://fake', ...options }).watchGroup('g')) {
      seen.push(job)
      break
    }
    expect(seen[0]!.id).toBe('a')
  }
  live.streams = 'none'
  for await (const event of createClient({ url: 'http://fake' }).events({ groupId: 'g' })) {
    expect(event.type).toBe('job.accepted')
    break
  }
})

it('uses the WebSocket of the runtime, and says what to do without one', async () => {
  const items = load({ WebSocket: live.WebSocket }).createClient({ url: 'http://fake' }).socket().subscribe()
  await clock.sleep(1000)
  live.add('a')
  const { value } = await items.next()
  expect(value).toMatchObject({ type: 'job.accepted' })
  await items.return!()
  expect(live.sockets.size).toBe(0)
  expect(() => load().createClient({ url: 'http://fake' }).socket()).toThrow("import WebSocket from 'ws'")
})

it('uploads and gives errors without classes that the runtime does not have', async () => {
  const { createClient, UntildoneApiError } = load()
  const refused = await createClient({ url: 'http://fake' })
    .uploadFile('"text"')
    .catch((error) => error)
  expect(refused).toBeInstanceOf(UntildoneApiError)
  expect(refused.code).toBe('not-found')
})
