import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bodyOf, refund } from './fixtures/approvals.js'
import type { Json } from './json.js'
import {
  changedSince,
  diffOf,
  digestOf,
  type Evidence,
  type Proposal,
  type ProposedWrite,
  withData,
} from './proposal.js'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const name = fc.constantFrom('a', 'b', 'a#2', 'b c')
const value = fc.constantFrom<Json>(null, 0, 1, 'x', ['x'], { k: 1 })
const write: fc.Arbitrary<ProposedWrite> = fc.record({
  target: name,
  operation: name,
  object: fc.option(name),
  href: fc.option(fc.constantFrom('/1', '/2')),
  irreversible: fc.boolean(),
  touches: fc.subarray(['money', 'legal'] as const),
  fields: fc.uniqueArray(fc.record({ field: name, now: value, after: value, from: fc.constant(null) }), {
    selector: ({ field }) => field,
    maxLength: 2,
  }),
})
const evidence: fc.Arbitrary<Evidence> = fc.record({
  label: name,
  quote: fc.option(name),
  href: fc.option(name),
  version: fc.option(name),
  asOf: fc.option(fc.nat()),
})
const data = fc.oneof(value, fc.dictionary(name, value, { maxKeys: 2 }))
const covered: fc.Arbitrary<Proposal> = fc.record({
  writes: fc.array(write, { maxLength: 3 }),
  evidence: fc.array(evidence, { maxLength: 3 }),
  impact: fc.record({
    description: name,
    affects: fc.subarray(['customers', 'staff']),
    people: fc.option(fc.nat(2)),
    money: fc.option(fc.constant({ amount: 1, currency: 'EUR' })),
    visibility: fc.constantFrom('public' as const, null),
  }),
  rollback: fc.record({
    available: fc.boolean(),
    plan: name,
    withinMs: fc.option(fc.nat(2)),
    by: fc.option(name),
  }),
  data,
})

describe('what an approval covers', () => {
  it('has one digest: SHA-256 in hexadecimal, the same for the same content', () => {
    const body = bodyOf(refund())
    expect(digestOf(body, 'p1', sha256)).toMatch(/^sha256-[0-9a-f]{64}$/)
    expect(digestOf(bodyOf(refund()), 'p1', sha256)).toBe(digestOf(body, 'p1', sha256))
    expect(digestOf(body, 'p2', sha256)).not.toBe(digestOf(body, 'p1', sha256))
    expect(digestOf(body, null, sha256)).not.toBe(digestOf(body, 'null', sha256))
  })

  it.each([
    [
      'a value to be written',
      { writes: [{ target: 'payments', operation: 'refund', object: 'order 77', change: { amount: [null, 1420] } }] },
    ],
    [
      'what stands there now',
      { writes: [{ target: 'payments', operation: 'refund', object: 'order 77', change: { amount: [5, 1240] } }] },
    ],
    [
      'the object',
      { writes: [{ target: 'payments', operation: 'refund', object: 'order 78', change: { amount: [null, 1240] } }] },
    ],
    [
      'a version of the evidence',
      { evidence: [{ label: 'Return receipt', quote: 'Returned unopened on 20 November', version: 'v4' }] },
    ],
    ['the impact', { impact: { description: 'Money leaves the account', people: 2 } }],
    ['the way back', { rollback: 'none' as const }],
    ['the data', { data: { amount: 1240, order: '78' } }],
  ])('its digest changes with %s', (_, more) => {
    const plain = refund({
      writes: [{ target: 'payments', operation: 'refund', object: 'order 77', change: { amount: [null, 1240] } }],
    })
    expect(digestOf(bodyOf({ ...plain, ...more }), 'p1', sha256)).not.toBe(digestOf(bodyOf(plain), 'p1', sha256))
  })

  it('is the same when the evidence was only read again, or the words around it differ', () => {
    const [receipt] = refund().evidence as { label: string; quote: string; version: string }[]
    const again = refund({ evidence: [{ ...receipt!, asOf: 5 }], because: 'In other words.', confidenceNotes: 'Hm.' })
    expect(digestOf(bodyOf(again), 'p1', sha256)).toBe(digestOf(bodyOf(refund()), 'p1', sha256))
  })

  it('differs in digest exactly when a difference can be shown', () => {
    const pair = fc.oneof(
      fc.tuple(covered, covered),
      covered.map((one): [Proposal, Proposal] => [one, structuredClone(one)]),
      covered.map((one): [Proposal, Proposal] => [one, { ...one, writes: [...one.writes].reverse() }]),
      fc.tuple(covered, data).map(([one, data]): [Proposal, Proposal] => [one, { ...one, data }]),
    )
    fc.assert(
      fc.property(pair, ([a, b]) => {
        expect(changedSince(a, b).length === 0).toBe(digestOf(a, 'p', sha256) === digestOf(b, 'p', sha256))
        expect(changedSince(a, b).length).toBe(changedSince(b, a).length)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('what changed', () => {
  const before = bodyOf(refund())

  it('is said field by field', () => {
    const writes = [
      { target: 'payments', operation: 'refund', object: 'order 77', change: { amount: [0, 1420] as const } },
    ]
    const after = bodyOf(
      refund({
        writes,
        data: { amount: 1420 },
        evidence: [{ label: 'Return receipt', quote: 'Opened', version: 'v4' }],
      }),
    )
    expect(changedSince(before, after)).toEqual([
      { part: 'write', of: 'refund payments order 77', field: 'amount', side: 'now', before: null, after: 0 },
      { part: 'write', of: 'refund payments order 77', field: 'amount', side: 'after', before: 1240, after: 1420 },
      {
        part: 'evidence',
        of: 'Return receipt',
        field: 'quote',
        side: null,
        before: 'Returned unopened on 20 November',
        after: 'Opened',
      },
      { part: 'evidence', of: 'Return receipt', field: 'version', side: null, before: 'v3', after: 'v4' },
      { part: 'data', of: '', field: 'amount', side: null, before: 1240, after: 1420 },
      { part: 'data', of: '', field: 'order', side: null, before: '77', after: undefined },
    ])
  })

  it('names a write that came or went, without the noise of the order', () => {
    const [write] = before.writes
    const more = { ...before, writes: [{ ...write!, target: 'ledger' }, write!] }
    expect(changedSince(before, more).map(({ of, field, side }) => [of, field, side])).toEqual([
      ['refund ledger order 77', null, null],
      ['refund ledger order 77', 'amount', 'now'],
      ['refund ledger order 77', 'amount', 'after'],
    ])
  })

  it('keeps entries of one name apart', () => {
    const of = (...versions: string[]) => {
      const labels = ['a#2', 'a', 'a']
      const evidence = labels.map((label, i) => ({ label, quote: null, href: '/', version: versions[i]!, asOf: null }))
      return { ...before, evidence }
    }
    for (const [i, changed] of ['9', '9', '9'].entries())
      expect(changedSince(of('1', '2', '3'), of(...['1', '2', '3'].with(i, changed)))).toHaveLength(1)
  })

  it('names the order where that is all', () => {
    const [write] = before.writes
    const two = { ...before, writes: [write!, { ...write!, target: 'ledger' }] }
    expect(changedSince(two, { ...two, writes: [...two.writes].reverse() })).toMatchObject([
      { part: 'write', of: '', field: null, before: ['refund payments order 77', 'refund ledger order 77'] },
    ])
  })
})

describe('the table of writes', () => {
  it('says of each field what happens to it', () => {
    const change = {
      a: [null, 1],
      b: [1, null],
      c: [1, 2],
      d: [
        { x: 1, y: 2 },
        { y: 2, x: 1 },
      ],
    } as const
    const rows = diffOf(bodyOf(refund({ writes: [{ target: 'crm', change }], data: null })).writes)
    expect(rows.map(({ field, change }) => [field, change])).toEqual([
      ['a', 'added'],
      ['b', 'removed'],
      ['c', 'changed'],
      ['d', 'unchanged'],
    ])
    expect(rows[0]).toEqual({
      ...{ target: 'crm', operation: 'write', object: null, href: null, irreversible: false },
      ...{ field: 'a', now: null, after: 1, change: 'added' },
    })
  })
})

it('edited data shows in the writes that show it, and nowhere else', () => {
  const before = bodyOf(refund())
  const after = withData(before, { amount: 1000 })
  expect(after.data).toEqual({ amount: 1000, order: '77' })
  expect(after.writes[0]!.fields[0]).toEqual({ field: 'amount', now: null, after: 1000, from: 'amount' })
  expect(changedSince(before, after).map(({ part, field }) => [part, field])).toEqual([
    ['write', 'amount'],
    ['data', 'amount'],
  ])
  expect(before).toEqual(bodyOf(refund()))
})
