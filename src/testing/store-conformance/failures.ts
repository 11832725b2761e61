/** Failures are counted with the end of the attempt that met them, or not at all; taught rules outlive being forgotten. */
import { expect } from 'vitest'
import { factsFrom } from '../../core/error-facts.js'
import type { Claimed, FailureSeen, NewRule } from '../../stores/store.js'
import { audit, type Bench, CALLER, DAY, errored, succeeded } from './bench.js'
import type { Suite } from './index.js'

export const seen = (fingerprint: string, more: Partial<FailureSeen> = {}): FailureSeen => ({
  ...{ tenant: 'default', type: 't', fingerprint, input: 'i1', attempt: 1, at: 5, taught: null },
  facts: factsFrom({ message: 'busy', exit: 3 }),
  ...more,
})

/** The attempt ends with these errors. */
export const fail = (bench: Bench, { live }: Claimed, failures: FailureSeen[], event = errored()) =>
  bench.settle({ live } as Claimed, event, {
    record: { jobId: live.id, epoch: live.epoch, failures },
    expiresAt: (at) => at + 1000,
  })
const failed = async (bench: Bench, failures: FailureSeen[], event = errored()) => {
  const claimed = await bench.started()
  await fail(bench, claimed, failures, event)
  return claimed.live.id
}
const all = (bench: Bench, more: object = {}) => bench.store.failures.list({ tenant: 'default', limit: 2000, ...more })
const names = async (bench: Bench, more: object = {}) => (await all(bench, more)).map(({ fingerprint }) => fingerprint)

const rule = (more: Partial<NewRule> = {}): NewRule => ({
  ...{ tenant: 'default', type: 't', when: { fingerprint: 'a' }, is: 'harmless', reason: 'noise', by: CALLER },
  ...more,
})
const teach = (bench: Bench, more: Partial<NewRule> = {}) =>
  bench.store.rules.teach(rule(more), (id) =>
    audit({ tenant: more.tenant ?? 'default', action: 'rule.teach', target: `rule/${id}` }),
  )
const forget = (bench: Bench, id: number, tenant = 'default') =>
  bench.store.rules.forget({ tenant, id, by: CALLER, reason: 'wrong' }, audit({ tenant, target: `rule/${id}` }))
const trail = async (bench: Bench) => (await bench.store.audit('default', 0, 99)).map(({ target }) => target)

export function failureTests({ test }: Suite): void {
  test('counts errors, jobs and different inputs, and keeps the latest example', async (bench) => {
    const claimed = await bench.started()
    await fail(bench, claimed, [seen('a')])
    await bench.clock.advance(60_000)
    const again = await bench.claimOne()
    await fail(bench, again, [seen('a', { attempt: 2, at: 7 })])
    await failed(bench, [seen('a', { at: 8 })])
    const last = await failed(bench, [seen('a', { input: 'i2', at: 9, facts: factsFrom({ message: 'last' }) })])
    expect(await bench.store.failures.get('default', 'a')).toEqual({
      ...{ tenant: 'default', type: 't', fingerprint: 'a', count: 4, jobs: 3, inputs: 2, firstAt: 5, lastAt: 9 },
      example: { jobId: last, attempt: 1, facts: factsFrom({ message: 'last' }) },
    })
    expect(await bench.store.failures.get('default', 'b')).toBe(null)
    expect(await bench.store.failures.get('other', 'a')).toBe(null)
  })

  test('several at once, also of one fingerprint', async (bench) => {
    await failed(bench, [seen('a'), seen('b'), seen('a', { at: 6 })])
    const [a, b] = [await bench.store.failures.get('default', 'a'), await bench.store.failures.get('default', 'b')]
    expect([a, b].map((one) => [one!.count, one!.jobs, one!.inputs])).toEqual([
      [2, 1, 1],
      [1, 1, 1],
    ])
  })

  test('counts nothing of an end that is refused', async (bench) => {
    const claimed = await bench.started()
    await fail(bench, claimed, [seen('a')])
    expect(await fail(bench, claimed, [seen('a'), seen('b')])).toMatchObject({ outcome: 'refused' })
    const record = { jobId: claimed.live.id, epoch: claimed.live.epoch, failures: [seen('b')] }
    expect(await bench.store.record(record)).toBe(false)
    expect((await all(bench)).map(({ fingerprint, count }) => [fingerprint, count])).toEqual([['a', 1]])
  })

  test('counts what a step went on from, and an end that is well', async (bench) => {
    const claimed = await bench.started()
    const { id, epoch } = claimed.live
    expect(await bench.store.record({ jobId: id, epoch, failures: [seen('a')] })).toBe(true)
    await fail(bench, claimed, [seen('b')], succeeded)
    expect((await names(bench)).sort()).toEqual(['a', 'b'])
  })

  test('lists what was seen latest first, by type, by time, by page, for one tenant', async (bench) => {
    await failed(bench, [
      seen('a', { at: 5 }),
      seen('b', { at: 7, type: 'ocr.x' }),
      seen('c', { at: 7, type: 'ocr.y' }),
    ])
    await failed(bench, [seen('d', { at: 9, tenant: 'other' })])
    expect(await names(bench)).toEqual(['b', 'c', 'a'])
    expect(await names(bench, { types: ['ocr.*'] })).toEqual(['b', 'c'])
    expect(await names(bench, { types: ['t', 'ocr.y'] })).toEqual(['c', 'a'])
    expect(await names(bench, { since: 7 })).toEqual(['b', 'c'])
    expect(await names(bench, { limit: 1 })).toEqual(['b'])
    expect(await names(bench, { after: { lastAt: 7, fingerprint: 'b' } })).toEqual(['c', 'a'])
    expect(await names(bench, { after: { lastAt: 5, fingerprint: 'a' } })).toEqual([])
    expect(await names(bench, { tenant: 'other' })).toEqual(['d'])
  })

  test('says how many of the latest jobs of the type have met it', async (bench) => {
    await failed(bench, [seen('a')])
    await bench.submit({}, {}, { type: 'other' }, { tenant: 'other' })
    const of = { tenant: 'default', type: 't', fingerprint: 'a' }
    expect(await bench.store.failures.recent(of, 200)).toEqual({ jobs: 3, met: 1 })
    expect(await bench.store.failures.recent(of, 2)).toEqual({ jobs: 2, met: 0 })
    expect(await bench.store.failures.recent({ ...of, type: 'none' }, 9)).toEqual({ jobs: 0, met: 0 })
  })

  test('keeps 1,000 per type: what was not seen for the longest goes first', async (bench) => {
    const name = (n: number) => `f${String(n).padStart(4, '0')}`
    const many = Array.from({ length: 1000 }, (_, n) => seen(name(n), { at: 10 + n }))
    await failed(bench, [...many, seen('elsewhere', { type: 'u', at: 1 })])
    await failed(bench, [seen(name(0), { at: 5000 })])
    await failed(bench, [seen('new', { at: 6000 })])
    const kept = await names(bench, { types: ['t'] })
    expect([kept.length, kept.slice(0, 2), kept.includes(name(1)), kept.includes(name(2))]).toEqual([
      ...[1000, ['new', name(0)], false, true],
    ])
    expect(await names(bench, { types: ['u'] })).toEqual(['elsewhere'])
    // One that comes back is new.
    await failed(bench, [seen(name(1), { at: 7000 })])
    expect(await bench.store.failures.get('default', name(1))).toMatchObject({ count: 1, jobs: 1, inputs: 1 })
  })

  test('a job that expires takes its place in the share with it, and not the count', async (bench) => {
    await failed(bench, [seen('a')], errored('permanent'))
    await bench.clock.advance(DAY)
    expect(await bench.store.expire(10)).toBe(1)
    const of = { tenant: 'default', type: 't', fingerprint: 'a' }
    expect(await bench.store.failures.recent(of, 9)).toEqual({ jobs: 0, met: 0 })
    expect(await bench.store.failures.get('default', 'a')).toMatchObject({ count: 1, jobs: 1 })
    // Nobody knows its input any more, so it counts as another one.
    await failed(bench, [seen('a')])
    expect(await bench.store.failures.get('default', 'a')).toMatchObject({ count: 2, jobs: 2, inputs: 2 })
  })

  test('a taught rule has a number per tenant, its instant and an audit entry; the latest comes first', async (bench) => {
    await bench.clock.advance(50)
    const taught = await teach(bench)
    expect(taught).toEqual({
      ...{ ...rule(), id: 1, at: bench.clock.now(), used: 0, lastUsedAt: null, forgotten: null },
    })
    expect((await teach(bench, { when: { code: 'x' } })).id).toBe(2)
    expect((await teach(bench, { tenant: 'other' })).id).toBe(1)
    expect((await bench.store.rules.list('default', false)).map(({ id }) => id)).toEqual([2, 1])
    expect((await bench.store.rules.inForce()).map(({ tenant, id }) => [tenant, id])).toEqual([
      ['default', 2],
      ['default', 1],
      ['other', 1],
    ])
    expect(await trail(bench)).toEqual(['rule/1', 'rule/2'])
  })

  test('counts and taught rules survive a restart', async (bench) => {
    await failed(bench, [seen('a')])
    const taught = await teach(bench)
    await bench.reopen()
    expect(await bench.store.failures.get('default', 'a')).toMatchObject({ count: 1 })
    expect(await bench.store.rules.inForce()).toEqual([taught])
  })

  test('the same conditions taught anew replace the rule that had them', async (bench) => {
    await teach(bench, { when: { code: 'x', exit: 3 } })
    await teach(bench, { when: { code: 'x', exit: 3 }, type: 'u' })
    await teach(bench, { when: { exit: 3, code: 'x' }, is: 'permanent' })
    expect((await bench.store.rules.list('default', false)).map(({ id }) => id)).toEqual([3, 2])
    const [old] = (await bench.store.rules.list('default', true)).filter(({ id }) => id === 1)
    expect(old!.forgotten).toEqual({ at: bench.clock.now(), by: CALLER, reason: 'taught anew as rule 3' })
  })

  test('a forgotten rule is not in force, stays in the list, and is forgotten once', async (bench) => {
    const { id } = await teach(bench)
    const forgotten = await forget(bench, id)
    expect(forgotten!.forgotten).toEqual({ at: bench.clock.now(), by: CALLER, reason: 'wrong' })
    await bench.clock.advance(9)
    expect(await forget(bench, id)).toEqual(forgotten)
    expect(await bench.store.rules.inForce()).toEqual([])
    expect(await bench.store.rules.list('default', false)).toEqual([])
    expect(await bench.store.rules.list('default', true)).toEqual([forgotten])
    expect(await trail(bench)).toEqual(['rule/1', 'rule/1'])
    expect(await forget(bench, 7)).toBe(null)
    expect(await forget(bench, id, 'other')).toBe(null)
    // Its number is never given again.
    expect((await teach(bench)).id).toBe(2)
  })

  test('what it decides is counted with the failure', async (bench) => {
    const { id } = await teach(bench)
    await failed(bench, [seen('a', { taught: id, at: 7 }), seen('b', { taught: id, at: 9 })])
    expect((await bench.store.rules.inForce())[0]).toMatchObject({ used: 2, lastUsedAt: 9 })
  })

  test('a warning keeps the taught rule that made it one', async (bench) => {
    const claimed = await bench.started()
    const { id, epoch } = claimed.live
    const plain = { code: 'w', message: 'm', step: null, at: 1 }
    const warnings = [plain, { ...plain, code: 'x', rule: 'taught[1] by Mara' }]
    await bench.store.record({ jobId: id, epoch, warnings })
    expect((await bench.stored(id)).warnings).toEqual(warnings)
  })
}
