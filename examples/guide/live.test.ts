/** The page about live updates: a session in a page, a socket, a server mounted in a program of its own. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { createUntildone, LOCAL, sqlite } from 'untildone'
import { createServer, listen } from 'untildone/server'
import { expect, it, vi } from 'vitest'
import { greetHandler } from './greet.js'
import { follow, type Shown, ticketFor, watch } from './live.js'
import { mountedWithSockets } from './mounted.mjs'

/** As much of a browser's EventSource as the page uses. */
class PageEventSource extends EventTarget {
  readonly #gone = new AbortController()
  constructor(url: string) {
    super()
    void this.#read(url).catch(() => undefined)
  }
  async #read(url: string): Promise<void> {
    const { body } = await fetch(url, { signal: this.#gone.signal })
    const frames = body!.pipeThrough(new TextDecoderStream() as never).pipeThrough(new EventSourceParserStream())
    for await (const { event, data, id } of frames as unknown as AsyncIterable<{
      event: string
      data: string
      id: string
    }>)
      this.dispatchEvent(new MessageEvent(event, { data, lastEventId: id }))
  }
  close(): void {
    this.#gone.abort()
  }
}

async function running() {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers: [greetHandler] })
  const { key } = await app.engine.createKey(LOCAL, { name: 'web', scopes: ['jobs:read', 'jobs:submit'] })
  const submit = async (groupId: string, name = 'Ada') =>
    (await app.engine.submit(LOCAL, { type: 'greet', input: { name }, groupId }, null)).job.id
  await app.start()
  return { app, key: key!, submit }
}

it('a page shows the jobs of its session, with a ticket from its server', async () => {
  vi.stubGlobal('EventSource', PageEventSource)
  const { app, key, submit } = await running()
  const listening = await listen(createServer(app.engine), { port: 0, keepGlobals: true })
  const before = await submit('session-42')
  await submit('session-43')
  const jobs = new Map<string, Shown>()
  const ticket = await ticketFor('session-42', listening.url, key)
  const source = follow(listening.url, 'session-42', ticket, jobs)
  await vi.waitFor(() => expect(jobs.get(before)).toMatchObject({ status: 'completed' }))
  const after = await submit('session-42')
  await vi.waitFor(() => expect(jobs.get(after)).toMatchObject({ status: 'completed', version: 3 }))
  expect([...jobs.keys()]).toEqual([before, after])
  source.close()
  await listening.close()
  await app.stop()
  vi.unstubAllGlobals()
})

it('a socket has several views, also where the server is mounted', async () => {
  const { app, key, submit } = await running()
  const http = mountedWithSockets(app)
  await once(http.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/background`
  const known = await submit('session-42')
  const heard: string[] = []
  const socket = watch(url, key, (ref, what, id) => heard.push(`${ref} ${what} ${id}`))
  await vi.waitFor(() => expect(heard.some((line) => line.startsWith('2 is') && line.endsWith(known))).toBe(true))
  const id = await submit('session-42')
  await vi.waitFor(() => expect(heard).toContain(`2 job.completed ${id}`))
  expect(heard.filter((line) => line.startsWith('1 '))).toEqual([])
  socket.close()
  await once(socket, 'close')
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
  await app.stop()
})
