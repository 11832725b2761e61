import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Confirmation, defineJob, type JobHandler, Permanent, Review, Transient, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const pay = defineJob('pay', { input: z.object({}) })

/** A bank that forgets nothing. */
function bank() {
  const paid = new Map<string, number>()
  return {
    paid,
    pay: (key: string) => {
      paid.set(key, (paid.get(key) ?? 0) + 1)
      return 'receipt'
    },
    find: (key: string): Confirmation<string> =>
      paid.has(key) ? { happened: true, result: 'receipt' } : { happened: false },
  }
}

describe('a once step', () => {
  it('that was interrupted between effect and record is confirmed, not repeated', async () => {
    const { paid, pay: charge, find } = bank()
    const rig = await open(
      pay.handler({ retry: quick }, (job) =>
        job.step(
          'pay',
          async ({ key }) => {
            charge(key)
            if (job.attempt === 1) throw new Transient('the answer was lost')
            return 'receipt'
          },
          { effect: 'once', confirm: ({ key }) => find(key) },
        ),
      ) as never,
    )
    const { id } = await rig.submit(pay, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'receipt' })
    expect([...paid.values()]).toEqual([1])
    expect((await rig.engine.steps(LOCAL, id))[0]).toMatchObject({ effect: 'once', info: { confirmed: true } })
  })

  it('that certainly did not happen is begun again', async () => {
    let tries = 0
    const rig = await open(
      pay.handler({ retry: quick }, (job) =>
        job.step(
          'pay',
          async () => {
            tries++
            if (tries === 1) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
            if (tries === 2) throw new Transient('queue full', { happened: false })
            return tries
          },
          { effect: 'once' },
        ),
      ) as never,
    )
    const { id } = await rig.submit(pay, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 3 })
  })

  it('whose outcome nobody knows is put before a person with a question', async () => {
    const rig = await open(
      pay.handler({ retry: quick }, (job) =>
        job.step(
          'pay',
          async () => {
            throw new Transient('the answer was lost')
          },
          { effect: 'once' },
        ),
      ) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.advance('1s')
    const job = await rig.get(id)
    expect(job).toMatchObject({
      status: 'blocked',
      error: { code: 'effect-unknown', origin: 'system', details: { question: { step: 'pay' } } },
    })
    expect(job.statusText).toContain('Did "pay" happen?')
  })

  it('a crash at each commit leaves one effect', async () => {
    for (const when of ['before', 'after'] as const)
      for (let nth = 1; nth <= 4; nth++) {
        const { paid, pay: charge, find } = bank()
        const handler = pay.handler({ retry: quick }, (job) =>
          job.step('pay', async ({ key }) => charge(key), {
            effect: 'once',
            confirm: ({ key }) => find(key),
          }),
        ) as never as JobHandler
        const rig = await open(handler)
        const dying = rig.crashAt({ op: nth <= 2 ? 'record' : 'move', when, nth: nth <= 2 ? nth : nth - 2 })
        const { id } = await rig.submit(pay, {})
        await rig.settle()
        if (nth === 4) await rig.crash()
        else await dying
        await rig.restart()
        expect(await rig.untilDone(id), `${when} ${nth}`).toMatchObject({ status: 'completed', result: 'receipt' })
        expect([...paid.values()], `${when} ${nth}`).toEqual([1])
      }
  })

  it('of the same business operation is one effect over jobs', async () => {
    const { paid, pay: charge } = bank()
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        const receipt = await job.step('pay', async ({ key }) => charge(key), { effect: 'once' })
        if (job.metadata.fail) throw new Permanent('the rest did not work')
        return receipt
      }) as never,
    )
    const first = await rig.submit(pay, {}, { operationKey: 'invoice:1', metadata: { fail: 'yes' } })
    expect((await rig.untilDone(first.id)).status).toBe('failed')
    const second = await rig.submit(pay, {}, { operationKey: 'invoice:1' })
    expect(await rig.untilDone(second.id)).toMatchObject({ status: 'completed', result: 'receipt' })
    expect([...paid.values()]).toEqual([1])
    expect((await rig.engine.steps(LOCAL, second.id))[0]!.info).toEqual({ reused: first.id })
    const other = await rig.submit(pay, {}, { operationKey: 'invoice:2' })
    await rig.untilDone(other.id)
    expect([...paid.values()]).toEqual([1, 1])
  })

  it('that another job has done is not undone by this one', async () => {
    const refunds: string[] = []
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        await job.step('pay', async () => 'receipt', { effect: 'once', undo: () => void refunds.push(job.id) })
        if (job.metadata.fail) throw new Permanent('the rest did not work')
      }) as never,
    )
    await rig.untilDone((await rig.submit(pay, {}, { operationKey: 'invoice:1' })).id)
    const second = await rig.submit(pay, {}, { operationKey: 'invoice:1', metadata: { fail: 'yes' } })
    expect((await rig.untilDone(second.id)).status).toBe('failed')
    expect(refunds).toEqual([])
    expect((await rig.engine.steps(LOCAL, second.id))[0]!.undo).toBe('reused')
  })

  it('that was undone is an effect of its own in the next job of the operation', async () => {
    const { paid, pay: charge } = bank()
    const refunds: string[] = []
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        const receipt = await job.step('pay', async ({ key }) => charge(key), {
          effect: 'once',
          undo: (_, { key }) => void refunds.push(key),
        })
        if (job.metadata.fail) throw new Permanent('the rest did not work')
        return receipt
      }) as never,
    )
    const failing = { operationKey: 'invoice:1', metadata: { fail: 'yes' } }
    for (let n = 1; n <= 2; n++) {
      expect((await rig.untilDone((await rig.submit(pay, {}, failing)).id)).status).toBe('failed')
      // Each charge and each refund has a key of its own: the far side must take none for a repeat of another.
      expect(new Set([...paid.keys(), ...refunds]).size).toBe(2 * n)
    }
    const last = await rig.submit(pay, {}, { operationKey: 'invoice:1' })
    expect(await rig.untilDone(last.id)).toMatchObject({ status: 'completed', result: 'receipt' })
    expect(refunds).toHaveLength(2)
    expect([...paid.values()]).toEqual([1, 1, 1])
  })

  it('is guarded in every attempt right before it', async () => {
    let refundable = true
    let paid = 0
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        await job.sleep('thinking', '1h')
        return job.step('pay', () => ++paid, {
          effect: 'once',
          before: () => {
            if (!refundable) throw new Review('order changed while waiting')
          },
        })
      }) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.settle()
    refundable = false
    await rig.advance('2h')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', error: { message: 'order changed while waiting' } })
    expect(paid).toBe(0)
    refundable = true
    await rig.engine.retry(LOCAL, id, {})
    expect((await rig.untilDone(id)).result).toBe(1)
  })

  it('asks again for the permissions of the person it is done for', async () => {
    let allowed = ['refund:write', 'order:read']
    let paid = 0
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        await job.read('permissions', () => allowed)
        await job.sleep('thinking', '1h')
        return job.step('pay', () => ++paid, { effect: 'once' })
      }) as never,
    )
    const who = { onBehalfOf: { id: 'u-1', name: 'Ada' }, permissions: ['refund:write'] }
    const { id } = await rig.submit(pay, {}, who)
    await rig.settle()
    allowed = ['order:read']
    await rig.advance('2h')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: {
        code: 'permission-withdrawn',
        origin: 'policy',
        message: 'Ada no longer has the permission refund:write.',
      },
    })
    expect(paid).toBe(0)
  })
})

describe('an end that comes while the outcome of an effect is not known', () => {
  const undone: string[] = []
  const handlerWith = (far: ReturnType<typeof bank>, confirms: boolean) =>
    pay.handler({ retry: quick }, (job) =>
      job.step('pay', async ({ key }) => far.pay(key), {
        effect: 'once',
        ...(confirms ? { confirm: ({ key }: { key: string }) => far.find(key) } : {}),
        undo: (receipt) => void undone.push(receipt),
      }),
    ) as never as JobHandler

  /** The process dies with the effect done or not, and the job is cancelled before another worker has it. */
  async function cancelled(paid: boolean, confirms: boolean) {
    undone.length = 0
    const far = bank()
    const rig = await open(handlerWith(far, confirms))
    const dying = rig.crashAt({ op: 'record', when: paid ? 'before' : 'after', nth: paid ? 2 : 1 })
    const { id } = await rig.submit(pay, {})
    await dying
    await rig.restart(undefined, { worker: false })
    await rig.advance('1m')
    await rig.engine.cancel(LOCAL, id, { reason: 'changed my mind' })
    await rig.restart(undefined, {})
    await rig.advance('1m')
    return { rig, id, far, job: await rig.get(id) }
  }

  it('asks the far side first; what has happened is recorded and taken back', async () => {
    const { rig, id, job } = await cancelled(true, true)
    expect(job).toMatchObject({
      status: 'cancelled',
      error: { code: 'cancelled-by-caller', details: { compensation: { state: 'rolled-back', undone: ['pay'] } } },
    })
    expect(undone).toEqual(['receipt'])
    expect(await rig.store.steps(id)).toMatchObject([
      { key: 'pay', undo: 'undone', info: expect.stringContaining('confirmed') },
    ])
  })

  it('takes nothing back that has not happened', async () => {
    const { rig, id, far, job } = await cancelled(false, true)
    expect(job).toMatchObject({ status: 'cancelled', error: { details: null } })
    expect([undone, far.paid.size, await rig.store.steps(id)]).toEqual([[], 0, []])
  })

  it('waits for a person when nobody else can tell', async () => {
    const { rig, id, far, job } = await cancelled(true, false)
    expect(job).toMatchObject({
      status: 'blocked',
      error: { code: 'effect-unknown', details: { question: { step: 'pay', kind: 'effect' } } },
    })
    await rig.restart([handlerWith(far, true)])
    await rig.engine.retry(LOCAL, id, { reason: 'the new version can ask the bank' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
    expect(undone).toEqual(['receipt'])
  })

  it('is not stopped over the question: it is asked once more, because it may have to be undone', async () => {
    undone.length = 0
    const far = bank()
    const rig = await open(handlerWith(far, false))
    const dying = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
    const { id } = await rig.submit(pay, {})
    await dying
    await rig.restart()
    await rig.advance('1m')
    await rig.engine.answer(LOCAL, id, { answer: 'stop', step: 'pay', reason: 'withdrawn' })
    await rig.advance('1m')
    const { status, error } = await rig.get(id)
    expect([status, error!.code, (error!.details!.question as any).answers]).toEqual([
      ...['blocked', 'effect-unknown', ['happened', 'did-not-happen']],
    ])
    await rig.engine.answer(LOCAL, id, { answer: 'did-not-happen', step: 'pay', reason: 'asked the bank' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled', error: { code: 'stopped-by-operator' } })
    expect(undone).toEqual([])
  })

  it.each([
    ['happened', ['told']],
    ['did-not-happen', []],
  ] as const)('goes on as the person says: %s', async (answer, taken) => {
    const { rig, id, job } = await cancelled(true, false)
    expect(job.error!.details!.question).toMatchObject({ answers: ['happened', 'did-not-happen'], undoable: true })
    const told = answer === 'happened' ? { result: 'told' } : {}
    await rig.engine.answer(LOCAL, id, { answer, step: 'pay', reason: 'asked the bank', ...told })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
    expect(undone).toEqual(taken)
  })

  it('is not taken for settled when the handler does not come to the step: what it threw on the way stands in the way', async () => {
    undone.length = 0
    const far = bank()
    let letIn = true
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        await job.read('account', () => {
          if (!letIn) throw new Permanent('unknown key', { code: 'unknown-key' })
        })
        await job.step('pay', async ({ key }) => far.pay(key), {
          ...{ effect: 'once', confirm: ({ key }: { key: string }) => far.find(key) },
          undo: (receipt: string) => void undone.push(receipt),
        })
      }) as never,
    )
    const dying = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
    const { id } = await rig.submit(pay, {})
    await dying
    letIn = false
    await rig.restart()
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'undo-failed', details: { last: { code: 'unknown-key' } } },
    })
    expect(undone).toEqual([])
    letIn = true
    await rig.engine.retry(LOCAL, id, { reason: 'the key works again' })
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: { code: 'unknown-key', details: { compensation: { undone: ['pay'] } } },
    })
    expect(undone).toEqual(['receipt'])
  })

  it('nor when the present code has no such step', async () => {
    const far = bank()
    const rig = await open(handlerWith(far, true))
    const dying = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
    const { id } = await rig.submit(pay, {})
    await dying
    await rig.restart([pay.handler(async () => Promise.reject(new Permanent('closed'))) as never])
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', error: { code: 'undo-failed' } })
    await rig.restart([pay.handler(async (job) => job.sleep('on', '1d')) as never])
    await rig.engine.retry(LOCAL, id, { reason: 'another version' })
    await rig.advance('1m')
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'undo-failed', details: { last: { code: 'undo-missing' } } },
    })
  })

  it.each([
    ['a cancel', (rig: TestRig, id: string) => rig.engine.cancel(LOCAL, id, {})],
    [
      'the answer "stop"',
      (rig: TestRig, id: string) => rig.engine.answer(LOCAL, id, { answer: 'stop', step: 'pay', reason: 'withdrawn' }),
    ],
  ])('is told with the end when %s leaves the question open', async (_, ends) => {
    const rig = await open(
      pay.handler(async (job) => {
        await job.step('pay', () => Promise.reject(new Error('the answer was lost')), { effect: 'once' })
      }) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.advance('1m')
    expect((await rig.get(id)).status).toBe('blocked')
    await ends(rig, id)
    expect(await rig.get(id)).toMatchObject({
      status: 'cancelled',
      error: { details: { last: { code: 'effect-unknown', message: expect.stringContaining('Did "pay" happen?') } } },
    })
  })

  it.each([
    ['fails', false],
    ['is cancelled', true],
  ])('says so on a job that %s and has no undo', async (_, cancels) => {
    let fail = () => {}
    const rig = await open(
      pay.handler({ retry: quick }, (job) =>
        job.step(
          'pay',
          () => new Promise((_, reject) => (fail = () => reject(new Permanent('the answer makes no sense')))),
          {
            effect: 'once',
          },
        ),
      ) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.settle()
    if (cancels) await rig.engine.cancel(LOCAL, id, {})
    fail()
    expect(await rig.untilDone(id)).toMatchObject({
      status: cancels ? 'cancelled' : 'failed',
      warnings: [{ code: 'effect-unknown', step: 'pay', message: 'It is not known whether "pay" has happened.' }],
    })
  })
})
