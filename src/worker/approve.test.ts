import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { type ApprovalRequest, defineJob, type JobHandler, Transient, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig, TestRigOptions } from '../testing/index.js'

const open = rigs()
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const refund = defineJob('refund', {
  input: z.object({ order: z.string().default('77') }),
  approvals: { payout: z.object({ amount: z.number().positive() }), note: z.null() },
})
type Payout = ApprovalRequest<{ amount: number }> & { data: { amount: number } }

/** The live state of the far side: what an order may be refunded, and what was paid. */
class Shop {
  refundable = 100
  paid: number[] = []
  asked = 0
  request(more: Partial<Payout> = {}): Payout {
    this.asked++
    const { refundable } = this
    return {
      summary: `Refund ${refundable} EUR to order 77`,
      because: 'The parcel came back.',
      writes: [
        {
          ...{ target: 'payments', operation: 'refund', object: 'order 77' },
          change: { amount: { now: null, after: refundable, from: 'amount' } },
        },
      ],
      evidence: [{ label: 'Receipt', quote: 'Returned on Friday', version: 'v1' }],
      impact: 'Money leaves the account',
      rollback: 'Void within 24 h',
      data: { amount: refundable },
      ...more,
    }
  }
  pay(amount: number): string {
    this.paid.push(amount)
    this.refundable -= amount
    return `receipt ${this.paid.length}`
  }
}
const tier = (risk: 'none' | 'low' | 'medium' | 'high'): TestRigOptions => ({
  approvals: { policy: () => ({ risk, rule: 'always', why: `Always ${risk}.` }), policyVersion: 'p1' },
})

/** Asks for a refund and pays what was approved; the step after that fails as often as told. */
function handlerOf(
  shop: Shop,
  { more = {}, failing = () => false }: { more?: Partial<Payout>; failing?: (attempt: number) => boolean } = {},
): JobHandler {
  return refund.handler({ retry: quick }, async (job) => {
    const answer = await job.approve('payout', () => shop.request(more))
    if (answer.outcome !== 'approved') return { outcome: answer.outcome, feedback: answer.feedback }
    const receipt = await job.step('pay', () => shop.pay(answer.data.amount), {
      ...{ effect: 'once', approvedBy: answer, confirm: () => 'unknown' },
    })
    await job.step('tell', () => {
      if (failing(job.attempt)) throw new Transient('mail is down')
    })
    return { receipt, edited: answer.edited, by: answer.by.map(({ id }) => id) }
  }) as never
}
const eventsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.history(LOCAL, id, {})).items.map(({ event }) => event)
const auditOf = async (rig: TestRig) => (await rig.store.audit('default', 0, 100)).map(({ action }) => action)

describe('job.approve', () => {
  it('blocks the job without a worker until somebody approves, and hands over what was approved', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop), tier('medium'))
    const { id } = await rig.submit(refund, {}, { onBehalfOf: { id: 'sam', name: 'Sam' } })
    await rig.settle()
    const card = await rig.approval(id)
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      ops: { phase: 'approval', workerId: null },
      statusText: 'Action required: Refund 100 EUR to order 77',
      blockedOn: [
        {
          ...{ kind: 'approval', id: card.id, title: 'Refund 100 EUR to order 77', dueAt: card.dueAt },
          ...{ href: `/v1/approvals/${card.id}`, quorum: { filled: 0, needed: 1 } },
        },
      ],
    })
    expect(rig.app.running).toBe(0)
    expect(card).toMatchObject({ state: 'pending', requesters: [{ id: 'sam' }], jobStatus: 'blocked', gate: 'payout' })
    expect(Date.parse(card.dueAt) - rig.clock.now()).toBe(3 * 86_400_000)

    const decided = await rig.approve(id, { by: 'mara', reason: 'Seen the parcel.' })
    expect(decided).toMatchObject({
      state: 'approved',
      decisions: [{ by: { id: 'mara' }, reason: 'Seen the parcel.' }],
    })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: { receipt: 'receipt 1', edited: false, by: ['mara'] } })
    expect(shop.paid).toEqual([100])
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'suspended', 'woken', 'claimed', 'succeeded'])
    const { items } = await rig.engine.history(LOCAL, id, {})
    expect(items[3]).toMatchObject({
      actor: { kind: 'user', id: 'mara' },
      context: { approval: card.id, gate: 'payout', outcome: 'approved', decidedBy: ['mara'] },
    })
    expect(items[3]!.hash).toMatch(/^[0-9a-f]{64}$/)
    const steps = await rig.engine.steps(LOCAL, id)
    expect(new Map(steps.map(({ name, kind, info }) => [name, [kind, info]]))).toEqual(
      new Map([
        ['payout', ['approval', { name: 'payout' }]],
        ['pay', ['step', { approvedBy: card.id, declared: { confirm: true } }]],
        ['tell', ['step', null]],
      ]),
    )
    expect(await auditOf(rig)).toEqual(['approval.approve'])
    // Asked when it began, when it came back, and right before the effect.
    expect(shop.asked).toBe(3)
  })

  it('is typed by the definition', () => {
    refund.handler(async (job) => {
      // @ts-expect-error: no such gate
      await job.approve('other', new Shop().request())
      // @ts-expect-error: data is an amount
      await job.approve('payout', { ...new Shop().request(), data: { amount: 'much' } })
      const { data: _, ...noData } = new Shop().request()
      // @ts-expect-error: data is missing
      await job.approve('payout', noData)
      await job.approve('note', noData)
      // Writes that change different things; what is undefined is not there.
      await job.approve('note', async () => {
        const { data: _, ...request } = await Promise.resolve(new Shop().request())
        return {
          ...request,
          writes: [
            { target: 'crm', change: { note: { now: null, after: 'paid' } } },
            { target: 'tickets', change: { state: { now: 'open', after: 'closed' } } },
          ],
        }
      })
      const found: string | null = 'r1'
      const receipt = await job.step('pay', () => ({ receipt: 'r1' }), {
        effect: 'once',
        // What a step gives is what its function gives, whatever the other options say.
        confirm: () => (found ? { happened: true, result: { receipt: found } } : { happened: false }),
      })
      expectTypeOf(receipt).toEqualTypeOf<{ receipt: string }>()
      const answer = await job.approve('payout', new Shop().request())
      if (answer.outcome === 'approved') expectTypeOf(answer.data).toEqualTypeOf<{ amount: number }>()
      else expectTypeOf(answer.data).toEqualTypeOf<null>()
    })
  })

  it.each([
    ['cancel', { status: 'cancelled', ops: { phase: 'rejected' } }],
    ['fail', { status: 'failed', ops: { phase: 'permanent' } }],
  ] as const)('rejected with onReject %s', async (onReject, expected) => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop, { more: { onReject } }), tier('medium'))
    const { id } = await rig.submit(refund, {})
    const { id: approval } = await rig.reject(id, { by: { id: 'mara', name: 'Mara' }, reason: 'Another order.' })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({
      ...expected,
      error: {
        ...{ code: 'approval-rejected', origin: 'policy' },
        message: 'Rejected by Mara: Another order.',
      },
    })
    expect(shop.paid).toEqual([])
    expect(await rig.approval(approval)).toMatchObject({ state: 'rejected', jobStatus: job.status })
    expect((await rig.engine.history(LOCAL, id, {})).items.at(-1)).toMatchObject({
      event: 'stopped',
      reason: 'Another order.',
      actor: { kind: 'user', id: 'mara' },
      context: { approval, outcome: 'rejected' },
    })
  })

  it('rejected with onReject continue goes on with the outcome, and asks nobody again', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop, { more: { onReject: 'continue' } }), tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.reject(id, { by: 'mara', reason: 'No.' })
    shop.refundable = 5
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { outcome: 'rejected' } })
    expect(shop.asked).toBe(1)
  })

  it('names model and tools of the latest decision, and whoever submitted through a child’s parent', async () => {
    const inner = defineJob('inner', { input: z.object({}), approvals: { payout: z.object({ amount: z.number() }) } })
    const outer = defineJob('outer', { input: z.object({}) })
    const rig = await open(
      [
        inner.handler(async (job) => {
          job.decision({ model: 'old', version: '1', tools: [], path: 'a' })
          job.decision({ model: 'm', version: '2', tools: ['search'], path: 'b' })
          return (await job.approve('payout', new Shop().request())).outcome
        }),
        outer.handler((job) => job.call(inner, {})),
      ] as never,
      tier('medium'),
    )
    const caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_1' } as const, person: { id: 'sam', name: 'Sam' } }
    const { job } = await rig.engine.submit(caller, { type: 'outer', input: {} }, null)
    await rig.advance('1s')
    const { items } = await rig.engine.approvals.list(LOCAL, {})
    expect(items).toHaveLength(1)
    const card = await rig.approval(items[0]!.id)
    expect(card).toMatchObject({
      actor: { model: 'm', version: '2', tools: ['search'] },
      requesters: [{ id: 'sam', name: 'Sam' }],
    })
    await expect(rig.approve(card.id, { by: 'sam' })).rejects.toMatchObject({ code: 'self-approval-forbidden' })
    await rig.approve(card.id, { by: 'mara' })
    expect(await rig.untilDone(job)).toMatchObject({ status: 'completed', result: 'approved' })
  })

  it('of no risk goes on at once, and is listed and audited', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop), tier('none'))
    const { id } = await rig.submit(refund, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { receipt: 'receipt 1', by: [] } })
    const { items } = await rig.engine.approvals.list(LOCAL, { jobId: id })
    expect(items).toMatchObject([{ state: 'approved', risk: 'none', quorum: { needed: 0 } }])
    expect(await auditOf(rig)).toEqual(['approval.automatic'])
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'succeeded'])
  })

  it('that lacks something says all of it, and fails for good', async () => {
    const handler = refund.handler({ retry: quick }, async (job) => {
      await job.approve('payout', { summary: '', writes: [], data: { amount: -1 } } as never)
    }) as never
    const rig = await open(handler)
    const { id } = await rig.submit(refund, {})
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'failed', error: { code: 'approval-incomplete', class: 'permanent' } })
    expect(job.error!.origin).toBe('engine')
    const { errors } = job.error!.details as { errors: { pointer: string }[] }
    const pointers = ['/summary', '/because', '/writes', '/evidence', '/impact', '/rollback', '/data/amount']
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual(pointers.sort())
  })

  it.each([
    ['a gate that is not declared', (job: any) => job.approve('other', new Shop().request()), 'bad-definition'],
    [
      'a request that runs steps',
      (job: any) => job.approve('payout', async () => new Shop().request(await job.step('a', () => ({})))),
      'nested-step',
    ],
    [
      'a step that is approved and may be repeated',
      async (job: any) =>
        job.step('pay', () => 1, { approvedBy: await job.approve('payout', () => new Shop().request()) }),
      'bad-definition',
    ],
    [
      'a step whose request cannot be made anew',
      async (job: any) => {
        const approvedBy = await job.approve('payout', new Shop().request())
        return job.step('pay', () => 1, { effect: 'once', approvedBy })
      },
      'bad-definition',
    ],
    [
      'a step that names no approval of this job',
      (job: any) => job.step('pay', () => 1, { effect: 'once', approvedBy: { id: 'apr_other' } }),
      'bad-definition',
    ],
  ])('refuses %s', async (_, run, code) => {
    const rig = await open(refund.handler({ retry: until({ attempts: 1 }) }, run) as never, tier('none'))
    const { id } = await rig.submit(refund, {})
    expect((await rig.untilDone(id)).error!.details).toMatchObject({ last: { code } })
  })
})

describe('when nobody decides', () => {
  it.each([
    ['cancel', { status: 'cancelled', ops: { phase: 'approvalExpired' }, error: { code: 'approval-expired' } }],
    ['fail', { status: 'failed', error: { code: 'approval-expired' } }],
    ['continue', { status: 'completed', result: { outcome: 'expired', feedback: null } }],
  ] as const)('%s: at its instant, after two reminders that do not wake the job', async (onExpire, expected) => {
    const rig = await open(handlerOf(new Shop(), { more: { onExpire, due: '10h', escalateTo: ['boss'] } }), tier('low'))
    const { id } = await rig.submit(refund, {})
    await rig.settle()
    const { id: approval } = await rig.approval(id)
    const began = rig.clock.now()
    await rig.advance('9h')
    const reminded = await rig.approval(approval)
    expect(reminded.escalations.map(({ doneAt }) => doneAt !== null)).toEqual([true, true])
    expect(reminded.assignees).toEqual(['any', 'boss'])
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'suspended'])
    const job = await rig.untilDone(id)
    expect(job).toMatchObject(expected)
    expect(Math.round((rig.clock.now() - began) / 1000)).toBeGreaterThanOrEqual(36_000)
    expect(Math.round((rig.clock.now() - began) / 1000)).toBeLessThanOrEqual(36_003)
    await expect(rig.approve(approval, { by: 'mara' })).rejects.toMatchObject({ code: 'approval-expired' })
    expect(await auditOf(rig)).toEqual(['approval.escalate', 'approval.escalate', 'approval.expire'])
  })

  it('escalate: more people, as long again; then it can still be approved, or ends as cancelled', async () => {
    const more = { onExpire: 'escalate', due: '10h', escalateTo: ['boss'] } as const
    const rig = await open(handlerOf(new Shop(), { more }), tier('low'))
    const [first, second] = await Promise.all([rig.submit(refund, {}), rig.submit(refund, {})])
    await rig.advance('11h')
    expect(await rig.get(first)).toMatchObject({ status: 'blocked' })
    const { dueAt } = (await rig.get(first)).blockedOn[0]!
    expect(Math.round((Date.parse(dueAt!) - rig.clock.now()) / 3_600_000)).toBe(9)
    await rig.approve(first, { by: 'mara' })
    expect(await rig.untilDone(first)).toMatchObject({ status: 'completed' })
    expect(await rig.untilDone(second)).toMatchObject({ status: 'cancelled', error: { code: 'approval-expired' } })
  })

  it('over a restart the time is the same', async () => {
    const rig = await open(handlerOf(new Shop(), { more: { due: '10h' } }), tier('low'))
    const { id } = await rig.submit(refund, {})
    await rig.advance('9h')
    await rig.crash()
    await rig.restart()
    await rig.advance('59m')
    expect((await rig.get(id)).status).toBe('blocked')
    await rig.advance('2m')
    expect((await rig.get(id)).status).toBe('cancelled')
  })
})

describe('rounds, edits and several people', () => {
  it('changes: the wishes come back, the next version shows what changed, and is decided anew', async () => {
    const wishes: unknown[] = []
    const handler = refund.handler({ retry: quick }, async (job) => {
      let amount = 100
      for (;;) {
        const shop = new Shop()
        shop.refundable = amount
        const answer = await job.approve('payout', shop.request())
        if (answer.outcome !== 'changes-requested') return answer.outcome === 'approved' ? answer.data.amount : null
        wishes.push(answer.feedback)
        amount = 60
      }
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    const first = await rig.requestChanges(id, {
      ...{ by: 'mara', reason: 'Too much.', changes: [{ about: '/data/amount', text: 'Only the parcel.' }] },
    })
    expect(first).toMatchObject({ state: 'changes-requested', round: 1 })
    const second = await rig.approval(id)
    expect(second.id).not.toBe(first.id)
    expect(second).toMatchObject({ key: 'payout#2', gate: 'payout', round: 2, quorum: { filled: 0 } })
    expect(second.earlier).toMatchObject([
      { approvalId: first.id, why: 'changes-requested', by: { id: 'mara' }, changes: [{ text: 'Only the parcel.' }] },
    ])
    expect(second.earlier[0]!.changed).toEqual([
      { part: 'write', of: 'refund payments order 77', field: 'amount', side: 'after', before: 100, after: 60 },
      { part: 'data', of: '', field: 'amount', side: null, before: 100, after: 60 },
    ])
    await rig.approve(id, { by: 'mara' })
    expect(await rig.untilDone(id)).toMatchObject({ result: 60 })
    expect(wishes[0]).toEqual([{ about: '/data/amount', text: 'Only the parcel.' }])
  })

  it('edits: what the approver made of it is what runs, within the schema of the gate', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop, { more: { allow: { edit: true } } }), tier('medium'))
    const { id } = await rig.submit(refund, {})
    await expect(rig.approve(id, { by: 'mara', data: { amount: -4 } })).rejects.toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/data/amount' }],
    })
    const card = await rig.approve(id, { by: 'mara', data: { amount: 40 } })
    expect(card).toMatchObject({ state: 'approved', proposal: 2, earlier: [{ why: 'edited', by: { id: 'mara' } }] })
    expect(card.diff).toMatchObject([{ field: 'amount', now: null, after: 40, change: 'added' }])
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { edited: true } })
    expect(shop.paid).toEqual([40])
  })

  it('two people: the same person with another key is not the second', async () => {
    const rig = await open(handlerOf(new Shop()), tier('high'))
    const { id } = await rig.submit(refund, {})
    const first = await rig.approve(id, { by: 'mara', reason: 'Seen.' })
    expect(first).toMatchObject({ state: 'pending', quorum: { filled: 1, needed: 2 } })
    expect((await rig.get(id)).blockedOn[0]!.quorum).toEqual({ filled: 1, needed: 2 })
    const key = (name: string) => ({
      ...LOCAL,
      ...{ actor: { kind: 'apiKey', id: name } as const, person: { id: 'mara' } },
    })
    const input = { decision: 'approve', reason: 'Seen.', evidenceDigest: first.digest } as const
    const again = await rig.engine.approvals.decide(key('key_2'), first.id, input)
    expect(again.quorum.filled).toBe(1)
    expect(again.mayDecide.approve).toEqual({ may: false, why: 'You have decided this already.' })
    await expect(rig.approve(id, { by: 'otto' })).rejects.toMatchObject({ code: 'validation-failed' })
    await rig.approve(id, { by: 'otto', reason: 'Me too.' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { by: ['mara', 'otto'] } })
  })

  it('whoever asked may stop it, not let it through; a key that belongs to nobody is no other person', async () => {
    const rig = await open(handlerOf(new Shop()), tier('medium'))
    const { id } = await rig.submit(refund, {}, { onBehalfOf: { id: 'sam' } })
    await expect(rig.approve(id, { by: 'sam' })).rejects.toMatchObject({ code: 'self-approval-forbidden' })
    const card = await rig.approval(id)
    const key = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_1' } as const }
    const input = { decision: 'approve', evidenceDigest: card.digest } as const
    await expect(rig.engine.approvals.decide(key, card.id, input)).rejects.toMatchObject({
      code: 'forbidden',
      fix: 'Use a key that names its person: untildone keys create --person <id> --role approver',
    })
    expect((await rig.approval(id)).decisions).toEqual([])
    await rig.reject(id, { by: 'sam', reason: 'Changed my mind.' })
    expect((await rig.untilDone(id)).status).toBe('cancelled')
  })

  it('is of low risk for a key that belongs to nobody, which stands for itself', async () => {
    const rig = await open(handlerOf(new Shop()), tier('low'))
    const { id } = await rig.submit(refund, {})
    const card = await rig.approval(id)
    const key = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_1', name: 'bot' } as const }
    const decided = await rig.engine.approvals.decide(key, card.id, { decision: 'approve' })
    expect(decided.decisions[0]!.by).toEqual({ id: 'key:key_1', name: 'bot' })
  })
})

describe('what was seen is what runs', () => {
  it('an order that changed while it waited is asked again, under the same id, with the difference', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop), tier('medium'))
    const { id } = await rig.submit(refund, {})
    const first = await rig.approval(id)
    shop.refundable = 60
    await rig.approve(id, { by: 'mara' })
    const again = await rig.approval(id)
    expect(again).toMatchObject({ id: first.id, state: 'pending', proposal: 2, quorum: { filled: 0 } })
    expect(again.digest).not.toBe(first.digest)
    expect(again.earlier).toMatchObject([
      { why: 'asked-again', proposal: 1, changed: [{ field: 'amount', before: 100, after: 60 }, { part: 'data' }] },
    ])
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      blockedOn: [{ id: first.id, title: 'Changed since it was shown: Refund 60 EUR to order 77' }],
    })
    expect(shop.paid).toEqual([])
    const stale = { decision: 'approve', evidenceDigest: first.digest } as const
    const mara = { ...LOCAL, actor: { kind: 'user', id: 'mara' } as const }
    await expect(rig.engine.approvals.decide(mara, first.id, stale)).rejects.toMatchObject({
      code: 'evidence-changed',
      params: { changed: [{ field: 'amount', before: 100, after: 60 }, { field: 'amount' }] },
    })
    await rig.approve(id, { by: 'mara' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed' })
    expect(shop.paid).toEqual([60])
    expect(await auditOf(rig)).toEqual(['approval.approve', 'approval.askAgain', 'approval.approve'])
  })

  it('an order that changed between approval and payment: no payment, blocked with the difference, then the fresh one', async () => {
    const shop = new Shop()
    let changing = true
    const handler = refund.handler({ retry: quick }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      return job.step('pay', () => shop.pay(answer.data.amount), {
        effect: 'once',
        approvedBy: answer,
        timeout: '1m',
        // Right before the effect, when the handler has long been handed its approval.
        before: () => {
          if (changing) shop.refundable = 30
          changing = false
        },
      })
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.settle()
    expect(shop.paid).toEqual([])
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'approval' }] })
    const again = await rig.approval(id)
    expect(again).toMatchObject({ proposal: 2, diff: [{ after: 30 }], earlier: [{ changed: [{ before: 100 }, {}] }] })
    expect(await rig.store.effects(id)).toEqual([])
    await rig.approve(id, { by: 'mara' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'receipt 1' })
    expect(shop.paid).toEqual([30])
    expect((await rig.store.attempts(id)).map(({ outcome }) => outcome)).toEqual(['suspended', 'suspended', 'ok'])
  })

  it('of no risk and changed right before the effect: the handler runs again with the new data, and nobody is asked', async () => {
    const shop = new Shop()
    let changing = true
    const handler = refund.handler({ retry: quick }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      const before = () => {
        if (changing) shop.refundable = 30
        changing = false
      }
      return job.step('pay', () => shop.pay(answer.data.amount), { effect: 'once', approvedBy: answer, before })
    }) as never
    const rig = await open(handler, tier('none'))
    const { id } = await rig.submit(refund, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed' })
    expect(shop.paid).toEqual([30])
  })

  it('what the job has changed itself is no reason to ask again', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop, { failing: (attempt) => attempt < 4 }), tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', ops: { attempt: 4 } })
    expect(shop.paid).toEqual([100])
  })

  it('nor is an effect whose record was lost with its worker', async () => {
    const shop = new Shop()
    const handler = refund.handler({ retry: quick }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      return job.step('pay', () => shop.pay(answer.data.amount), {
        effect: 'once',
        approvedBy: answer,
        confirm: () => (shop.paid.length > 0 ? { happened: true, result: 'found' } : { happened: false }),
      })
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.settle()
    // The effect is announced by one record, and accounted for by the next.
    const died = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
    await rig.approve(id, { by: 'mara' })
    await died
    expect(shop.paid).toEqual([100])
    await rig.restart()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'found' })
    expect(shop.paid).toEqual([100])
  })

  it('but one that was begun, did not happen and would be another one now is asked again', async () => {
    const shop = new Shop()
    let reachable = false
    const handler = refund.handler({ retry: quick }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      const pay = () => {
        if (reachable) return shop.pay(answer.data.amount)
        reachable = true
        shop.refundable = 20
        throw new Transient('the answer was lost')
      }
      return job.step('pay', pay, { effect: 'once', approvedBy: answer, confirm: () => ({ happened: false }) })
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.advanceUntil(async () => (await rig.get(id)).status === 'blocked')
    expect(await rig.approval(id)).toMatchObject({ proposal: 2, diff: [{ after: 20 }] })
    await rig.approve(id, { by: 'mara' })
    await rig.untilDone(id)
    expect(shop.paid).toEqual([20])
  })

  it('data that was approved under an older schema is put before a person', async () => {
    const shop = new Shop()
    const more = { allow: { edit: true } }
    const rig = await open(handlerOf(shop, { more }), tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.settle()
    await rig.restart([])
    const { id: approval } = await rig.approve(id, { by: 'mara', data: { amount: 90 } })
    const stricter = defineJob('refund', {
      input: z.object({ order: z.string().default('77') }),
      approvals: { payout: z.object({ amount: z.number().min(95) }) },
    })
    const handler = stricter.handler(async (job) => (await job.approve('payout', shop.request(more))).outcome) as never
    await rig.restart([handler])
    await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'review')
    expect((await rig.get(id)).error).toMatchObject({ code: 'code-changed', details: { approval } })
    await rig.restart([handlerOf(shop, { more })])
    await rig.engine.retry(LOCAL, id, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed' })
    expect(shop.paid).toEqual([90])
  })
})

describe('beside other things', () => {
  it('a cancel takes the request back', async () => {
    const rig = await open(handlerOf(new Shop()), tier('medium'))
    const { id } = await rig.submit(refund, {})
    const { id: approval } = await rig.approval(id)
    await rig.engine.cancel(LOCAL, id, { reason: 'no longer needed' })
    expect(await rig.approval(approval)).toMatchObject({
      ...{ state: 'withdrawn', withdrawnBecause: 'The job has ended.', jobStatus: 'cancelled' },
      mayDecide: { approve: { may: false, why: 'This request is closed: withdrawn. Nothing was changed.' } },
    })
    await expect(rig.approve(approval, { by: 'mara' })).rejects.toMatchObject({
      code: 'approval-already-decided',
      params: { state: 'withdrawn', decidedAt: new Date(rig.clock.now()).toISOString() },
    })
    expect(await rig.store.waits(id)).toEqual([])
  })

  it('a pause holds what was approved meanwhile; a rejection ends the job all the same', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop), tier('high'))
    const { id } = await rig.submit(refund, {})
    await rig.settle()
    await rig.engine.pause(LOCAL, id, { reason: 'audit' })
    await rig.approve(id, { by: 'mara', reason: 'Seen.' })
    expect((await rig.get(id)).blockedOn).toMatchObject([
      { kind: 'pause', quorum: null },
      { kind: 'approval', quorum: { filled: 1, needed: 2 } },
    ])
    await rig.approve(id, { by: 'otto', reason: 'Seen.' })
    await rig.advance('1h')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'pause' }] })
    expect(shop.paid).toEqual([])
    await rig.engine.resume(LOCAL, id, {})
    expect((await rig.untilDone(id)).status).toBe('completed')
    expect(shop.paid).toEqual([100])

    shop.refundable = 100
    const other = await rig.submit(refund, {})
    await rig.settle()
    await rig.engine.pause(LOCAL, other.id, {})
    await rig.reject(other.id, { by: 'mara', reason: 'No.' })
    expect(await rig.get(other)).toMatchObject({ status: 'cancelled', error: { code: 'approval-rejected' } })
  })

  it('undoing takes it back as well; what was approved before is met on the way', async () => {
    const undone: string[] = []
    const two = defineJob('two', { input: z.object({}), approvals: { a: z.null(), b: z.null() } })
    const handler = two.handler({ retry: quick }, async (job) => {
      const shop = new Shop()
      const request = { ...shop.request(), data: undefined, writes: [{ target: 'x', change: { y: [0, 1] as const } }] }
      await job.approve('a', request)
      await job.step('act', () => 1, { undo: () => void undone.push('act') })
      await job.approve('b', request)
      return 'never'
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(two, {})
    await rig.approve(id, { by: 'mara' })
    const { id: second, gate } = await rig.approval(id)
    expect(gate).toBe('b')
    await rig.reject(id, { by: 'mara', reason: 'No.' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled', error: { code: 'approval-rejected' } })
    expect(undone).toEqual(['act'])
    expect((await rig.approval(second)).state).toBe('rejected')

    const next = await rig.submit(two, {})
    await rig.approve(next, { by: 'mara' })
    const third = await rig.approval(next)
    await rig.engine.cancel(LOCAL, next.id, {})
    expect(await rig.approval(third.id)).toMatchObject({
      ...{ state: 'withdrawn', withdrawnBecause: 'What the job did is being undone.' },
    })
    expect((await rig.untilDone(next)).status).toBe('cancelled')
    expect(undone).toEqual(['act', 'act'])
  })

  it('two gates at once, each decided by itself; rounds of one gate follow each other', async () => {
    const two = defineJob('two', { input: z.object({}), approvals: { a: z.null(), b: z.null() } })
    const asked: ApprovalRequest<null> = {
      ...{
        summary: 'Change x',
        because: 'It is wrong.',
        evidence: 'none',
        impact: 'small',
        rollback: 'change it back',
      },
      writes: [{ target: 'x', change: { y: [0, 1] } }],
    }
    const handler = two.handler(async (job) => {
      const [a, b] = await Promise.all([job.approve('a', asked), job.approve('b', { ...asked, onReject: 'continue' })])
      return [a.outcome, b.outcome]
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(two, {})
    await expect(rig.approve(id, { by: 'mara' })).rejects.toThrow(`Job ${id} waits for 2 approvals; name one of them:`)
    const { items } = await rig.engine.approvals.list(LOCAL, { jobId: id })
    await rig.approve(items.find(({ gate }) => gate === 'b')!.id, { by: 'mara' }).then(({ state }) => {
      expect(state).toBe('approved')
    })
    await rig.settle()
    expect((await rig.get(id)).blockedOn).toMatchObject([{ id: items.find(({ gate }) => gate === 'a')!.id }])
    await rig.approve(id, { by: 'mara' })
    expect(await rig.untilDone(id)).toMatchObject({ result: ['approved', 'approved'] })
  })

  it('a rejection reaches a job whose other branch is at work', async () => {
    let aborted = false
    const handler = refund.handler(async (job) => {
      await Promise.all([
        job.approve('payout', new Shop().request()),
        job.step(
          'long',
          ({ signal }) =>
            new Promise<void>((_, reject) => {
              signal.addEventListener('abort', () => {
                aborted = true
                reject(signal.reason)
              })
            }),
        ),
      ])
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.settle()
    expect((await rig.get(id)).status).toBe('processing')
    await rig.reject(id, { by: 'mara', reason: 'No.' })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled', error: { code: 'approval-rejected' } })
    expect(aborted).toBe(true)
  })

  it('an approval given while the other branch is at work is there when it has ended', async () => {
    let finish = () => {}
    const handler = refund.handler(async (job) => {
      const [answer] = await Promise.all([
        job.approve('payout', new Shop().request()),
        job.step('long', () => new Promise<void>((resolve) => (finish = resolve))),
      ])
      return answer.outcome
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    finish()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'approved' })
  })

  it('ten who decide at once: one counts, nine are told who was first', async () => {
    const shop = new Shop()
    const rig = await open(handlerOf(shop), tier('medium'))
    const { id } = await rig.submit(refund, {})
    const { id: approval, digest } = await rig.approval(id)
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        rig.engine.approvals.decide({ ...LOCAL, actor: { kind: 'user', id: `p${i}` } }, approval, {
          ...{ decision: i % 2 ? 'reject' : 'approve', reason: 'r', evidenceDigest: digest },
        }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', ...Array(9).fill('rejected')])
    for (const answer of answers.slice(1))
      expect((answer as PromiseRejectedResult).reason).toMatchObject({
        code: 'approval-already-decided',
        params: { state: 'approved', by: { id: 'p0' } },
      })
    await rig.untilDone(id)
    expect(shop.paid).toEqual([100])
    expect(await auditOf(rig)).toEqual(['approval.approve'])
  })

  it.each([
    ['decide', 'before', 1],
    ['decide', 'after', 1],
    ['claim', 'after', 1],
    ['record', 'before', 1],
    ['record', 'after', 1],
    ['record', 'before', 2],
    ['record', 'after', 2],
    ['move', 'before', 1],
    ['move', 'after', 1],
  ] as const)('a process that dies at %s (%s, %i) leaves one decision, applied once', async (op, when, nth) => {
    const shop = new Shop()
    const handler = refund.handler({ retry: quick }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      return job.step('pay', () => shop.pay(answer.data.amount), {
        effect: 'once',
        approvedBy: answer,
        confirm: () => (shop.paid.length > 0 ? { happened: true, result: 'receipt 1' } : { happened: false }),
      })
    }) as never
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    const { id: approval, digest } = await rig.approval(id)
    const mara = { ...LOCAL, actor: { kind: 'user', id: 'mara' } as const }
    const decide = () =>
      rig.engine.approvals.decide(mara, approval, { decision: 'approve', reason: null, evidenceDigest: digest })
    const died = rig.crashAt({ op, when, nth })
    void decide()
    await died
    await rig.restart()
    // Whoever got no answer asks again, and changes nothing that was stored.
    expect(await decide()).toMatchObject({ state: 'approved', decisions: [{ by: { id: 'mara' } }] })
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'receipt 1' })
    expect(shop.paid).toEqual([100])
    expect(await auditOf(rig)).toEqual(['approval.approve'])
  })

  it('a process that dies while it asks leaves one request', async () => {
    for (const when of ['before', 'after'] as const) {
      const rig = await open(handlerOf(new Shop()), tier('medium'))
      const { id } = await rig.submit(refund, {})
      await rig.crashAt({ op: 'move', when })
      await rig.restart()
      await rig.advance('1m')
      expect((await rig.store.approvalsOf(id)).map(({ key, state }) => [key, state])).toEqual([['payout', 'pending']])
      await rig.approve(id, { by: 'mara' })
      expect((await rig.untilDone(id)).status).toBe('completed')
    }
  })
})

describe('a job made from a finished one', () => {
  const why = { reason: 'the mail was lost' }
  /** Pays what was approved, then tells; both can be undone. */
  function world() {
    const shop = new Shop()
    const did: string[] = []
    const handler = refund.handler({ retry: until({ attempts: 1 }) }, async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return answer.outcome
      const receipt = await job.step('pay', () => shop.pay(answer.data.amount), {
        ...{ effect: 'once', approvedBy: answer, confirm: () => ({ happened: false }) },
        undo: () => void did.push('undo pay'),
      })
      await job.step('tell', () => void did.push('tell'))
      return receipt
    }) as never
    return { shop, did, handler }
  }

  it('that replays what came after the effect takes the answer over', async () => {
    const { shop, did, handler } = world()
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.untilDone(id)
    const { job } = await rig.engine.replay(LOCAL, id, { fromStep: 'tell', ...why })
    expect(job.replay.reused.map(({ step }) => step)).toEqual(['payout', 'pay'])
    expect(await rig.untilDone(job)).toMatchObject({ status: 'completed', result: 'receipt 1' })
    expect(did).toEqual(['tell', 'tell'])
    expect(shop.paid).toEqual([100])
    expect(await rig.store.approvalsOf(job.id)).toEqual([])
  })

  it('that does the effect again asks again, for what would be done now', async () => {
    const { shop, handler } = world()
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.untilDone(id)
    shop.refundable = 30
    const { job } = await rig.engine.replay(LOCAL, id, {
      ...{ fromStep: 'pay', ...why, newEffects: { reason: 'the first went to the wrong account' } },
    })
    expect(job.replay.again.map(({ step }) => step)).toEqual(['payout', 'pay', 'tell'])
    const card = await rig.approval(job)
    expect(card).toMatchObject({ summary: 'Refund 30 EUR to order 77', round: 1, proposal: 1, quorum: { filled: 0 } })
    await rig.approve(job, { by: 'mara' })
    expect((await rig.untilDone(job)).status).toBe('completed')
    expect(shop.paid).toEqual([100, 30])
  })

  it('a step that the code has now, approved by what another job was given, is asked for anew', async () => {
    const { shop, handler } = world()
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.untilDone(id)
    shop.refundable = 50
    const more = refund.handler(async (job) => {
      const answer = await job.approve('payout', () => shop.request())
      if (answer.outcome !== 'approved') return null
      await job.step('pay', () => 'never', { effect: 'once', approvedBy: answer })
      return job.step('pay the rest', () => shop.pay(answer.data.amount), { effect: 'once', approvedBy: answer })
    }) as never
    await rig.restart([more])
    const { job } = await rig.engine.replay(LOCAL, id, { fromStep: 'tell', ...why })
    expect(await rig.approval(job)).toMatchObject({ jobId: job.id, summary: 'Refund 50 EUR to order 77' })
    expect(shop.paid).toEqual([100])
    await rig.approve(job, { by: 'mara' })
    expect((await rig.untilDone(job)).status).toBe('completed')
    expect(shop.paid).toEqual([100, 50])
  })

  it('that undoes it finds the undo behind the gate, and asks nobody', async () => {
    const { did, handler } = world()
    const rig = await open(handler, tier('medium'))
    const { id } = await rig.submit(refund, {})
    await rig.approve(id, { by: 'mara' })
    await rig.untilDone(id)
    const { job } = await rig.engine.compensate(LOCAL, id, why)
    expect(await rig.untilDone(job)).toMatchObject({ status: 'completed' })
    expect(did).toEqual(['tell', 'undo pay'])
    expect(await rig.store.approvalsOf(job.id)).toEqual([])
  })
})
