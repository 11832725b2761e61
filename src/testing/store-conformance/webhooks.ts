/** Webhooks and the outbox: what happened is written with the change itself, and becomes deliveries once. */
import { expect } from 'vitest'
import { TIES } from '../../core/job.js'
import type { Webhook } from '../../core/webhook.js'
import type { NewJob } from '../../stores/store.js'
import { audit, type Bench, SYSTEM } from './bench.js'
import type { Suite } from './index.js'

export const webhook = (id: string, more: Partial<Webhook> = {}): Webhook => ({
  ...{ id, tenant: 'default', url: 'https://example.com/', description: null, events: ['job.completed'], filter: {} },
  ...{ payload: 'thin', format: 'standard', signing: 'hmac', secrets: [], publicKey: null, disabled: null },
  ...{ failingSince: null, lastSuccessAt: null, lastFailureAt: null, lastFailure: null },
  ...{ createdBy: SYSTEM, createdAt: 0, updatedAt: 0, version: 1 },
  ...more,
})

export const putWebhook = (bench: Bench, row: Webhook) =>
  bench.store.webhooks.change({
    ...{ tenant: row.tenant, id: row.id, decide: () => row },
    audit: audit({ action: 'webhook.create', target: `webhook/${row.id}` }),
  })
const GONE = { at: 1, message: 'enough' }
const outbox = async (bench: Bench) => (await bench.store.webhooks.outbox(99)).map(({ id, type }) => [id, type])

export function webhookTests({ test }: Suite): void {
  test('nothing is noted while nobody hears', async (bench) => {
    await bench.succeed(await bench.started())
    await putWebhook(bench, webhook('wh_1', { disabled: { why: 'operator', ...GONE } }))
    await putWebhook(bench, webhook('wh_2', { tenant: 'z' }))
    await bench.succeed(await bench.started())
    expect(await outbox(bench)).toEqual([])
  })

  test('each change of the public status is noted once, in order, and nothing else', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: claimed.live.epoch, logs: [] })
    await bench.succeed(claimed)
    expect((await outbox(bench)).map(([name, type]) => [name!.slice(-2), type])).toEqual([
      [':1', 'job.accepted'],
      [':2', 'job.processing'],
      [':3', 'job.completed'],
    ])
    expect((await bench.store.webhooks.outbox(1))[0]).toMatchObject({ jobId: id, tenant: 'default', seq: 1 })
  })

  test('a job that names whom it tells is noted wherever it is', async (bench) => {
    // It is known that nobody hears of any.
    await bench.succeed(await bench.started())
    const job = bench.job()
    job.live.ties |= TIES.told
    await bench.store.submit([job])
    await bench.submit({})
    await bench.claim()
    expect((await outbox(bench)).map(([name]) => name)).toEqual([`${job.record.id}:1`, `${job.record.id}:2`])
  })

  test('a change that is not stored is not noted', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await bench.submit({ key: 'k' })
    await bench.submit({ key: 'k' })
    const before = await outbox(bench)
    expect(before).toHaveLength(1)
    const claimed = (await bench.claim())[0]!
    await bench.succeed(claimed)
    await bench.succeed(claimed)
    expect(await outbox(bench)).toHaveLength(3)
  })

  test('listeners hear that something is there, after the commit', async (bench) => {
    let rung = 0
    let seen = outbox(bench)
    const stop = bench.store.webhooks.onHappened(() => {
      rung++
      seen = outbox(bench)
    })
    await bench.submit({})
    expect(rung).toBe(0)
    await putWebhook(bench, webhook('wh_1'))
    await bench.submit({})
    expect(rung).toBe(1)
    expect(await seen).toHaveLength(1)
    stop()
    await bench.submit({})
    expect(rung).toBe(1)
  })

  test('of two that hand it on, one does: its deliveries are stored once, together with that', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await bench.submit({}, {})
    const happened = await bench.store.webhooks.outbox(9)
    const deliveries = () =>
      new Map(happened.map(({ id }): [string, NewJob[]] => [id, [bench.job({ tenant: '~default', type: 'd' })]]))
    const stored = await Promise.all([
      bench.store.webhooks.tell({ happened, jobs: deliveries() }),
      bench.store.webhooks.tell({ happened, jobs: deliveries() }),
    ])
    expect(stored.sort()).toEqual([0, 2])
    expect(await outbox(bench)).toEqual([])
    expect(await bench.store.list({ tenant: '~default', order: 'createdAt', limit: 9 })).toHaveLength(2)
  })

  test('what nobody hears leaves the outbox without a trace', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await bench.submit({})
    const happened = await bench.store.webhooks.outbox(9)
    expect(await bench.store.webhooks.tell({ happened, jobs: new Map() })).toBe(0)
    expect(await outbox(bench)).toEqual([])
  })

  test('what happened survives a restart', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await bench.submit({})
    await bench.reopen()
    expect(await outbox(bench)).toHaveLength(1)
    await bench.submit({})
    expect(await outbox(bench)).toHaveLength(2)
  })

  test('a webhook is read, decided and written as one; audited when it is written', async (bench) => {
    const seen: (number | undefined)[] = []
    const add = (id: string) =>
      bench.store.webhooks.change({
        ...{ tenant: 'default', id, audit: audit({ action: 'webhook.update', target: `webhook/${id}` }) },
        decide: (before) => {
          seen.push(before?.version)
          return webhook(id, { version: (before?.version ?? 0) + 1 })
        },
      })
    await Promise.all([add('wh_1'), add('wh_1'), add('wh_2')])
    expect(seen).toEqual([undefined, 1, undefined])
    expect((await bench.store.webhooks.list('default')).map(({ id, version }) => [id, version])).toEqual([
      ['wh_1', 2],
      ['wh_2', 1],
    ])
    expect(await bench.store.audit('default', 0, 9)).toHaveLength(3)
    const left = await bench.store.webhooks.change({
      ...{ tenant: 'default', id: 'wh_1', decide: () => undefined },
      audit: audit({ action: 'webhook.update', target: 'webhook/wh_1' }),
    })
    expect(left).toMatchObject({ version: 2 })
    expect(await bench.store.audit('default', 0, 9)).toHaveLength(3)
  })

  test('of another tenant there is none', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    expect(await bench.store.webhooks.get('z', 'wh_1')).toBeNull()
    expect(await bench.store.webhooks.list('z')).toEqual([])
    await bench.store.webhooks.change({ tenant: 'z', id: 'wh_1', decide: () => null, audit: null })
    expect(await bench.store.webhooks.get('default', 'wh_1')).toMatchObject({ id: 'wh_1' })
  })

  test('how many a tenant has is told to whoever decides', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await putWebhook(bench, webhook('wh_2', { tenant: 'z' }))
    let count = -1
    await bench.store.webhooks.change({
      ...{ tenant: 'default', id: 'wh_3', audit: null },
      decide: (_, __, n) => {
        count = n
        return undefined
      },
    })
    expect(count).toBe(1)
  })

  test('one that stops hearing by itself says so to the others', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await putWebhook(bench, webhook('wh_2'))
    await putWebhook(bench, webhook('wh_1', { disabled: { why: 'failing', ...GONE } }))
    await putWebhook(bench, webhook('wh_1', { disabled: { why: 'failing', ...GONE } }))
    await putWebhook(bench, webhook('wh_2', { disabled: { why: 'operator', ...GONE } }))
    const [one, ...more] = await bench.store.webhooks.outbox(9)
    expect(one).toMatchObject({ type: 'webhook.disabled', jobId: null, details: { webhookId: 'wh_1', why: 'failing' } })
    expect(more).toEqual([])
  })

  test('a removed one hears nothing more', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    await bench.store.webhooks.change({ tenant: 'default', id: 'wh_1', decide: () => null, audit: null })
    await bench.submit({})
    expect(await bench.store.webhooks.list('default')).toEqual([])
    expect(await outbox(bench)).toEqual([])
  })

  test('what became late, and what was resolved, is noted', async (bench) => {
    await putWebhook(bench, webhook('wh_1'))
    const [late] = await bench.submit({ escalateAt: bench.clock.now() })
    await bench.store.markLate(9)
    const claimed = await bench.started()
    await bench.succeed(claimed)
    const row = { jobId: claimed.live.id, at: 7, kind: 'resolvedManually' as const, reason: 'by hand', evidence: null }
    const note = audit({ action: 'job.resolve', target: `job/${claimed.live.id}` })
    await bench.store.resolve({ ...row, by: SYSTEM, otherId: null }, 'default', note)
    const types = await outbox(bench)
    expect(types).toContainEqual([`${late}:late`, 'job.late'])
    expect(types).toContainEqual([`${claimed.live.id}:resolved:7`, 'job.resolved'])
  })
}
