import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Transient, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL, type Scope } from './api.js'
import type { AnswerRequest } from './operator-api.js'

const open = rigs()
const quick = until({ attempts: 3, backoff: { from: '10ms', to: '10ms' } })
const pay = defineJob('pay', { input: z.object({}) })
const person = (id: string, ...scopes: Scope[]): Caller => ({
  tenant: 'default',
  actor: { kind: 'user', id, name: id },
  scopes,
  types: null,
})
const EVE = person('eve', 'jobs:operate', 'jobs:read')
const happened = (result: string): AnswerRequest => ({ step: 'pay', answer: 'happened', result, reason: 'I see it' })
const DID_NOT: AnswerRequest = { step: 'pay', answer: 'did-not-happen', reason: 'the bank has no such order' }

/** Pays once; the first answer of the bank is lost. */
function payment(log: string[], undo = false): JobHandler {
  return pay.handler({ retry: quick }, async (job) => {
    const receipt = await job.step(
      'pay',
      async ({ key }) => {
        log.push(key)
        if (log.length === 1) throw new Transient('the answer was lost')
        return `receipt ${log.length}`
      },
      { effect: 'once', ...(undo ? { undo: (value) => void log.push(`refund ${value}`) } : {}) },
    )
    if (undo) throw new Permanent('no stock')
    return receipt
  }) as never
}

async function asked(log: string[], undo = false): Promise<{ rig: TestRig; id: string }> {
  const rig = await open(payment(log, undo))
  const { id } = await rig.submit(pay, {})
  await rig.advance('1s')
  return { rig, id }
}

describe('the question', () => {
  it('is shown with what may be answered', async () => {
    const { rig, id } = await asked([])
    const { blockedOn } = await rig.get(id)
    expect(blockedOn).toMatchObject([
      { kind: 'review', question: { step: 'pay', answers: ['happened', 'did-not-happen', 'stop'] } },
    ])
    expect(blockedOn[0]!.question!.text).toMatch(/^Did "pay" happen\?/)
  })
})

describe('answers to whether an effect happened', () => {
  it('happened: the step has that result, the effect is not repeated, and the job goes on', async () => {
    const log: string[] = []
    const { rig, id } = await asked(log)
    const answered = await rig.engine.answer(EVE, id, happened('R-17'))
    expect(answered).toMatchObject({ status: 'processing', error: null, blockedOn: [] })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'R-17' })
    expect(log).toHaveLength(1)
    expect(await rig.engine.steps(LOCAL, id)).toMatchObject([
      { name: 'pay', effect: 'once', info: { answeredBy: { kind: 'user', id: 'eve' }, reason: 'I see it' } },
    ])
    expect(await rig.store.effect('default', log[0]!)).toMatchObject({ state: 'happened', result: '"R-17"' })
    expect(
      (await rig.engine.history(LOCAL, id, {})).items.find(({ event }) => event === 'retryRequested'),
    ).toMatchObject({
      actor: { id: 'eve' },
      reason: 'I see it',
      context: { answer: 'happened', step: 'pay' },
    })
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'job.answer', target: `job/${id}`, reason: 'I see it', details: { answer: 'happened', step: 'pay' } },
    ])
  })

  it('happened, and the rest fails: what it did is undone with the result that was answered', async () => {
    const log: string[] = []
    const { rig, id } = await asked(log, true)
    await rig.engine.answer(EVE, id, happened('R-17'))
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { message: 'no stock' } })
    expect(log.slice(1)).toEqual(['refund R-17'])
  })

  it('did not happen: it is begun again, once', async () => {
    const log: string[] = []
    const { rig, id } = await asked(log)
    await rig.engine.answer(EVE, id, DID_NOT)
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'receipt 2' })
    expect(log).toHaveLength(2)
  })

  it('stop: cancelled, and it says by whom and why', async () => {
    const { rig, id } = await asked([])
    await rig.engine.answer(EVE, id, { answer: 'stop', reason: 'customer withdrew' })
    expect(await rig.get(id)).toMatchObject({
      status: 'cancelled',
      error: { code: 'stopped-by-operator', message: 'Stopped by eve: customer withdrew' },
      ops: { phase: 'byOperator' },
    })
  })
})

describe('the answer to an undo that did not work', () => {
  it('undone: the step is by hand, the rest is undone by the job', async () => {
    const log: string[] = []
    const rig = await open(
      pay.handler({ retry: quick }, async (job) => {
        await job.step('hotel', () => 'H1', { undo: () => void log.push('undo hotel') })
        await job.step('car', () => 'C1', {
          undo: () => {
            throw new Permanent('no such booking')
          },
        })
        throw new Permanent('declined')
      }) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.advance('1s')
    expect((await rig.get(id)).blockedOn[0]!.question).toMatchObject({ step: 'car', answers: ['undone'] })
    await expect(rig.engine.answer(EVE, id, { step: 'car', answer: 'happened', reason: 'x' })).rejects.toMatchObject({
      code: 'nothing-to-answer',
      params: { answers: ['undone'] },
    })
    const answered = await rig.engine.answer(EVE, id, { step: 'car', answer: 'undone', reason: 'called them' })
    expect(answered.status).toBe('processing')
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: { details: { compensation: { state: 'partial', undone: ['hotel'], notUndone: ['car'] } } },
    })
    expect(log).toEqual(['undo hotel'])
  })

  it('undone: also for a step whose undo the code no longer has', async () => {
    let fail = () => {}
    const rig = await open(
      pay.handler(async (job) => {
        await job.step('car', () => 'C1', { undo: () => {} })
        await new Promise<void>((_, reject) => {
          fail = () => reject(new Permanent('declined'))
        })
      }) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.settle()
    fail()
    await rig.crashAt({ op: 'move', when: 'after' })
    await rig.restart([pay.handler(async () => {}) as never])
    await rig.advance('1s')
    expect((await rig.get(id)).blockedOn[0]!.question).toMatchObject({ step: 'car', answers: ['undone'] })
    await rig.engine.answer(EVE, id, { step: 'car', answer: 'undone', reason: 'called them' })
    expect(await rig.untilDone(id)).toMatchObject({ error: { details: { compensation: { notUndone: ['car'] } } } })
  })
})

describe('the question whether there is something to undo', () => {
  /** A payment that was begun, whose outcome is not known, in a job that is cancelled. */
  async function cancelled(log: string[]) {
    const rig = await open(
      pay.handler(async (job) => {
        await job.step('pay', () => new Promise<string>(() => log.push('charge')), {
          effect: 'once',
          undo: (value) => void log.push(`refund ${value}`),
        })
      }) as never,
    )
    const { id } = await rig.submit(pay, {})
    await rig.settle()
    await rig.crash()
    await rig.restart()
    await rig.advance('1m')
    await rig.engine.cancel(LOCAL, id, { reason: 'withdrew' })
    await rig.advance('1m')
    const { status, blockedOn } = await rig.get(id)
    expect([status, blockedOn[0]?.question?.step]).toEqual(['blocked', 'pay'])
    return { rig, id, answers: blockedOn[0]!.question!.answers }
  }

  it('happened: it is undone; its end is the one that was on hold', async () => {
    const log: string[] = []
    const { rig, id, answers } = await cancelled(log)
    expect(answers).toEqual(['happened', 'did-not-happen'])
    await rig.engine.answer(EVE, id, happened('R-17'))
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
    expect(log).toEqual(['charge', 'refund R-17'])
  })

  it('did not happen: nothing is undone', async () => {
    const log: string[] = []
    const { rig, id } = await cancelled(log)
    await rig.engine.answer(EVE, id, DID_NOT)
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
    expect(log).toEqual(['charge'])
  })
})

describe('what is refused', () => {
  it('another step, no step, a result where none belongs, no reason', async () => {
    const { rig, id } = await asked([])
    const refusals: [Partial<AnswerRequest>, string, string?][] = [
      [{ step: 'refund' }, 'validation-failed', '/step'],
      [{ step: undefined }, 'validation-failed', '/step'],
      [{ answer: 'did-not-happen', result: 1 }, 'validation-failed', '/result'],
      [{ reason: ' ' }, 'validation-failed', '/reason'],
      [{ answer: 'undone' }, 'nothing-to-answer'],
      [{ ifVersion: 99 }, 'version-mismatch'],
    ]
    for (const [change, code, pointer] of refusals) {
      const { result, ...rest } = happened('x')
      const request = { ...rest, ...('answer' in change ? {} : { result }), ...change }
      const errors = pointer ? { errors: [{ pointer }] } : {}
      await expect(rig.engine.answer(EVE, id, request), JSON.stringify(change)).rejects.toMatchObject({
        code,
        ...errors,
      })
    }
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', version: 5 })
    expect(await rig.store.audit('default', 0, 10)).toEqual([])
  })

  it('a job that asks nothing, a finished one, and somebody without the right', async () => {
    const { rig, id } = await asked([])
    await expect(rig.engine.answer(person('ann', 'jobs:read'), id, DID_NOT)).rejects.toMatchObject({
      code: 'forbidden',
    })
    await rig.engine.answer(EVE, id, DID_NOT)
    await rig.untilDone(id)
    await expect(rig.engine.answer(EVE, id, DID_NOT)).rejects.toMatchObject({ code: 'job-already-done' })
    const { id: later } = await rig.submit(pay, {}, { runAt: new Date(rig.clock.now() + 9000) })
    await expect(rig.engine.answer(EVE, later, DID_NOT)).rejects.toMatchObject({
      code: 'nothing-to-answer',
      params: { status: 'accepted' },
    })
  })
})

describe('races', () => {
  it('two operators at once: one answer counts, the other learns that nothing is asked any more', async () => {
    const { rig, id } = await asked([])
    const both = await Promise.allSettled([
      rig.engine.answer(EVE, id, happened('R-17')),
      rig.engine.answer(person('bob', 'jobs:operate', 'jobs:read'), id, DID_NOT),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(both.find((one) => one.status === 'rejected')).toMatchObject({ reason: { code: 'nothing-to-answer' } })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('a repeat with the same key answers the job as it is and does nothing', async () => {
    const { rig, id } = await asked([])
    await rig.engine.answer(EVE, id, { ...happened('R-17'), key: 'k' })
    await rig.untilDone(id)
    expect(await rig.engine.answer(EVE, id, { ...happened('R-17'), key: 'k' })).toMatchObject({ status: 'completed' })
    expect(await rig.store.audit('default', 0, 10)).toHaveLength(1)
  })

  it('a crash after the answer was stored keeps it', async () => {
    const { rig, id } = await asked([])
    const dying = rig.crashAt({ op: 'move', when: 'after' })
    void rig.engine.answer(EVE, id, happened('R-17'))
    await dying
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'R-17' })
  })
})
