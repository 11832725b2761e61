import fc from 'fast-check'
import { expect, it } from 'vitest'
import { inRange, isRange } from './version-range.js'

it.each([
  ['5.3.0', '5.3.0', true],
  ['5.3.1', '5.3.0', false],
  ['v5.3.0', '5.3.0', true],
  ['5.3.9', '5.3.x', true],
  ['5.3.9', '5.3', true],
  ['5.4.0', '5.3', false],
  ['5.4.0-rc1', '5.3', false],
  ['5.9', '5', true],
  ['6.0', '5.x', false],
  ['10.02.1', '>=10.2 <10.3', true],
  ['10.3', '>=10.2 <10.3', false],
  ['10.3-rc1', '<10.3', true],
  ['5.3.0-2', '5.3.0', true],
  ['5.3.0-2+deb12', '>=5.3.0', true],
  ['5.9.9', '^5.3', true],
  ['6.0.0-rc1', '^5.3', false],
  ['5.2.9', '^5.3', false],
  ['0.2.9', '^0.2.3', true],
  ['0.3.0', '^0.2.3', false],
  ['5.3.8', '~5.3.1', true],
  ['5.4.0', '~5.3.1', false],
  ['5.9', '~5', true],
  ['5.3.4', '<=5.3', true],
  ['5.3.4', '>5.3', false],
  ['5.4', '>5.3', true],
  ['4.1.1', '4.1.1 || >=5.3', true],
  ['5.2', '4.1.1 || >=5.3', false],
  ['22.12.0.9191', '>= 22.12, < 23', true],
  ['1', '*', true],
  ['unknown', '*', false],
  ['5.3', 'newest', false],
])('%s in %s: %s', (version, range, inside) => {
  expect(inRange(version, range)).toBe(inside)
})

it.each(['', '||', '5.3 ||', 'newest', '>=', '>x', '5..3', '=>5', '5x', 'x5', '^'])('"%s" is no range', (range) => {
  expect(isRange(range)).toBe(false)
})

const version = fc.tuple(fc.nat(20), fc.nat(20), fc.nat(20)).map((parts) => parts.join('.'))

it('of two versions one is below the other, or they are the same', () => {
  fc.assert(
    fc.property(version, version, (a, b) => {
      const held = [`<${a}`, `=${a}`, `>${a}`].filter((range) => inRange(b, range))
      expect(held).toHaveLength(1)
      expect(inRange(b, `>=${a}`)).toBe(!inRange(b, `<${a}`))
      expect(inRange(b, `<=${a}`)).toBe(!inRange(b, `>${a}`))
    }),
  )
})

it('a caret and a tilde begin at their version and end before the next', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(20), fc.nat(20), version, (x, y, z, it) => {
      expect(inRange(it, `^${x}.${y}.${z}`)).toBe(inRange(it, `>=${x}.${y}.${z} <${x + 1}.0.0`))
      expect(inRange(it, `~${x}.${y}.${z}`)).toBe(inRange(it, `>=${x}.${y}.${z} <${x}.${y + 1}.0`))
    }),
  )
})
