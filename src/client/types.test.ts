import { expect, expectTypeOf, it } from 'vitest'
import WebSocket from 'ws'
import { z } from 'zod'
import type { WireJob } from '../core/wire.js'
import { defineJob, jsonSchema } from '../define/index.js'
import { createClient, type JobHandle } from './index.js'

const convert = defineJob('ocr.convert', {
  input: z.object({ pdf: z.string(), lang: z.string().default('eng') }),
  output: z.object({ pages: z.number(), at: z.string().transform((text) => text.length) }),
  jsonSchema: { output: {} },
})
const raw = defineJob('raw', { input: jsonSchema<{ n: number }>({ type: 'object' }) })

// Never called: what is checked here is checked by the compiler (`tsc -p tsconfig.json`).
async function typed() {
  const client = createClient({ url: 'http://localhost' })
  const handle = await client.submit(convert, { pdf: 'a' }, { key: 'k', runAt: new Date(), wait: '5s' })
  expectTypeOf(handle).toEqualTypeOf<JobHandle<{ pages: number; at: number }>>()
  expectTypeOf(handle.result()).resolves.toEqualTypeOf<{ pages: number; at: number }>()
  expectTypeOf(handle.job).toEqualTypeOf<WireJob>()
  for await (const job of handle.watch()) expectTypeOf(job).toEqualTypeOf<WireJob>()

  // @ts-expect-error a member is missing
  client.submit(convert, { lang: 'deu' })
  // @ts-expect-error of the wrong type
  client.submit(convert, { pdf: 1 })
  // @ts-expect-error not an option
  client.submit(convert, { pdf: 'a' }, { groupId: 'g' })
  // @ts-expect-error of the wrong type, in a raw schema
  client.submit(raw, { n: 'one' })

  expectTypeOf(client.submit('by.name', { anything: true })).resolves.toEqualTypeOf<JobHandle<unknown>>()
  expectTypeOf(client.submit<{ text: string }>('by.name', {})).resolves.toEqualTypeOf<JobHandle<{ text: string }>>()
  expectTypeOf(client.result<number>('id')).resolves.toEqualTypeOf<number>()
  for await (const job of client.list({ status: 'failed' })) expectTypeOf(job).toEqualTypeOf<WireJob>()
  for await (const event of client.events({ types: ['ocr.*'], events: ['job.failed'] }, { after: 'cursor' })) {
    expectTypeOf(event.cursor).toEqualTypeOf<string | null>()
    expectTypeOf(event.data.version).toEqualTypeOf<number>()
  }
  for await (const job of client.watchGroup('g', { until: 'done' })) expectTypeOf(job).toEqualTypeOf<WireJob>()
  // @ts-expect-error the filter has the words of the contract
  client.events({ type: 'ocr.*' })
  // @ts-expect-error not one of the six words
  client.events({ status: ['running'] })
  for await (const item of client.socket({ WebSocket }).subscribe({ groupId: 'g' })) {
    if ('job' in item) expectTypeOf(item.job).toEqualTypeOf<WireJob>()
    else expectTypeOf(item.data.done).toEqualTypeOf<boolean>()
  }
  expectTypeOf(client.streamTicket({ use: 'ws' })).resolves.toEqualTypeOf<{ ticket: string; expiresAt: string }>()

  // @ts-expect-error not one of the six words
  client.list({ status: 'running' })
}

it('types input and output from the definition', () => {
  expect(typed).toBeTypeOf('function')
})
