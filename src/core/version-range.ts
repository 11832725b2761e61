/**
 * Versions of engines and ranges of them: `5.3.0`, `5.3.x`, `>=5 <5.4`, `^5.3`, `~5.3.1`, `4.1.1 || >=5.3`. Engines are not
 * all semantic versions, so only what is compared is read: up to four numbers; `-rc1` is before, any other ending is the
 * same. Pure.
 */

type Version = readonly number[]

const PARTS = 4
const BEFORE = /^[-.]?(alpha|beta|rc|pre|dev|snapshot)/i

/** Null when it does not begin with a number, after an optional `v`. */
function versionOf(text: string): { version: Version; given: number } | null {
  const match = /^v?(\d{1,9}(?:\.\d{1,9}){0,3})(.*)$/s.exec(text.trim())
  if (!match) return null
  const numbers = match[1]!.split('.').map(Number)
  const version = [...numbers, ...Array<number>(PARTS - numbers.length).fill(0), BEFORE.test(match[2]!) ? -1 : 0]
  return { version, given: numbers.length }
}

function compare(a: Version, b: Version): number {
  const at = a.findIndex((n, i) => n !== b[i])
  return at < 0 ? 0 : a[at]! - b[at]!
}

/** The first version that has another number at `place`. */
function above(version: Version, place: number): Version {
  return version.map((n, i) => (i < place ? n : i === place ? n + 1 : i === PARTS ? -1 : 0))
}

/** From (inclusive) and before (exclusive). */
type Span = { from: Version; before: Version | null }
type Test = (version: Version) => boolean

const COMPARATOR = /^(>=|<=|>|<|=|\^|~)?\s*(v?\d[\d.]*(?:\.[xX*])*[^\s]*|[xX*])$/

function testOf(text: string): Test | null {
  const match = COMPARATOR.exec(text)
  if (!match) return null
  const [, operator = '', said = ''] = match
  if (/^[xX*]$/.test(said)) return operator === '' ? () => true : null
  const plain = said.replace(/(?:\.[xX*])+$/, '')
  const parsed = /\.(?:\D|$)/.test(plain) ? null : versionOf(plain)
  if (!parsed || /\d[xX*]|[xX*]\d/.test(said)) return null
  const { version, given } = parsed
  const place = given - 1
  switch (operator) {
    case '>=':
      return (it) => compare(it, version) >= 0
    case '<':
      return (it) => compare(it, version) < 0
    case '>':
      return (it) => compare(it, given === PARTS ? version : lastOf(version, place)) > 0
    case '<=':
      return (it) => compare(it, lastOf(version, place)) <= 0
    case '^': {
      // The first number that is not 0 stays.
      const first = version.slice(0, given).findIndex((n) => n !== 0)
      return within({ from: version, before: above(version, first < 0 ? place : first) })
    }
    case '~':
      return within({ from: version, before: above(version, Math.min(1, place)) })
    default:
      return given >= 3 && !/[xX*]$/.test(said)
        ? (it) => compare(it, version) === 0
        : within({ from: version, before: above(version, place) })
  }
}

/** The last version that `5.3` stands for. */
function lastOf(version: Version, place: number): Version {
  return place >= 2 ? version : version.map((n, i) => (i <= place ? n : i === PARTS ? 0 : Number.MAX_SAFE_INTEGER))
}

function within({ from, before }: Span): Test {
  return (it) => compare(it, from) >= 0 && (before === null || compare(it, before) < 0)
}

function testsOf(range: string): Test[][] | null {
  const alternatives = range.split('||').map((part) =>
    part
      .replace(/(>=|<=|>|<|=|\^|~)\s+/g, '$1')
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(testOf),
  )
  if (alternatives.some((tests) => tests.length === 0 || tests.includes(null))) return null
  return alternatives as Test[][]
}

/** Whether it can be read; for whoever writes one down. */
export function isRange(range: string): boolean {
  return testsOf(range) !== null
}

/** False for a version or a range that cannot be read: a rule for certain versions says nothing of unknown ones. */
export function inRange(version: string, range: string): boolean {
  const parsed = versionOf(version)
  const tests = testsOf(range)
  return parsed !== null && (tests?.some((all) => all.every((test) => test(parsed.version))) ?? false)
}
