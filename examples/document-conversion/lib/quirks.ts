// What is known of engines that holds for some of their versions only: which of their words are noise, which mean that their
// output cannot be trusted although they ended well. Data; a line is added when something was seen, with the reason.
import { type ErrorRule, Permanent } from 'untildone'
import type { PageEngine, Program } from './engines.js'

export interface Quirk {
  program: string
  /** `>=9.56 <10.1`; all must hold. `*`: every version. */
  versions: string
  match: RegExp
  /**
   * `noise`: it says so and works all the same; a note is kept. Its pattern begins with `^`, so that it fits a line of its
   * words and never the words of a crash. `retry`: it passes. `next`: this engine cannot read the
   * page, another may. `distrust`: as `next`, although it ended well.
   */
  is: 'noise' | 'retry' | 'next' | 'distrust'
  as: string
  why: string
}

const VERDICTS = { noise: 'harmless', retry: 'transient', next: 'permanent', distrust: 'permanent' } as const

export const QUIRKS: readonly Quirk[] = [
  {
    ...{
      program: 'tesseract',
      versions: '>=4',
      match: /^(?:Warning: Invalid resolution \d+ dpi|Estimating resolution as)/,
      is: 'noise',
    },
    ...{ as: 'resolution-guessed', why: 'a picture without a resolution; the text is as good as the pixels' },
  },
  {
    ...{ program: 'tesseract', versions: '*', match: /Error opening data file|Failed loading language/, is: 'next' },
    ...{ as: 'language-missing', why: 'installed without its language data; no further try will find them' },
  },
  {
    ...{ program: 'pdftoppm', versions: '*', match: /^Syntax (?:Warning|Error)/, is: 'noise' },
    ...{ as: 'pdf-syntax', why: 'said of many files that it draws well' },
  },
  {
    ...{
      program: 'gs',
      versions: '<9.56',
      match: /\*\*\*\* Error: .*(?:not complete|Output may be incorrect)/s,
      is: 'distrust',
    },
    ...{
      as: 'page-not-complete',
      why: 'the interpreter written in PostScript ends with 0 after leaving out half of a page',
    },
  },
  {
    ...{ program: 'gs', versions: '>=9.56', match: /errors were encountered at least once/, is: 'distrust' },
    ...{ as: 'page-not-complete', why: 'the interpreter written in C says the same in other words' },
  },
]

/** The program that reads the words, by which the engine is known to rules, also to those that people teach. */
export const readerOf = ({ programs }: Pick<PageEngine, 'programs'>): Program =>
  programs.find(({ name }) => name.startsWith('tesseract')) ?? programs[0]!

/**
 * The rules for one engine as it is installed here; they are asked before those of the type. Those about its reader name
 * the versions, so that the record says why they held; those about the programs beside it are in the list if they hold.
 */
export function rulesFor({ programs }: Pick<PageEngine, 'programs'>, quirks: readonly Quirk[] = QUIRKS): ErrorRule[] {
  const reader = readerOf({ programs })
  return quirks.flatMap(({ program, versions, match, is, as }): ErrorRule[] => {
    const rule = { match, is: VERDICTS[is], as }
    if (program === reader.name) return [{ ...rule, engine: { name: program, versions } }]
    return programs.some(({ name, version }) => name === program && inRange(version, versions)) ? [rule] : []
  })
}

/** @throws Permanent when an engine that ended well said something for which its output is not believed */
export function checkWords(
  { name, programs }: Pick<PageEngine, 'name' | 'programs'>,
  words: string,
  quirks = QUIRKS,
): void {
  const quirk = known(programs, quirks).find(({ is, match }) => is === 'distrust' && match.test(words))
  if (quirk) throw new Permanent(`The engine "${name}" ended well, but: ${quirk.why}.`, { code: quirk.as })
}

const known = (programs: PageEngine['programs'], quirks: readonly Quirk[]) =>
  quirks.filter((quirk) =>
    programs.some(({ name, version }) => name === quirk.program && inRange(version, quirk.versions)),
  )

/** Numbers are compared one by one; `9.6` is before `9.56`, as their makers count. */
export function inRange(version: string, range: string): boolean {
  if (range === '*') return true
  return range.split(/\s+/).every((condition) => {
    const [, operator, bound] = /^(>=|<=|>|<|=)?(\d+(?:\.\d+)*)$/.exec(condition) ?? []
    if (bound === undefined) throw new Error(`"${condition}" is no condition for a version.`)
    const order = compare(version, bound)
    if (operator === '>=') return order >= 0
    if (operator === '<=') return order <= 0
    if (operator === '>') return order > 0
    return operator === '<' ? order < 0 : order === 0
  })
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0))
  for (let i = 0; i < Math.max(left!.length, right!.length); i++) {
    const difference = (left![i] ?? 0) - (right![i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
