/** A deploy that changed the effect of a step, and the way out of it at the command line, over HTTP. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import { defineJob, type JobHandler } from '../define/index.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const open = rigs()
const order = defineJob('order', { input: z.object({ no: z.int() }), signals: { go: z.object({}) } })
let rig: TestRig
let listening: Listening
/** By key: what a far side that knows keys was asked. */
let reserved: string[]
let paid: number
const handler = (version: string, effect: 'idempotent' | 'once') =>
  order.handler({ version }, async (job) => {
    await job.step('quote', () => 'quote', { effect: 'read' })
    await job.step('reserve', ({ key }) => void reserved.push(key))
    await job.step('pay', () => ++paid, { effect })
    await job.waitFor('go')
    return 'shipped'
  }) as never as JobHandler
beforeEach(async () => {
  reserved = []
  paid = 0
  rig = await open(handler('1', 'idempotent'), { start: fakeClock().now() })
})
afterEach(() => listening.close())

async function ud(line: string, ...more: string[]) {
  const io = fakeIo({ env: { UNTILDONE_URL: listening.url } })
  const exit = await run([...line.split(' '), ...more], io, { clock: fakeClock() })
  return { exit, out: io.stdout, err: io.stderr }
}

it('the job is cancelled with its effects kept, and replayed from the step before the change', async () => {
  const { id } = await rig.submit(order, { no: 1 })
  await rig.settle()
  await rig.restart([handler('2', 'once')])
  listening = await listen(createServer(rig.engine), { port: 0 })
  expect((await ud(`jobs signal ${id} go --payload {}`)).exit).toBe(0)
  await rig.settle()

  const needs = await ud('jobs list --needs-attention')
  expect(needs.out).toContain('order')
  const explained = await ud(`jobs explain ${id}`)
  expect(explained.out).toContain(`"pay" was recorded as effect: 'idempotent'`)
  expect(explained.out).toContain('replay it from a step before the change')
  const early = await ud(`jobs replay ${id} --from reserve --reason moved`)
  expect(early).toMatchObject({ exit: 6, out: '' })
  expect(early.err).toContain('cancel it')

  expect((await ud(`jobs cancel ${id} --keep-effects --reason moved`)).out).toContain('cancelled')
  const plan = await ud(`jobs replay ${id} --from reserve --dry-run`)
  expect(plan.out).toContain('takes over\n  quote')
  const moved = await ud(`jobs replay ${id} --from reserve --reason moved --json`)
  expect(moved.exit).toBe(0)
  const next = JSON.parse(moved.out)
  expect(next).toMatchObject({ replayOf: id, replay: { fromStep: 'reserve', reused: [{ step: 'quote' }] } })
  await rig.settle()
  await ud(`jobs signal ${next.id} go --payload {}`)
  await rig.untilDone(next.id)

  const read = async (path: string) => (await fetch(`${listening.url}${path}`)).json()
  expect(await read(`/v1/jobs/${next.id}`)).toMatchObject({
    ...{ status: 'completed', result: 'shipped', typeVersion: '2', replayOf: id },
  })
  expect(await read(`/v1/jobs/${id}`)).toMatchObject({
    ...{ status: 'cancelled', supersededBy: next.id, resolution: { kind: 'superseded', jobId: next.id } },
  })
  const { items } = await read(`/v1/jobs/${next.id}/history`)
  expect(items[0]).toMatchObject({
    event: 'submitted',
    reason: 'moved',
    context: { replayOf: id, fromStep: 'reserve' },
  })
  expect(paid).toBe(1)
  // Asked twice under one key.
  expect([reserved.length, new Set(reserved).size]).toEqual([2, 1])
  expect((await ud('jobs list --needs-attention --quiet')).out).toBe('')
})
