/** The page about the client: events from a stored place, a group, a page with a ticket, a socket. */
import { createUntildone, sqlite, type Untildone } from 'untildone'
import { createClient, type UntildoneClient } from 'untildone/client'
import { createServer, type Listening, listen } from 'untildone/server'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { firstOfTwo, showJob, tellEnds, ticketFor, untilGroupIsDone } from './client.js'
import { greet, greetHandler } from './greet.js'

let app: Untildone
let listening: Listening
let client: UntildoneClient
beforeEach(async () => {
  app = await createUntildone({ store: sqlite(':memory:'), handlers: [greetHandler] })
  listening = await listen(createServer(app.engine), { port: 0 })
  client = createClient({ url: listening.url })
})
afterEach(async () => {
  await listening.close()
  await app.stop()
})

it('tells each end, and goes on from the stored place', async () => {
  const shelf = new Map<string, string>()
  const told: string[] = []
  const enough = new Error('enough')
  const tell = async (text: string) => {
    if (told.push(text) === 2) throw enough
  }
  const telling = tellEnds(client, shelf, tell)
  telling.catch(() => undefined)
  await app.start()
  const ids: string[] = []
  await vi.waitFor(
    async () => {
      ids.push((await client.submit(greet, { name: 'Ada' })).id)
      expect(told.length).toBe(2)
    },
    { timeout: 20_000, interval: 300 },
  )
  await expect(telling).rejects.toBe(enough)
  expect(told[0]).toMatch(/ job\.completed$/)
  // What was not dealt with comes again.
  const second = told.pop()!
  await expect(tellEnds(client, shelf, tell)).rejects.toBe(enough)
  expect(told).toContain(second)
}, 40_000)

it('waits for a group', async () => {
  const one = await client.submit(greet, { name: 'Ada' }, { group: 'session-42' })
  const two = await client.submit(greet, { name: 'Grace' }, { group: 'session-42' })
  const waiting = untilGroupIsDone(client, 'session-42')
  await app.start()
  expect(await waiting).toEqual(new Map([one, two].map(({ id }) => [id, 'completed'])))
}, 40_000)

it('shows a job in a page that has a ticket and no key', async () => {
  const { id } = await client.submit(greet, { name: 'Ada' })
  const shown: string[] = []
  const showing = showJob(
    listening.url,
    id,
    () => ticketFor(client, id),
    (text) => shown.push(text),
  )
  await app.start()
  expect(await showing).toEqual({ text: 'Hello Ada' })
  expect(shown.at(-1)).toBe('Completed.')
})

it('reads two things over one socket', async () => {
  const told: string[] = []
  const reading = firstOfTwo(client, 'session-43', (text) => told.push(text))
  await client.submit(greet, { name: 'Ada' }, { group: 'session-43' })
  await app.start()
  await reading
  expect(told.at(-1)).toMatch(/completed$/)
})
