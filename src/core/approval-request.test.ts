import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { APPROVAL_LIMITS, checkRequest } from './approval-request.js'
import { bodyOf, refund } from './fixtures/approvals.js'

const errorsOf = (request: unknown) => {
  const checked = checkRequest(request)
  return checked.ok ? [] : checked.errors.map(({ pointer, code }) => `${pointer} ${code}`)
}

describe('a request', () => {
  it('is stored complete, its short forms written out', () => {
    expect(bodyOf(refund())).toEqual({
      summary: 'Refund 1 240 EUR to order 77',
      because: 'The parcel came back unopened. The customer asked within the 30 days.',
      writes: [
        {
          ...{
            target: 'payments',
            operation: 'refund',
            object: 'order 77',
            href: null,
            irreversible: false,
            touches: [],
          },
          fields: [{ field: 'amount', now: null, after: 1240, from: 'amount' }],
        },
      ],
      evidence: [
        { label: 'Return receipt', quote: 'Returned unopened on 20 November', href: null, version: 'v3', asOf: null },
      ],
      impact: { description: 'Money leaves the account', affects: [], people: null, money: null, visibility: null },
      rollback: { available: true, plan: 'Void within 24 h', withinMs: null, by: null },
      data: { amount: 1240, order: '77' },
      confidenceNotes: [],
      actor: { model: null, version: null, tools: [] },
      ...{ requester: null, risk: null, need: [], assign: [], escalateTo: [], dueMs: null, onExpire: null },
      ...{ onReject: 'cancel', allow: { edit: [], changes: true }, maxRounds: 3 },
    })
  })

  it('takes the long forms', () => {
    const body = bodyOf(
      refund({
        writes: [
          {
            target: 'crm',
            irreversible: true,
            touches: ['legal'],
            href: '/orders/77',
            change: { state: ['open', 'closed'] },
          },
        ],
        evidence: [{ label: 'Mail', href: 'https://mail.example/1', asOf: '2026-11-22T08:00:00Z' }],
        impact: {
          description: 'One',
          affects: ['customers'],
          people: 1,
          money: { amount: 12.4, currency: 'EUR' },
          visibility: 'customers',
        },
        rollback: { plan: 'Void it', within: '24h', by: 'finance' },
        ...{ confidenceNotes: 'Not sure of the date.', actor: { model: 'm', version: '2', tools: ['crm'] } },
        ...{
          requester: { id: 'kim', name: 'Kim' },
          risk: 'high',
          need: [{ group: 'finance', n: 1 }],
          assign: ['finance'],
        },
        ...{ escalateTo: ['leads'], due: '2d', onExpire: 'fail', onReject: 'continue', maxRounds: 5 },
        ...{ allow: { changes: false }, data: new Date('2026-11-22T08:00:00Z') },
      }),
    )
    expect(body.writes[0]).toMatchObject({
      operation: 'write',
      irreversible: true,
      touches: ['legal'],
      href: '/orders/77',
    })
    expect(body.evidence[0]).toMatchObject({ asOf: Date.parse('2026-11-22T08:00:00Z') })
    expect(body.impact).toMatchObject({ people: 1, money: { amount: 12.4, currency: 'EUR' }, visibility: 'customers' })
    expect(body.rollback).toEqual({ available: true, plan: 'Void it', withinMs: 86_400_000, by: 'finance' })
    expect(body).toMatchObject({ confidenceNotes: ['Not sure of the date.'], dueMs: 172_800_000, maxRounds: 5 })
    expect(body.data).toBe('2026-11-22T08:00:00.000Z')
  })

  it('says that there is no evidence, or no way back, with the word none', () => {
    const body = bodyOf(refund({ evidence: 'none', rollback: 'none' }))
    expect(body.evidence).toEqual([])
    expect(body.rollback).toEqual({ available: false, plan: 'This cannot be undone.', withinMs: null, by: null })
  })

  it.each(['summary', 'because', 'writes', 'evidence', 'impact', 'rollback'] as const)(
    'does not exist without %s',
    (name) => {
      const { [name]: _, ...rest } = refund()
      expect(errorsOf(rest)).toEqual([`/${name} required`])
      expect(errorsOf({ ...rest, [name]: 5 })).toEqual([`/${name} type`])
      expect(errorsOf({ ...rest, [name]: Array.isArray(refund()[name]) ? [] : '  ' })).toEqual([`/${name} required`])
    },
  )

  it('is told everything that is wrong at once, each with what to do', () => {
    const checked = checkRequest({ summary: 'x'.repeat(281), roleback: 'none' })
    if (checked.ok) throw new Error('accepted')
    expect(checked.errors.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
      ...['/roleback unknown', '/summary too-long', '/because required', '/writes required', '/evidence required'],
      ...['/impact required', '/rollback required'],
    ])
    for (const { message } of checked.errors) expect(message).toMatch(/^[A-Z].{20,}\.$/)
  })

  it.each([
    ['/writes/0/change size', { writes: [{ target: 'a', change: {} }] }],
    ['/writes/0/change size', { writes: [{ target: 'a', change: { gone: undefined } }] }],
    ['/writes/0/change/a~1b type', { writes: [{ target: 'a', change: { 'a/b': 5 } }] }],
    ['/writes/0/change/x unknown', undefined],
    ['/writes/0/touches/0 not-allowed', { writes: [{ target: 'a', touches: ['cash'], change: { x: [1, 2] } }] }],
    ['/writes/0/href link', { writes: [{ target: 'a', href: 'javascript:alert(1)', change: { x: [1, 2] } }] }],
    ['/evidence/0/href link', { evidence: [{ label: 'a', href: '//elsewhere.example' }] }],
    ['/evidence/0/quote too-long', { evidence: [{ label: 'a', quote: 'x'.repeat(201) }] }],
    ['/evidence/0 required', { evidence: [{ label: 'only a label' }] }],
    ['/data not-json', { data: { amount: Number.NaN } }],
    ['/data not-json', { data: { amount: () => 1 } }],
    ['/writes/0/change/x/after not-json', { writes: [{ target: 'a', change: { x: [1, 2n] } }] }],
    ['/risk not-allowed', { risk: 'critical' }],
    ['/onExpire not-allowed', { onExpire: 'approve' }],
    ['/due type', { due: 'soon' }],
    ['/due type', { due: 0 }],
    ['/need/0/n range', { need: [{ group: 'finance', n: 0 }] }],
    ['/maxRounds range', { maxRounds: 0 }],
    ['/requester/id required', { requester: { name: 'Kim' } }],
    ['/impact/money/amount type', { impact: { description: 'x', money: { amount: '5', currency: 'EUR' } } }],
  ])('refuses %s', (error, more) => {
    const request = more ?? { writes: [{ target: 'a', change: { x: { now: 1, after: 2, befor: 1 } } }] }
    expect(errorsOf({ ...refund(), ...request }).map((one) => one.replace('/befor', ''))).toContain(error)
  })

  it('of more than 256 KiB is refused', () => {
    expect(errorsOf(refund({ data: { amount: 1240, text: 'x'.repeat(APPROVAL_LIMITS.bytes) } }))).toContain(
      ' too-large',
    )
  })

  it('keeps NUL and __proto__ out of the store', () => {
    const body = bodyOf({
      ...refund(),
      because: 'a\0b',
      data: JSON.parse('{"amount":1240,"a":{"__proto__":{"admin":true}}}'),
    })
    expect(body.because).toBe('a\ufffdb')
    expect(Object.keys((body.data as { a: object }).a)).toEqual([])
  })
})

describe('what may be edited', () => {
  it('is every member, or those named, as long as a write shows it', () => {
    expect(bodyOf(refund({ allow: { edit: ['amount'] } })).allow).toEqual({ edit: ['amount'], changes: true })
    expect(bodyOf(refund({ data: { amount: 1240 }, allow: { edit: true } })).allow.edit).toEqual(['amount'])
    expect(errorsOf(refund({ allow: { edit: true } }))).toEqual(['/allow/edit mismatch'])
    expect(errorsOf(refund({ allow: { edit: ['total'] } }))).toEqual(['/allow/edit unknown'])
    expect(
      errorsOf({
        ...refund(),
        writes: [{ target: 'payments', change: { amount: [null, 1] } }],
        data: 5,
        allow: { edit: true },
      }),
    ).toEqual(['/allow/edit mismatch'])
  })

  it('is shown with the value that it has', () => {
    const writes = [{ target: 'payments', change: { amount: { now: null, after: 1000, from: 'amount' } } }]
    expect(errorsOf(refund({ writes }))).toEqual(['/writes/0/change/amount/from mismatch'])
    // Names that every object has are no members of the data.
    for (const from of ['toString', '__proto__']) {
      const change = { amount: { now: null, after: {}, from } }
      expect(errorsOf(refund({ writes: [{ target: 'payments', change }] }))).toEqual([
        '/writes/0/change/amount/from mismatch',
      ])
    }
  })
})

it('whatever is handed in: an answer, never an exception, and errors point into the request', () => {
  const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true })
  const partial = fc.dictionary(fc.constantFrom(...Object.keys(refund()), 'allow', 'need', 'actor', 'x'), value)
  fc.assert(
    fc.property(
      fc.oneof(
        value,
        partial,
        partial.map((more) => ({ ...refund(), ...more })),
      ),
      (request) => {
        const checked = checkRequest(request)
        if (checked.ok) expect(() => JSON.stringify(checked.body)).not.toThrow()
        else for (const { pointer } of checked.errors) expect(pointer).toMatch(/^(\/|$)/)
      },
    ),
  )
})
