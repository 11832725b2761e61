// The reckoning of the scale demo, and what its customers count: what they must find, they find. The demo itself, which needs PostgreSQL, is tested in
// test/services/scale.test.ts.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Customers } from './demo/scale/customers.js'
import { type Entry, enter, reckon } from './demo/scale/journal.js'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-reckon-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const accepted = (order: number, id = `id-${order}`): Entry => ({ what: 'accepted', order, key: `order-${order}`, id })
const completed = (order: number): Entry => ({ what: 'completed', order, id: `id-${order}` })

function reckoned(entries: Entry[], effects: [what: 'effect' | 'repeat', order: number, key?: string][]) {
  const [journal, ledger] = [join(dir, 'journal'), join(dir, 'ledger')]
  for (const entry of entries) enter(journal, entry)
  for (const [what, order, key = `step-${order}`] of effects)
    appendFileSync(ledger, `${JSON.stringify({ what, order, key })}\n`)
  return reckon(journal, ledger)
}

test('all is well: a repeat with its key is one order, a repeated request to the witness is no effect', () => {
  const entries = [accepted(1), accepted(1), completed(1), accepted(2), completed(2)]
  const effects: Parameters<typeof reckoned>[1] = [
    ['effect', 1],
    ['repeat', 1],
    ['effect', 2],
  ]
  expect(reckoned(entries, effects)).toEqual({
    ...{ accepted: 2, completed: 2, lost: [], doubled: [], repeats: 1, others: [] },
  })
})

test.each<[string, Entry[], Parameters<typeof reckoned>[1], object]>([
  ['accepted and never completed', [accepted(1)], [['effect', 1]], { completed: 0, lost: [1] }],
  ['completed without an effect', [accepted(1), completed(1)], [], { completed: 1, lost: [1] }],
  [
    'one key, two analyses',
    [accepted(1), accepted(1, 'other'), completed(1)],
    [['effect', 1]],
    { accepted: 1, doubled: [1] },
  ],
  [
    'one order, two effects',
    [accepted(1), completed(1)],
    [
      ['effect', 1],
      ['effect', 1, 'another key'],
    ],
    { lost: [], doubled: [1] },
  ],
  [
    'an end that is none of these',
    [accepted(1), { what: 'other', order: 1, id: 'id-1', why: 'it is failed' }],
    [['effect', 1]],
    { lost: [1], others: ['order 1: it is failed'] },
  ],
])('%s', (_, entries, effects, found) => {
  expect(reckoned(entries, effects)).toMatchObject(found)
})

describe('customers', () => {
  afterEach(() => vi.useRealTimers())
  const broke = (code: string) => new TypeError('fetch failed', { cause: { code } })

  /** One customer of a gateway that answers as it is told, first in this way, then as if nothing were wrong. */
  function customer(answers: Record<'POST' | 'status' | 'result', (() => Promise<Response>)[]>) {
    let order = 0
    const send = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
      const what = init?.method === 'POST' ? 'POST' : String(url).includes('/status/') ? 'status' : 'result'
      if (what === 'POST') order = Number(/Order (\d+)/.exec(`${init!.body}`)![1])
      const told = answers[what].shift()
      if (told) return told()
      const bodies = {
        POST: { jobId: `id-${order}`, status: 'pending' },
        status: { jobId: `id-${order}`, status: 'completed' },
        result: { documents: [{ summary: { text: `About order ${order}.` } }] },
      }
      return Response.json(bodies[what])
    }
    const made = new Customers(['http://one'], join(dir, 'journal'), { fetch: send, sleep: async () => {} })
    return { made, gone: made.come(1) }
  }

  test('say apart what broke off and what nobody heard, orders and looks', async () => {
    const fails = (code: string) => () => Promise.reject(broke(code))
    const { made, gone } = customer({
      POST: [fails('ECONNREFUSED'), fails('UND_ERR_SOCKET')],
      status: [fails('ECONNRESET'), fails('ECONNREFUSED'), fails('ECONNREFUSED')],
      result: [async () => new Response('{}', { status: 503 })],
    })
    made.close()
    await gone
    expect(made.since()).toMatchObject({
      ...{ broken: { orders: 1, looks: 1 }, unheard: { orders: 1, looks: 2 }, refused: 1 },
    })
    expect(made.since()).toMatchObject({ broken: { orders: 0, looks: 0 }, refused: 0 })
    expect([made.accepted, made.completed]).toEqual([1, 1])
  })

  test('the longest wait is also that of who still waits; what is in flight is counted once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    let asked = () => {}
    let answer = (_: Response) => {}
    const there = new Promise<void>((resolve) => (asked = resolve))
    const silent = () => {
      asked()
      return new Promise<Response>((resolve) => (answer = resolve))
    }
    const { made, gone } = customer({ POST: [], status: [silent], result: [] })
    await there
    vi.setSystemTime(Date.now() + 4700)
    expect(made.since().slowest).toBe(4700)
    const { inFlight, after } = made.follow()
    made.close()
    answer(Response.json({ jobId: 'id-1', status: 'completed' }))
    await gone
    expect([inFlight, await after]).toEqual([1, { inFlight: 1, ended: 1, lost: [] }])
  })
})
