import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import type { Caller, Scope } from './api.js'
import type { TeachBody } from './teaching-api.js'

const open = rigs()
const failing = (name: string, errors: object[] = []) =>
  defineJob(name, { input: z.object({ say: z.string() }) }).handler(
    { retry: until({ attempts: 1 }), errors: errors as never },
    ({ input }) => Promise.reject(Object.assign(new Error(input.say), { code: 'E7' })),
  ) as unknown as JobHandler
const caller = (scopes: Scope[], more: Partial<Caller> = {}): Caller => ({
  ...{ tenant: 'default', actor: { kind: 'apiKey', id: 'key_1', name: 'ops' }, scopes, types: null },
  ...more,
})
const OPERATOR = caller(['jobs:operate'])
const noise = (more: Partial<TeachBody> = {}): TeachBody => ({ verdict: 'permanent', reason: 'noise', ...more })
const refused = (asked: Promise<unknown>) =>
  asked.then(
    () => null,
    ({ code, errors = [] }) => [code, ...errors.map((one: { pointer: string }) => one.pointer)],
  )
async function met(rig: TestRig, ...said: [type: string, text: string][]) {
  for (const [type, say] of said) {
    await rig.submit(type, { say })
    await rig.settle()
    await rig.advance('1s')
  }
  return (await rig.engine.teaching.list(OPERATOR, {})).items
}
const rigOf = () => open([failing('ocr.a'), failing('ocr.b'), failing('pay', [{ match: 'known', is: 'review' }])])

describe('rights', () => {
  it('everything needs jobs:operate', async () => {
    const rig = await rigOf()
    const [one] = await met(rig, ['pay', 'odd'])
    const { teaching } = rig.engine
    const reader = caller(['jobs:read', 'jobs:submit'])
    const asked = [
      teaching.list(reader, {}),
      teaching.get(reader, one!.fingerprint),
      teaching.teach(reader, one!.fingerprint, noise()),
      teaching.addRule(reader, 'pay', noise({ match: 'x' })),
      teaching.rules(reader, {}),
      teaching.forget(reader, 1, 'x'),
      teaching.explain(reader, { type: 'pay', message: 'x' }),
    ]
    expect(await Promise.all(asked.map(refused))).toEqual(asked.map(() => ['forbidden']))
  })

  it('another tenant, and a key of other types, see and teach nothing', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    const [one] = await met(rig, ['pay', 'odd'])
    await teaching.teach(OPERATOR, one!.fingerprint, noise())
    for (const stranger of [caller(['admin'], { tenant: 'z' }), caller(['jobs:operate'], { types: ['ocr.*'] })]) {
      expect((await teaching.list(stranger, {})).items).toEqual([])
      expect((await teaching.list(stranger, { type: 'pay' })).items).toEqual([])
      expect(await teaching.rules(stranger, { all: true })).toEqual([])
      expect(await refused(teaching.get(stranger, one!.fingerprint))).toEqual(['not-found'])
      expect(await refused(teaching.teach(stranger, one!.fingerprint, noise()))).toEqual(['not-found'])
      expect(await refused(teaching.forget(stranger, 1, 'x'))).toEqual(['not-found'])
    }
    const narrow = caller(['jobs:operate'], { types: ['ocr.*'] })
    expect(await refused(teaching.addRule(narrow, 'pay', noise({ match: 'x' })))).toEqual(['not-found'])
    expect(await refused(teaching.explain(narrow, { type: 'pay', message: 'x' }))).toEqual(['not-found'])
    expect(await refused(teaching.addRule(OPERATOR, 'untildone.bulk', noise({ match: 'x' })))).toEqual(['not-found'])
  })
})

describe('lists', () => {
  it('by type, by time and by page, seen latest first', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    const start = rig.clock.now()
    await met(rig, ['ocr.a', 'one'], ['ocr.b', 'two'], ['pay', 'three'], ['ocr.a', 'one'])
    const words = async (query: object) => (await teaching.list(OPERATOR, query)).items.map((one) => one.words)
    expect(await words({})).toEqual(['one', 'three', 'two'])
    expect(await words({ type: 'ocr.*' })).toEqual(['one', 'two'])
    expect(await words({ since: start + 2000 })).toEqual(['one', 'three'])
    const first = await teaching.list(OPERATOR, { limit: 2 })
    expect(first.items.map((one) => one.words)).toEqual(['one', 'three'])
    const rest = await teaching.list(OPERATOR, { limit: 2, cursor: first.nextCursor! })
    expect([rest.items.map((one) => one.words), rest.nextCursor]).toEqual([['two'], null])
    expect(await refused(teaching.list(OPERATOR, { type: 'pay', cursor: first.nextCursor! }))).toEqual([
      'invalid-cursor',
    ])
  })
})

describe('teaching', () => {
  it('a dry run stores nothing, and says what it would match and where the code comes first', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    const met1 = await met(rig, ['pay', 'odd 1'], ['pay', 'odd and strange'], ['ocr.a', 'odd 1'])
    const { fingerprint } = met1.find(({ type, words }) => type === 'pay' && words === 'odd <n>')!
    const dry = await teaching.teach(OPERATOR, fingerprint, noise({ match: 'odd', dryRun: true }))
    expect(dry).toMatchObject({ rule: null, when: { match: 'odd' }, matched: 2 })
    expect(dry.matches.map(({ words, before, decides }) => [words, before, decides])).toEqual([
      ['odd and strange', 'transient', true],
      ['odd <n>', 'transient', true],
    ])
    expect(await teaching.rules(OPERATOR, {})).toEqual([])
    expect(await rig.store.audit('default', 0, 9)).toEqual([])
    // What is counted before the code knows it is decided by the code from then on.
    rig.app.replaceHandlers([failing('pay', [{ match: 'strange', is: 'review' }])])
    const again = await teaching.teach(OPERATOR, fingerprint, noise({ match: 'odd', dryRun: true }))
    expect(again.matches.map(({ words, before, decides }) => [words, before, decides])).toEqual([
      ['odd and strange', 'review', false],
      ['odd <n>', 'transient', true],
    ])
  })

  it('is for the fingerprint alone, unless it says what else it is for', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    const [one] = await met(rig, ['pay', 'odd 1'])
    const { fingerprint } = one!
    const engine = { name: 'tess', versions: '5.3.x' }
    expect((await teaching.teach(OPERATOR, fingerprint, noise())).when).toEqual({ fingerprint })
    expect((await teaching.teach(OPERATOR, fingerprint, noise({ code: 'E7' }))).when).toEqual({ code: 'E7' })
    expect(await refused(teaching.teach(OPERATOR, fingerprint, noise({ engine })))).toEqual([
      'validation-failed',
      '/engine',
    ])
    expect(await refused(teaching.teach(OPERATOR, fingerprint, noise({ match: 'even' })))).toEqual([
      'validation-failed',
      '/match',
    ])
    expect(await refused(teaching.teach(OPERATOR, fingerprint, noise({ exit: 3 })))).toEqual([
      'validation-failed',
      '/exit',
    ])
    expect(await refused(teaching.teach(OPERATOR, fingerprint, noise({ reason: ' ' })))).toEqual([
      'validation-failed',
      '/reason',
    ])
    expect(await refused(teaching.teach(OPERATOR, fingerprint, noise({ match: '/(a+)+/' })))).toEqual([
      'validation-failed',
      '/match',
    ])
    expect(await refused(teaching.addRule(OPERATOR, 'pay', noise()))).toEqual(['validation-failed', ''])
    expect(await refused(teaching.addRule(OPERATOR, 'pay', noise({ engine })))).toEqual(['validation-failed', ''])
    expect(await refused(teaching.teach(OPERATOR, '0'.repeat(16), noise()))).toEqual(['not-found'])
  })

  it('and forgetting are in the audit trail, with actor, reason and what it is about', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    await teaching.addRule(OPERATOR, 'pay', noise({ match: 'licence', reason: 'runs out in May' }))
    expect(await refused(teaching.forget(OPERATOR, 1, null))).toEqual(['validation-failed', '/reason'])
    const forgotten = await teaching.forget(OPERATOR, 1, 'bought a new one')
    expect(forgotten).toMatchObject({ inForce: false, forgotten: { reason: 'bought a new one', by: OPERATOR.actor } })
    const trail = await rig.store.audit('default', 0, 9)
    const details = { type: 'pay', verdict: 'permanent', when: { match: 'licence' } }
    expect(
      trail.map(({ action, actor, target, reason, details }) => ({ action, actor, target, reason, details })),
    ).toEqual([
      { action: 'rule.teach', actor: OPERATOR.actor, target: 'rule/1', reason: 'runs out in May', details },
      { action: 'rule.forget', actor: OPERATOR.actor, target: 'rule/1', reason: 'bought a new one', details },
    ])
    expect(await teaching.rules(OPERATOR, {})).toEqual([])
    expect((await teaching.rules(OPERATOR, { all: true, type: 'p*' })).map(({ id }) => id)).toEqual([1])
    expect(await teaching.rules(OPERATOR, { all: true, type: 'ocr.*' })).toEqual([])
  })

  it('has a limit per type', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    for (let n = 0; n < 500; n++) await teaching.addRule(OPERATOR, 'pay', noise({ code: `E${n}` }))
    expect(await refused(teaching.addRule(OPERATOR, 'pay', noise({ code: 'more' })))).toEqual(['quota-exceeded'])
    await teaching.addRule(OPERATOR, 'ocr.a', noise({ code: 'more' }))
  })
})

describe('explaining', () => {
  it('an error as it is written down, by the rules as they are now', async () => {
    const rig = await rigOf()
    const { teaching } = rig.engine
    await met(rig, ['pay', 'odd 1'])
    await teaching.addRule(OPERATOR, 'pay', noise({ match: 'font', engine: { name: 'tess', versions: '5.3.x' } }))
    const known = await teaching.explain(OPERATOR, { type: 'pay', message: 'odd 2', code: 'E7' })
    expect(known).toMatchObject({ verdict: 'transient', rule: 'default transient', by: 'built-in', taught: null })
    expect(known.failure).toMatchObject({ count: 1, words: 'odd <n>' })
    expect(known.looked.map(({ table, why }) => [table, why])).toEqual([
      ['type', 'the text does not contain known'],
      ['taught', 'the engine is not known, not tess'],
      ['built-in', 'nothing else says anything of it'],
    ])
    const engine = { name: 'tess', version: '5.3.1' }
    const taught = await teaching.explain(OPERATOR, { type: 'pay', message: 'font', engine })
    expect(taught).toMatchObject({ verdict: 'permanent', by: 'taught', taught: { id: 1 }, failure: null })
    const crash = await teaching.explain(OPERATOR, { type: 'pay', message: '', exit: 139 })
    expect(crash).toMatchObject({ verdict: 'transient', rule: 'built-in code process-signal' })
    expect(await refused(teaching.explain(OPERATOR, { type: 'none', message: 'x' }))).toEqual(['not-found'])
  })
})
