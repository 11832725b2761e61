/** The snippets of docs/guide/operating.md. */
import type { JobHandler } from 'untildone'
import { LOCAL } from 'untildone'
import { createClient, type UntildoneClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, expect, it } from 'vitest'
import { type Bank, order, orderHandler } from './operating.js'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A bank whose answers may get lost, a rig that runs the orders, and a client of its server. */
async function shop(forgets = false): Promise<{ rig: TestRig; client: UntildoneClient; log: string[] }> {
  const log: string[] = []
  let lost = forgets
  const bank: Bank = {
    reserve: async (sku) => `one ${sku}`,
    release: async (reserved) => void log.push(`release ${reserved}`),
    async charge(_key, card) {
      log.push(`charge ${card}`)
      if (lost) {
        lost = false
        throw new Error('the answer was lost')
      }
      return 'R-17'
    },
    refund: async (receipt) => void log.push(`refund ${receipt}`),
  }
  const rig = await createTestRig([orderHandler(bank) as unknown as JobHandler])
  cleanups.push(() => rig.close())
  const listening = await listen(createServer(rig.engine), { port: 0 })
  cleanups.push(() => listening.close())
  return { rig, client: createClient({ url: listening.url }), log }
}
const input = { sku: 'chair', card: '4242' }

it('asks a person about money, and takes a signal', async () => {
  const { rig, client, log } = await shop(true)
  const { id } = await client.submit(order, input)
  await rig.advance('1m')

  // #region answer
  const { blockedOn, version } = await client.get(id)
  const question = blockedOn[0]?.question // { step: 'charge', answers: ['happened', 'did-not-happen', 'stop'] }
  await client.answer(id, {
    step: 'charge',
    answer: 'happened',
    result: 'R-17',
    reason: 'seen in the bank’s console',
    ifVersion: version,
  })
  // #endregion
  expect(question).toMatchObject({ step: 'charge', answers: ['happened', 'did-not-happen', 'stop'] })

  await rig.settle()
  // #region signal
  await client.signal(id, 'packed', { tracking: 'TR-1' }, { signalId: 'parcel-991' })
  // #endregion
  expect((await rig.untilDone(id)).result).toEqual({ receipt: 'R-17', tracking: 'TR-1' })
  expect(log).toEqual(['charge 4242'])
})

it('is replayed from a step, and charges again what was refunded', async () => {
  const { rig, client, log } = await shop()
  const { id } = await client.submit(order, input)
  await rig.advance('8d')
  expect((await client.get(id)).status).toBe('failed')
  expect(log).toEqual(['charge 4242', 'refund R-17', 'release one chair'])
  log.length = 0

  // #region replay
  const { reused, again } = await client.planReplay(id, { fromStep: 'charge', reason: 'packed after all' })
  const job = await client.replay(id, { fromStep: 'charge', reason: 'packed after all' })
  // #endregion
  expect(reused).toEqual([])
  expect(again.map(({ step, protectedByKey }) => [step, protectedByKey])).toEqual([
    ['reserve', null],
    ['charge', null],
    ['packed', null],
  ])
  await rig.settle()
  await client.signal(job.id, 'packed', { tracking: 'TR-2' })
  expect((await rig.untilDone(job.id)).result).toEqual({ receipt: 'R-17', tracking: 'TR-2' })
  expect(log).toEqual(['charge 4242'])
  expect((await client.get(id)).resolution).toMatchObject({ kind: 'superseded', jobId: job.id })
  log.length = 0

  // Nothing was undone of this one, so nothing is paid twice.
  const once = await client.replay(job.id, { reason: 'tracking was lost' })
  await rig.settle()
  await client.signal(once.id, 'packed', { tracking: 'TR-3' })
  await rig.untilDone(once.id)
  expect(log).toEqual([])
})

it('is undone, overridden and dealt with in bulk', async () => {
  const { rig, client, log } = await shop()
  const [first, second] = [await client.submit(order, input), await client.submit(order, input)]
  await rig.settle()
  await client.signal(first.id, 'packed', { tracking: 'TR-1' })
  await rig.untilDone(first.id)
  log.length = 0

  // #region compensate
  const undoing = await client.compensate(first.id, { reason: 'sent back within 14 days' })
  // #endregion
  expect((await rig.untilDone(undoing.id)).result).toEqual({ undone: ['reserve', 'charge'], notUndone: [] })
  expect(log).toEqual(['refund R-17', 'release one chair'])

  const { id } = second
  // #region override
  const { version } = await client.get(id)
  await client.override(id, {
    status: 'completed',
    result: { receipt: 'R-17', tracking: 'by courier' },
    reason: 'the courier took it without a scan, OPS-12',
    ifVersion: version,
  })
  // #endregion
  expect((await client.get(id)).statusText).toBe('Set to completed by hand by this machine.')

  // #region bulk
  const filter = { status: 'blocked', type: 'shop.*' } as const
  const { count } = await client.planBulk({ action: 'retry', filter, reason: 'bank is back' })
  const operation = await client.bulk({ action: 'retry', filter, reason: 'bank is back', rate: 600 })
  // #endregion
  expect(count).toBe(0)
  expect((await rig.untilDone(operation.id)).result).toMatchObject({ done: 0 })

  // #region audit
  const { intact, head } = await client.audit.verify()
  // #endregion
  expect([intact, head!.seq]).toEqual([true, (await rig.store.audit('default', 0, 100)).length])
  expect((await rig.engine.decisions(LOCAL, id)).length).toBe(0)
})
