import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classify, type ErrorRule, Permanent } from './classify.js'
import { factsFrom } from './error-facts.js'
import { explainError } from './explain-error.js'
import { type TaughtRule, type TaughtWhen, taughtStory, taughtWords, wrongIn } from './taught.js'

const MARA = { kind: 'user' as const, id: 'u-7', name: 'Mara' }
const rule = (when: TaughtWhen, more: Partial<TaughtRule> = {}): TaughtRule => ({
  ...{ id: 12, tenant: 'default', type: 'ocr', when, is: 'harmless', reason: 'noise of the engine', by: MARA },
  ...{ at: Date.UTC(2026, 10, 25, 12), used: 0, lastUsedAt: null, forgotten: null },
  ...more,
})
const thrown = (more: object = {}) => Object.assign(new Error('font substitution on page 7'), more)
const of = (error: unknown, taught: TaughtRule[], more: { type?: ErrorRule[]; step?: ErrorRule[] } = {}) => {
  const { verdict, rule: name, taught: id } = classify(error, { ...more, taught, fingerprint: () => 'f'.repeat(16) })
  return [verdict, name, id]
}
const WORDS = 'taught[12] by Mara on 2026-11-25: noise of the engine'

describe('when a taught rule is tried', () => {
  const noise = rule({ match: 'font substitution' })

  it('after a thrown verdict and the rules of step and type, before what is supposed', () => {
    const code: ErrorRule[] = [{ match: 'page', is: 'review' }]
    expect(of(thrown({ status: 404 }), [noise])).toEqual(['harmless', WORDS, 12])
    expect(of(thrown(), [noise], { type: code })).toEqual(['review', 'type[0] page', null])
    expect(of(thrown(), [noise], { step: code })).toEqual(['review', 'step[0] page', null])
    expect(of(new Permanent('font substitution'), [noise])).toEqual(['permanent', 'thrown Permanent', null])
    expect(of(thrown({ message: 'other' }), [noise])).toEqual(['transient', 'default transient', null])
  })

  it('the first of them decides', () => {
    const later = rule({ match: 'font' }, { id: 13, is: 'permanent' })
    expect(of(thrown(), [later, noise])[2]).toBe(13)
  })

  it('never about what the engine says of itself', () => {
    const all = rule({ match: '/./' }, { is: 'harmless' })
    expect(of(thrown({ code: 'undo-missing' }), [all])[1]).toBe('built-in code undo-missing')
    expect(of(thrown({ code: 'code-changed' }), [all])[1]).toBe('default transient')
  })
})

describe('conditions', () => {
  it.each<[string, TaughtWhen, object, boolean]>([
    ['code', { code: 'E7' }, { code: 'E7' }, true],
    ['another code', { code: 'E7' }, { code: 'E8' }, false],
    ['exit', { exit: 3 }, { exitCode: 3 }, true],
    ['signal', { signal: 'SIGSEGV' }, { signal: 'SIGSEGV' }, true],
    ['status', { status: 418 }, { statusCode: 418 }, true],
    ['fingerprint', { fingerprint: 'f'.repeat(16) }, {}, true],
    ['another fingerprint', { fingerprint: '0'.repeat(16) }, {}, false],
    ['an expression', { match: '/FONT sub/i' }, {}, true],
    ['a slash in a text is no expression', { match: 'page 7/9' }, {}, false],
    ['output', { match: 'lib 3' }, { output: 'lib 3 says no' }, true],
    ['all of them', { match: 'font', exit: 3 }, { exitCode: 4 }, false],
    ['the engine', { match: 'font', engine: { name: 'tess', versions: '5.3.x' } }, ofEngine('5.3.2'), true],
    ['another version', { match: 'font', engine: { name: 'tess', versions: '5.3.x' } }, ofEngine('5.4.0'), false],
    ['another engine', { match: 'font', engine: { name: 'gs', versions: null } }, ofEngine('5.3.2'), false],
    ['a version that is not known', { match: 'font', engine: { name: 'tess', versions: '*' } }, ofEngine(), false],
    ['any version', { match: 'font', engine: { name: 'tess', versions: null } }, ofEngine(), true],
    ['an engine alone', { engine: { name: 'tess', versions: null } }, ofEngine(), false],
    ['nothing', {}, {}, false],
  ])('%s', (_, when, more, matched) => {
    expect(of(thrown(more), [rule(when)])[2] === 12).toBe(matched)
  })

  it('details that throw are none', () => {
    const details = {
      get engine() {
        throw new Error('no')
      },
    }
    expect(of(thrown({ details }), [rule({ match: 'font', engine: { name: 'x', versions: null } })])[2]).toBe(null)
  })

  it.each<[TaughtWhen, string]>([
    [{}, ''],
    [{ engine: { name: 'tess', versions: null } }, ''],
    [{ match: ' ' }, 'match'],
    [{ match: '/(/' }, 'match'],
    [{ match: '/.*/' }, 'match'],
    [{ match: '/(a+)+b/' }, 'match'],
    [{ match: 'x'.repeat(301) }, 'match'],
    [{ fingerprint: 'short' }, 'fingerprint'],
    [{ code: 'E', engine: { name: 'tess', versions: 'newest' } }, 'engine/versions'],
  ])('%j cannot be taught', (when, member) => {
    expect(wrongIn(when).map((one) => one.member)).toContain(member)
  })
  it('what is well can', () => {
    expect(wrongIn({ match: '/licen[cs]e (key )?expired/i', engine: { name: 'tess', versions: '>=5 <5.4' } })).toEqual(
      [],
    )
  })
})

it('tells who taught it, when and why; in one line, whatever the reason is', () => {
  expect(taughtStory(WORDS)).toBe('Taught by Mara on 2026-11-25: noise of the engine')
  expect(taughtStory('type[0] x')).toBe(null)
  const long = taughtWords(
    rule({ code: 'x' }, { reason: `a\n${'b'.repeat(900)}`, by: { kind: 'apiKey', id: 'key_1' } }),
  )
  expect([long.length < 400, long.includes('\n'), long.startsWith('taught[12] by key_1 on')]).toEqual([
    true,
    false,
    true,
  ])
})

describe('explainError', () => {
  it('says every rule in order with what it misses, up to the one that decides', () => {
    const facts = factsFrom({ message: 'cannot allocate', exit: 139, engine: 'tess', engineVersion: '5.3.0' })
    const { verdict, by, taught, looked } = explainError(facts, {
      type: [
        { match: /busy/, is: 'transient' },
        { exit: 3, is: 'permanent' },
      ],
      taught: [
        rule({ code: 'process-signal', engine: { name: 'tess', versions: '5.4.x' } }, { id: 13 }),
        rule({ signal: 'SIGSEGV', engine: { name: 'tess', versions: '5.3.x' } }),
        rule({ match: 'never looked at' }, { id: 9 }),
      ],
    })
    expect({ verdict, by, taught }).toEqual({ verdict: 'harmless', by: 'taught', taught: 12 })
    expect(looked.map(({ table, matched, why }) => [table, matched, why])).toEqual([
      ['type', false, 'the text does not match /busy/'],
      ['type', false, 'exit is 139, not 3'],
      ['taught', false, 'the version of tess is 5.3.0, not 5.4.x'],
      ['taught', true, 'all that it asks for holds'],
    ])
  })

  it('says of what the engine throws itself that nothing can be taught about it', () => {
    const { rule: name, looked } = explainError(factsFrom({ message: 'x', code: 'undo-missing' }), {
      taught: [rule({ match: 'x' })],
    })
    expect(name).toBe('built-in code undo-missing')
    expect(looked[0]!.why).toContain('cannot be taught')
  })

  it('never says anything else than what is done', () => {
    const word = fc.constantFrom('a', 'b', 'c')
    const conditions = fc.record(
      { match: word, code: word, exit: fc.constantFrom(1, 2), status: fc.constantFrom(404, 503) },
      { requiredKeys: [] },
    )
    const verdict = fc.constantFrom('transient' as const, 'permanent' as const, 'harmless' as const, 'review' as const)
    const table = fc.array(
      fc.tuple(conditions, verdict).map(([when, is]): ErrorRule => ({ ...when, is })),
      { maxLength: 4 },
    )
    const taughtTable = fc
      .array(fc.tuple(conditions, verdict), { maxLength: 4 })
      .map((all) => all.map(([when, is], i) => rule(when, { is, id: i + 1 })))
    const given = fc.record({
      message: word,
      code: fc.option(word),
      exit: fc.option(fc.constantFrom(1, 2)),
      status: fc.option(fc.constantFrom(404, 503, 200)),
    })
    fc.assert(
      fc.property(given, table, table, taughtTable, (error, step, type, taught) => {
        const facts = factsFrom(error)
        const real = Object.assign(new Error(facts.message), {
          name: facts.name,
          code: facts.code,
          exitCode: facts.exit,
          status: facts.status,
        })
        const done = classify(real, { step, type, taught })
        const said = explainError(facts, { step, type, taught })
        expect([said.verdict, said.rule, said.by, said.taught]).toEqual([done.verdict, done.rule, done.by, done.taught])
        expect(said.looked.filter(({ matched }) => matched)).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
  })
})

function ofEngine(engineVersion?: string) {
  return { details: { engine: 'tess', ...(engineVersion ? { engineVersion } : {}) } }
}
