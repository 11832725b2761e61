import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL, type Scope } from './api.js'

const open = rigs()
const order = defineJob('order', {
  input: z.object({}),
  signals: { paid: z.object({ amount: z.number(), currency: z.string().default('EUR') }), shipped: z.object({}) },
})
const caller = (...scopes: Scope[]): Caller => ({
  tenant: 'default',
  actor: { kind: 'apiKey', id: 'psp' },
  scopes,
  types: null,
})
const PSP = caller('jobs:signal')
const paid = (amount: number, signalId?: string) => ({ payload: { amount }, ...(signalId ? { signalId } : {}) })

async function waiting() {
  const rig = await open(
    order.handler(async (job) => {
      const got = await job.waitFor('paid', { timeout: '1d' })
      return { ...got.payload, by: got.by?.id } as never
    }) as unknown as JobHandler,
  )
  const { id } = await rig.submit(order, {})
  await rig.settle()
  return { rig, id, engine: rig.engine }
}

describe('signals', () => {
  it('end the wait for them, with what the schema makes of the payload, and who sent it', async () => {
    const { rig, id, engine } = await waiting()
    expect(await engine.signal(PSP, id, 'paid', paid(12, 'evt_91'))).toEqual({ delivered: true })
    expect(await rig.untilDone(id)).toMatchObject({ result: { amount: 12, currency: 'EUR', by: 'psp' } })
    expect((await engine.history(LOCAL, id, {})).items.find(({ event }) => event === 'woken')).toMatchObject({
      actor: { kind: 'apiKey', id: 'psp' },
      context: { by: 'signal paid' },
    })
  })

  it('that came before are kept, and repeats change nothing, also after the end', async () => {
    const { rig, id, engine } = await waiting()
    expect(await engine.signal(PSP, id, 'shipped', { payload: {}, signalId: 's1' })).toEqual({ delivered: false })
    expect(await engine.signal(PSP, id, 'shipped', { payload: {}, signalId: 's1' })).toEqual({ delivered: false })
    await engine.signal(PSP, id, 'paid', paid(12, 'evt_91'))
    await rig.untilDone(id)
    expect(await engine.signal(PSP, id, 'paid', paid(12, 'evt_91'))).toEqual({ delivered: true })
    await expect(engine.signal(PSP, id, 'paid', paid(13, 'evt_91'))).rejects.toMatchObject({
      code: 'idempotency-key-reused',
    })
    await expect(engine.signal(PSP, id, 'paid', paid(12, 'evt_92'))).rejects.toMatchObject({
      code: 'job-already-done',
      params: { status: 'completed' },
    })
  })

  it('take the idempotency key for an id when they have none', async () => {
    const { id, engine } = await waiting()
    const first = { payload: {}, key: 'k' }
    expect(await engine.signal(PSP, id, 'shipped', first)).toEqual({ delivered: false })
    await expect(engine.signal(PSP, id, 'paid', { payload: { amount: 1 }, key: 'k' })).rejects.toMatchObject({
      code: 'idempotency-key-reused',
    })
  })

  it('of two senders at once end one wait; the second is kept', async () => {
    const { rig, id, engine } = await waiting()
    const both = await Promise.all([engine.signal(PSP, id, 'paid', paid(1)), engine.signal(PSP, id, 'paid', paid(2))])
    expect(both.map(({ delivered }) => delivered).sort()).toEqual([false, true])
    await rig.untilDone(id)
  })

  it('are refused with the names there are, with the members that are wrong, and when too many are unread', async () => {
    const { id, engine } = await waiting()
    await expect(engine.signal(PSP, id, 'payed', paid(1))).rejects.toMatchObject({
      code: 'unknown-signal',
      params: { known: ['paid', 'shipped'] },
    })
    await expect(engine.signal(PSP, id, 'toString', paid(1))).rejects.toMatchObject({ code: 'unknown-signal' })
    await expect(engine.signal(PSP, id, 'paid', { payload: { amount: 'x' } })).rejects.toMatchObject({
      code: 'payload-invalid',
      errors: [{ pointer: '/payload/amount' }],
    })
    for (let i = 0; i < 100; i++) await engine.signal(PSP, id, 'shipped', { payload: {} })
    await expect(engine.signal(PSP, id, 'shipped', { payload: {} })).rejects.toMatchObject({
      code: 'quota-exceeded',
      params: { unread: 100 },
    })
  })

  it('reach jobs that the sender may not read, and nobody without the right', async () => {
    const { id, engine } = await waiting()
    await expect(engine.get(PSP, id)).rejects.toMatchObject({ code: 'job-not-found' })
    await expect(engine.signal(caller('jobs:submit', 'jobs:read'), id, 'paid', paid(1))).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(engine.signal({ ...PSP, types: ['ocr.*'] }, id, 'paid', paid(1))).rejects.toMatchObject({
      code: 'job-not-found',
    })
    await expect(engine.signal({ ...PSP, tenant: 'other' }, id, 'paid', paid(1))).rejects.toMatchObject({
      code: 'job-not-found',
    })
    expect(await engine.signal(caller('jobs:operate'), id, 'paid', paid(1))).toEqual({ delivered: true })
  })
})

const sign = defineJob('sign', { input: z.object({}) })

async function called(wait = true) {
  const urls: string[] = []
  const rig = await open(
    sign.handler(async (job) => {
      const answer = await job.callback('signed', { timeout: '1h' })
      urls.push(answer.url)
      if (!wait) await job.sleep('a while', '2h')
      return (await answer.result()) as never
    }) as unknown as JobHandler,
  )
  const { id } = await rig.submit(sign, {})
  await rig.settle()
  return { rig, id, engine: rig.engine, token: urls[0]!.split('/').at(-1)! }
}

describe('callbacks', () => {
  const yes = { outcome: 'completed', payload: { by: 'Ada' } } as const

  it('end the wait with what was posted, once', async () => {
    const { rig, id, engine, token } = await called()
    await engine.answerCallback(token, yes)
    expect(await rig.untilDone(id)).toMatchObject({ result: yes })
    // The same again is the same answer, another one is refused, and the first one counts.
    await engine.answerCallback(token, { payload: { by: 'Ada' }, outcome: 'completed' })
    await expect(engine.answerCallback(token, { outcome: 'completed', payload: 2 })).rejects.toMatchObject({
      code: 'callback-already-used',
    })
  })

  it('can say that it did not work', async () => {
    const { rig, id, engine, token } = await called()
    const no = { outcome: 'failed', error: { code: 'declined', message: 'will not sign' } } as const
    await engine.answerCallback(token, no)
    expect(await rig.untilDone(id)).toMatchObject({ result: no })
  })

  it('that came early are kept until the job asks', async () => {
    const { rig, id, engine, token } = await called(false)
    await engine.answerCallback(token, yes)
    expect(await rig.untilDone(id)).toMatchObject({ result: yes })
  })

  it('of two at once: one counts', async () => {
    const { rig, id, engine, token } = await called()
    const both = await Promise.allSettled([
      engine.answerCallback(token, yes),
      engine.answerCallback(token, { outcome: 'completed', payload: 'other' }),
    ])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(await rig.untilDone(id)).toMatchObject({ result: yes })
  })

  it('whose time is over, whose job has ended, or that never were, change nothing', async () => {
    const late = await called()
    await late.rig.advance('2h')
    expect(await late.rig.get(late.id)).toMatchObject({ status: 'completed', result: { outcome: 'timeout' } })
    await expect(late.engine.answerCallback(late.token, yes)).rejects.toMatchObject({ code: 'callback-expired' })
    const ended = await called()
    await ended.engine.cancel(LOCAL, ended.id, {})
    await expect(ended.engine.answerCallback(ended.token, yes)).rejects.toMatchObject({ code: 'callback-expired' })
    for (const token of ['x', '', 'f'.repeat(64), `${late.token}0`, 'é'.repeat(5000)])
      await expect(late.engine.answerCallback(token, yes)).rejects.toMatchObject({ code: 'callback-not-found' })
  })
})
