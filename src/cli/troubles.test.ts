import { beforeEach, describe, expect, it } from 'vitest'
import { fakeClock } from '../client/fake-server.mjs'
import { UntildoneError } from '../core/errors.js'
import { Troubles } from './troubles.js'

let clock: ReturnType<typeof fakeClock>
let said: { json: Record<string, unknown>; text: string }[]
let troubles: Troubles
/** Looks that wait for their answer. */
let looks: ((works: boolean) => void)[]
/** Somebody who waits for the next look. */
let wake: () => void
beforeEach(() => {
  clock = fakeClock()
  said = []
  looks = []
  wake = () => {}
  troubles = new Troubles({
    say: (json, text) => said.push({ json, text }),
    clock,
    works: () =>
      new Promise((resolve) => {
        looks.push(resolve)
        wake()
      }),
  })
})

const away = (text = 'ECONNREFUSED', reason = 'unreachable') =>
  new UntildoneError('store-unavailable', `PostgreSQL cannot be reached (${text}).`, { params: { reason } })
const look = async (works: boolean) => {
  while (looks.length === 0) await new Promise<void>((resolve) => (wake = resolve))
  looks.shift()!(works)
}
/** It has heard the answers. */
const ended = () => new Promise(setImmediate)
const texts = () => said.map(({ text }) => text)

describe('troubles of a server', () => {
  it('an outage is told once, with its time, and so is its end', async () => {
    troubles.met(away())
    for (let i = 0; i < 30; i++) troubles.met(away('Connection terminated'))
    expect(texts()).toEqual(['trouble  2026-11-22T09:00:00.000Z  PostgreSQL cannot be reached (ECONNREFUSED).'])
    for (let i = 0; i < 76; i++) await look(false)
    for (let i = 0; i < 4; i++) await look(true)
    await ended()
    expect(texts().slice(1)).toEqual(['back  2026-11-22T09:01:17.000Z  after 1 m 17 s, 30 more such errors left out'])
    expect(said.map(({ json }) => json)).toEqual([
      {
        ...{ event: 'trouble', at: '2026-11-22T09:00:00.000Z', code: 'store-unavailable', reason: 'unreachable' },
        message: 'PostgreSQL cannot be reached (ECONNREFUSED).',
      },
      { event: 'back', at: '2026-11-22T09:01:17.000Z', afterMs: 77_000, leftOut: 30 },
    ])
    troubles.met(away())
    expect(said.at(-1)!.json).toMatchObject({ event: 'trouble', at: expect.stringContaining('T09:01:') })
    troubles.close()
  })

  it('is not back while what it does still fails', async () => {
    troubles.met(away())
    await look(true)
    clock.advance(500)
    troubles.met(away())
    for (let i = 0; i < 3; i++) await look(true)
    expect(texts()).toHaveLength(1)
    await look(true)
    await ended()
    expect(said.at(-1)!.json).toMatchObject({ event: 'back', afterMs: 2500, leftOut: 1 })
    troubles.close()
  })

  it('what differs is all told: another reason, another error, and each that is no outage', () => {
    troubles.met(away())
    troubles.met(away('disk', 'disk-full'))
    troubles.met(new Error('broken'))
    troubles.met(new Error('broken'))
    troubles.met(new UntildoneError('store-unavailable', '3 attempts could not be ended in the store.'))
    expect(said.map(({ json: { at: _, event: __, ...rest } }) => rest)).toEqual([
      { code: 'store-unavailable', reason: 'unreachable', message: expect.any(String) },
      { code: 'store-unavailable', reason: 'disk-full', message: expect.any(String) },
      { message: 'broken' },
      { message: 'broken' },
      { code: 'store-unavailable', message: '3 attempts could not be ended in the store.' },
    ])
    troubles.close()
  })

  it('what reading says nothing of is said once a minute, and never to be over', async () => {
    for (let i = 0; i < 61; i++) {
      troubles.met(away('disk', 'disk-full'))
      clock.advance(1000)
    }
    await ended()
    expect(said.map(({ json }) => json.at)).toEqual(['2026-11-22T09:00:00.000Z', '2026-11-22T09:01:00.000Z'])
    expect(looks).toHaveLength(0)
    troubles.close()
  })

  it('says which request met it', () => {
    troubles.met(new Error('broken'), { requestId: 'req_1', method: 'GET', path: '/v1/jobs', code: 'internal' })
    expect(texts()).toEqual(['trouble  2026-11-22T09:00:00.000Z  broken  (GET /v1/jobs, request req_1)'])
    expect(said[0]!.json).toMatchObject({ code: 'internal', requestId: 'req_1', path: '/v1/jobs' })
  })

  it('says nothing more once it is closed', async () => {
    troubles.met(away())
    troubles.close()
    troubles.met(new Error('The store is closed.'))
    await new Promise(setImmediate)
    expect([texts().length, looks.length]).toEqual([1, 0])
  })
})

describe('trouble', () => {
  const at = '2026-11-22T09:00:00.000Z'

  it('that knows what to do says it; what its kind says to callers is left out', () => {
    troubles.met(new UntildoneError('transport-away', 'Redis is away.', { fix: 'Start it.' }))
    troubles.met(new UntildoneError('transport-away', 'Redis is away.'))
    expect(said).toEqual([
      {
        json: { event: 'trouble', at, message: 'Redis is away.', code: 'transport-away', fix: 'Start it.' },
        text: `trouble  ${at}  Redis is away.\n  → Start it.`,
      },
      {
        json: { event: 'trouble', at, message: 'Redis is away.', code: 'transport-away' },
        text: `trouble  ${at}  Redis is away.`,
      },
    ])
  })

  it('of a request names it, and what is thrown otherwise is said as it is', () => {
    const about = { code: 'internal' as const, method: 'GET', path: '/v1/jobs', requestId: 'r-1' }
    troubles.met(new Error('a\u0007b'), about)
    troubles.met('thrown')
    expect(said).toEqual([
      {
        json: { event: 'trouble', at, message: 'a\u0007b', ...about },
        text: `trouble  ${at}  ab  (GET /v1/jobs, request r-1)`,
      },
      { json: { event: 'trouble', at, message: 'thrown' }, text: `trouble  ${at}  thrown` },
    ])
  })
})
