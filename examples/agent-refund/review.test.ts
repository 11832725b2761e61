// What is tried again and what is not: networks and busy services are, policy and missing reasons are put before a person.
// And the log of all that was decided.
import { LOCAL } from 'untildone'
import { describe, expect, it } from 'vitest'
import { readTicket } from './agent/agent.js'
import { Bench, MARA, SAM } from './support.js'

describe('for a person', () => {
  it.each([
    [5, 'policy-violation', 'policy', 'It was asked for more than 60 days after the payment.'],
    [9, 'policy-violation', 'policy', '900.00 EUR are asked for, and 100.00 EUR of the order are left.'],
    [6, 'no-evidence', 'model', 'There is no evidence for a refund. The ticket asks for no refund.'],
    [7, 'conflicting-instructions', 'model', 'The ticket says two things: "The kettle is damaged'],
  ])('ticket %i: %s', async (n, code, origin, message) => {
    const bench = await Bench.open()
    const id = await bench.submit(n)
    const job = await bench.blocked(id)
    expect(job).toMatchObject({
      ops: { phase: 'review' },
      blockedOn: [{ kind: 'review' }],
      error: { code, origin, class: 'review', message: expect.stringContaining(message) },
    })
    // Nobody tries it again, for as long as nobody looks at it.
    await bench.rig.advance('3d')
    expect(await bench.attempts(id)).toEqual(['suspended', 'error review'])
    expect(await bench.rig.get(id)).toMatchObject({ status: 'blocked', done: false })
    expect(bench.effects()).toEqual([])
    expect((await bench.decisions(id)).at(-1)).toBe(`execution/${code} refund-policy@refunds-2026-11 `)
    await bench.expectLegalHistory(id)
  })

  it('a ticket that says more is read again, and only then; the log has both', async () => {
    const bench = await Bench.open()
    const id = await bench.submit(6)
    await bench.blocked(id)
    await bench.rig.engine.retry(LOCAL, id, { reason: 'I asked the customer.' })
    await bench.rig.advanceUntil(async () => (await bench.attempts(id)).length === 3)
    expect(bench.asked).toBe(1)
    expect((await bench.rig.get(id)).error).toMatchObject({ code: 'no-evidence' })

    bench.shop.addToTicket('T-6', 'It is broken. I want a refund of 20.00 EUR.')
    await bench.rig.engine.retry(LOCAL, id, { reason: 'The customer has answered.' })
    await bench.rig.approve(id, { by: SAM })
    expect(await bench.rig.untilDone(id)).toMatchObject({ result: { status: 'refunded', amount: 2000 } })
    expect(bench.asked).toBe(2)
    expect((await bench.decisions(id)).map((line) => line.split(' ')[0])).toEqual([
      ...['intake/accepted', 'execution/proposed', 'execution/no-evidence'],
      ...['execution/proposed', 'execution/allowed', 'finalization/approved'],
    ])
  })

  it('evidence of a conflict is shown to whoever must look', async () => {
    const bench = await Bench.open()
    const id = await bench.submit(7)
    const { error } = await bench.blocked(id)
    expect(error!.details).toEqual({
      evidence: ['The kettle is damaged, I want a refund.', 'On second thoughts, do not refund it, I keep it.'],
    })
  })

  it('who may not ask for refunds is stopped at intake', async () => {
    const bench = await Bench.open()
    bench.shop.allow('sam', [])
    const id = await bench.submit(1)
    expect((await bench.blocked(id)).error).toMatchObject({ code: 'not-permitted', origin: 'policy' })
    expect(bench.asked).toBe(0)
  })
})

describe('tried again', () => {
  const busy = Object.assign(new Error('The shop says: busy'), { status: 503, code: 'busy' })
  const broken = new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) })

  it.each([
    ['a shop that is busy', busy],
    ['a connection that breaks', broken],
  ])('%s, at intake and while the agent reads', async (_, trouble) => {
    const bench = await Bench.open()
    const failing = (times: number) => (call: number) => {
      if (call <= times) throw trouble
    }
    bench.hooks = { permissions: failing(2), ticket: failing(3) }
    const id = await bench.submit(1)
    await bench.blocked(id)
    expect(bench.rig.app.running).toBe(0)
    expect(await bench.attempts(id)).toEqual([
      ...['error transient', 'error transient', 'suspended', 'error transient', 'error transient', 'error transient'],
      ...['suspended', 'suspended'],
    ])
    await bench.rig.approve(id, { by: SAM })
    expect(await bench.rig.untilDone(id)).toMatchObject({ status: 'completed', result: { receipt: 'R-1' } })
    await bench.expectLegalHistory(id)
  })

  it('a payment whose answer was lost is looked up, and not made again', async () => {
    const bench = await Bench.open()
    const { shop } = bench
    // The shop pays, and the connection breaks before its answer is there.
    bench.hooks.refund = (call) => {
      if (call > 1) return
      const { key } = bench.keys.refund!
      shop.refund('O-1', { amount: 3900, ticket: 'T-1' }, key)
      throw broken
    }
    const id = await bench.submit(1)
    await bench.rig.approve(id, { by: SAM })
    expect(await bench.rig.untilDone(id)).toMatchObject({ result: { receipt: 'R-1', amount: 3900 } })
    expect(bench.calls).toMatchObject({ refund: 1, findRefund: 1 })
    expect(bench.effects()).toEqual(['refund O-1 3900', 'answer O-1'])
    expect(await bench.rig.engine.steps(LOCAL, id)).toContainEqual(
      expect.objectContaining({
        name: 'finalization/pay',
        effect: 'once',
        info: expect.objectContaining({ confirmed: true }),
      }),
    )
  })

  it('a model that answers nonsense is asked again, apart from the network; then a person must look', async () => {
    let left = 2
    const nonsense = () => {
      throw Object.assign(new Error("The model's answer is no use: it is not JSON"), { code: 'model-answer-invalid' })
    }
    const bench = await Bench.open({ propose: async (about) => (left-- > 0 ? nonsense() : readTicket(about)) })
    const first = await bench.submit(1)
    await bench.blocked(first)
    const attempts = await bench.rig.engine.attempts(LOCAL, first)
    expect(attempts.map(({ error }) => error?.origin ?? null)).toEqual([null, 'model', 'model', null, null])

    left = 100
    const second = await bench.submit(2)
    await bench.blocked(second)
    expect(await bench.rig.get(second)).toMatchObject({ ops: { phase: 'review' }, error: { origin: 'model' } })
    expect((await bench.attempts(second)).filter((line) => line === 'error transient')).toHaveLength(8)
    const page = await bench.rig.engine.list(LOCAL, { origin: 'model' })
    expect(page.items.map(({ id }) => id).sort()).toEqual([first, second].sort())
  })
})

describe('the decision log', () => {
  it('says at each decision which model, in which version, with which tools, on which path, in which attempt', async () => {
    const bench = await Bench.open()
    const id = await bench.submit(2)
    await bench.rig.approve(id, { by: MARA })
    await bench.rig.untilDone(id)
    const policy = { model: 'refund-policy', modelVersion: 'refunds-2026-11' }
    expect(await bench.rig.engine.decisions(LOCAL, id)).toMatchObject([
      { ...policy, attempt: 1, tools: ['shop.people', 'shop.order'], path: 'intake/accepted', fields: null },
      {
        ...{ model: 'ticket-reader', modelVersion: '1', attempt: 2, tools: ['shop.order', 'shop.ticket'] },
        ...{ path: 'execution/proposed', fields: { amount: 24_900 } },
      },
      { ...policy, attempt: 2, tools: [], path: 'execution/allowed' },
      { model: 'people', attempt: 4, tools: [], path: 'finalization/approved', fields: { decidedBy: ['mara'] } },
    ])
    // Prior and present state and the number of the attempt stand in the history of the same job.
    const { items } = await bench.rig.engine.history(LOCAL, id, {})
    expect(items.map(({ event, from, to, attempt }) => [event, from?.status ?? null, to.status, attempt])).toEqual([
      ['submitted', null, 'accepted', 0],
      ['claimed', 'accepted', 'processing', 1],
      ['staged', 'processing', 'processing', 1],
      ['claimed', 'processing', 'processing', 2],
      ['staged', 'processing', 'processing', 2],
      ['claimed', 'processing', 'processing', 3],
      ['suspended', 'processing', 'blocked', 3],
      ['woken', 'blocked', 'processing', 3],
      ['claimed', 'processing', 'processing', 4],
      ['succeeded', 'processing', 'completed', 4],
    ])
  })

  it('finds jobs by model, version and tool', async () => {
    const bench = await Bench.open()
    const [one, other] = [await bench.submit(1), await bench.submit(6)]
    await bench.blocked(one)
    await bench.blocked(other)
    bench.shop.allow('sam', [])
    const stopped = await bench.submit(2)
    await bench.blocked(stopped)
    const found = async (query: { model?: string; modelVersion?: string; tool?: string }) =>
      (await bench.rig.engine.list(LOCAL, { ...query, order: 'createdAt' })).items.map(({ id }) => id)
    expect(await found({ model: 'ticket-reader' })).toEqual([one, other])
    expect(await found({ model: 'ticket-reader', modelVersion: '2' })).toEqual([])
    expect(await found({ tool: 'shop.ticket' })).toEqual([one, other])
    expect(await found({ tool: 'shop.people' })).toEqual([one, other, stopped])
  })
})
