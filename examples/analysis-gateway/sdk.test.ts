// The client of the gateway: three calls become one, a broken line is not the end of an analysis, and a push hears the end.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlite } from 'untildone'
import { until } from 'untildone/testing'
import { afterAll, afterEach, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { WebSocket } from 'ws'
import type { AnalysisInput, AnalysisResult as Contract } from './jobs/contract.js'
import { createAnalysisClient } from './sdk/client.js'
import { AnalysisError, type AnalysisRequest, type AnalysisResult, type AnalysisStatus } from './sdk/types.js'
import { start } from './start.js'
import { type Bench, bench, type FakeModel, fakeModel } from './support.js'

const TEXT = 'Total due 120.00, VAT included. Please pay this invoice within ten days.'

let model: FakeModel
let gateway: Bench
beforeAll(async () => {
  model = await fakeModel()
  gateway = await bench({ model })
})
afterEach(() => {
  model.replies = []
})
afterAll(async () => {
  await gateway?.stop()
  await model?.close()
})

/** Asks the gateway, but for what `trouble` does with a request; waits take no time and are written down. */
function clientWith(
  trouble: (n: number, url: string, init?: RequestInit) => Response | Error | undefined = () => undefined,
) {
  const waits: number[] = []
  const sent: { method: string; path: string; key: string | null }[] = []
  let n = 0
  const client = createAnalysisClient({
    url: `${gateway.url}/`,
    async fetch(input, init) {
      const url = new URL(String(input))
      sent.push({ method: init!.method!, path: url.pathname, key: new Headers(init!.headers).get('idempotency-key') })
      const instead = trouble(++n, url.pathname, init)
      if (instead instanceof Error) throw instead
      return instead ?? fetch(input, init)
    },
    async sleep(ms) {
      waits.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
    },
  })
  return { client, waits, sent }
}
const busy = (status: number, seconds?: number) =>
  new Response('{"code":"overloaded","title":"Too much.","retryable":true}', {
    ...{ status, headers: seconds === undefined ? {} : { 'retry-after': String(seconds) } },
  })

describe('three calls as one', () => {
  test('analyse gives the result, and tells the statuses on the way', async () => {
    const { client } = clientWith()
    const seen: AnalysisStatus['status'][] = []
    const result = await client.analyse({ text: TEXT }, { onStatus: ({ status }) => seen.push(status) })
    expect(result.documents[0]!.classification!.label).toBe('invoice')
    expect(seen.at(-1)).toBe('completed')
    expect(seen).toEqual([...seen].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)))
  })

  test('an answer that was lost: the submit that is sent again is the same analysis', async () => {
    const answered: string[] = []
    const client = createAnalysisClient({
      url: gateway.url,
      sleep: async () => {},
      async fetch(input, init) {
        const answer = await fetch(input, init)
        answered.push(((await answer.clone().json()) as { jobId: string }).jobId)
        if (answered.length === 1) throw new TypeError('fetch failed: the connection was closed')
        return answer
      },
    })
    const { jobId } = await client.submit({ text: TEXT })
    expect(answered).toEqual([jobId, jobId])
  })

  test('refusals that pass are waited out as long as they ask, under one key', async () => {
    const trouble = [busy(503, 7), new Error('socket hang up'), busy(429)]
    const { client, sent, waits } = clientWith((n) => trouble[n - 1])
    await client.submit({ text: TEXT })
    expect(new Set(sent.map(({ method, key }) => `${method} ${key}`)).size).toBe(1)
    expect([sent.length, sent[0]!.key, waits[0]]).toEqual([4, expect.any(String), 7000])
  })

  test('waiting goes on through anything that says nothing about the analysis', async () => {
    const { client, waits } = clientWith((n, path) =>
      path.includes('/status/') && n < 20
        ? [busy(502), busy(503, 3), new Error('ECONNRESET'), new Response('<html>', { status: 504 })][n % 4]
        : undefined,
    )
    const { jobId } = await client.submit({ text: TEXT })
    expect((await client.wait(jobId)).status).toBe('completed')
    expect(waits.length).toBeGreaterThan(15)
    expect(Math.max(...waits)).toBeLessThanOrEqual(10_000)
  })

  test('its own signal ends the waiting, and not the analysis', async () => {
    const { client } = clientWith()
    model.replies = [{ silent: true }]
    const there = model.nextAsked()
    const { jobId } = await client.submit({ text: TEXT, analyses: ['summary'] })
    await there
    const over = new AbortController()
    const waiting = client.wait(jobId, { signal: over.signal, onStatus: () => over.abort(new Error('enough')) })
    await expect(waiting).rejects.toThrow('enough')
    expect((await client.status(jobId)).status).toBe('in_progress')
    await client.cancel(jobId, 'No longer needed.')
    const end = await client.wait(jobId)
    expect([end.status, end.errors]).toEqual(['cancelled', ['Job cancelled: No longer needed.']])
  })
})

describe('errors say what to do', () => {
  const failure = async (call: Promise<unknown>) => {
    const error = await call.then(() => null).catch((caught) => caught)
    expect(error).toBeInstanceOf(AnalysisError)
    return error as AnalysisError
  }

  test('a request that is wrong: at once, with what is wrong', async () => {
    const { client, sent } = clientWith()
    const error = await failure(client.analyse({ text: 'a', analyses: ['sentiment' as never] }))
    expect([error.httpStatus, error.code, error.retryable]).toEqual([422, 'input-invalid', false])
    expect(error.reasons).toEqual(['/analyses/0 must be one of statistics, extraction, classification, summary'])
    expect(error.message.split('/analyses/0').length, error.message).toBe(2)
    expect(error.fix).toMatch(/\w/)
    expect(sent).toHaveLength(1)
  })

  test('no result: not yet, not any more, never', async () => {
    const { client } = clientWith()
    expect((await failure(client.result('x'))).code).toBe('analysis-not-found')
    expect((await failure(client.wait('x'))).code).toBe('analysis-not-found')
    model.replies = [{ silent: true }]
    const there = model.nextAsked()
    const { jobId } = await client.submit({ text: TEXT, analyses: ['summary'] })
    await there
    expect((await failure(client.result(jobId))).code).toBe('analysis-not-finished')
    await client.cancel(jobId)
    await client.wait(jobId)
    expect(await failure(client.result(jobId))).toMatchObject({ code: 'analysis-cancelled', retryable: false })
  })

  test('an answer of somebody in between', async () => {
    const { client } = clientWith(() => new Response('<html>Bad gateway</html>', { status: 502 }))
    expect(await failure(client.status('x'))).toMatchObject({ code: 'unknown', message: 'The gateway answered 502.' })
  })
})

describe('push', () => {
  test('hears the end as it happens, and of what has ended before', async () => {
    const { client } = clientWith()
    model.replies = [{ silent: true }]
    const there = model.nextAsked()
    const push = client.push({ WebSocket: WebSocket as never })
    const { jobId } = await client.submit({ text: TEXT, analyses: ['summary'] })
    const seen: string[] = []
    const watching = (async () => {
      for await (const { status, final } of push.changes(jobId)) {
        seen.push(status)
        if (final) return
      }
    })()
    await there
    expect((await client.status(jobId)).status).toBe('in_progress')
    await client.cancel(jobId)
    await watching
    expect(seen.at(-1)).toBe('cancelled')
    expect(seen).toContain('in_progress')
    // Subscribed to afterwards: the snapshot says it.
    expect((await push.ended(jobId)).status).toBe('cancelled')
    push.close()
  })

  test('many at once over one connection, and each end is the true one', async () => {
    const { client, sent } = clientWith()
    const push = client.push({ WebSocket: WebSocket as never })
    const ids = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => (await client.submit({ text: `${TEXT} ${i}` })).jobId),
    )
    const ends = await Promise.all(ids.map((id) => push.ended(id)))
    expect(ends.map(({ jobId, status }) => [jobId, status])).toEqual(ids.map((id) => [id, 'completed']))
    // One look each, after the push; nobody polled.
    expect(sent.filter(({ path }) => path.includes('/status/'))).toHaveLength(12)
    push.close()
    await expect(push.ended(ids[0]!)).rejects.toThrow('closed')
  })
})

test(
  'a restart of the gateway in the middle: polling and push both come to the true end',
  { timeout: 60_000 },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'untildone-gateway-restart-'))
    const store = () => sqlite(join(dir, 'untildone.db'))
    const before = await start({ store: store(), roles: ['api'] })
    const url = before.url!
    const client = createAnalysisClient({ url })
    const { jobId } = await client.submit({ text: TEXT })
    const push = client.push({ WebSocket: WebSocket as never })
    const seen: string[] = []
    const pushed = (async () => {
      for await (const { status, final } of push.changes(jobId)) {
        seen.push(status)
        if (final) return
      }
    })()
    const polled = client.wait(jobId)
    await until(() => seen.includes('pending'))
    await before.stop()
    const after = await start({ store: store(), port: Number(new URL(url).port) })
    try {
      expect((await polled).status).toBe('completed')
      await pushed
      expect(seen.at(-1)).toBe('completed')
    } finally {
      push.close()
      await after.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  },
)

test('the types of the wire are those of the job type', () => {
  expectTypeOf<AnalysisResult>().toEqualTypeOf<Contract>()
  expectTypeOf<AnalysisRequest['text']>().toEqualTypeOf<AnalysisInput['text']>()
  expectTypeOf<{ text: string }>().toMatchTypeOf<AnalysisRequest>()
})

const ORDER = ['pending', 'in_progress', 'completed']
