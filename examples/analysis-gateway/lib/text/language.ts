// Which language a text is in: naive Bayes over letters in threes, learned from one paragraph of each language that says
// the same thing, and from its small words. Texts in other scripts are known by the script alone.
import { readFileSync } from 'node:fs'
import { Bayes, counted } from '../classify/bayes.js'
import { stopWords } from './stop-words.js'

export const LANGUAGES = ['en', 'de', 'fr', 'es', 'it', 'nl', 'pt'] as const

export interface Language {
  /** ISO 639-1, or null when it cannot be said. */
  code: string | null
  /** 0 to 1; orders languages, no probability. */
  score: number
}

/** Enough to tell languages apart; more only takes time. */
const READ = 20_000
const LETTERS_MIN = 12
/** Letters in threes that some language has. A text in another one, or in none, has fewer. */
const KNOWN_MIN = 0.5
const SCORE_MIN = 0.5
const WEIGHT = 4
const SMALL = new Set(LANGUAGES.flatMap((code) => [...stopWords(code)].filter((word) => word.length > 1)))

/** Scripts that one language alone is written in, or nearly so. */
const SCRIPTS: readonly (readonly [code: string, letters: RegExp])[] = [
  ['ja', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['ko', /\p{Script=Hangul}/gu],
  ['zh', /\p{Script=Han}/gu],
  ['el', /\p{Script=Greek}/gu],
  ['he', /\p{Script=Hebrew}/gu],
  ['th', /\p{Script=Thai}/gu],
]

let learned: Bayes | undefined

function bayes(): Bayes {
  if (learned) return learned
  learned = new Bayes()
  for (const code of LANGUAGES) {
    const text = readFileSync(new URL(`../../corpus/languages/${code}.txt`, import.meta.url), 'utf8')
    learned.learn(code, featuresOf(`${text} ${[...stopWords(code)].join(' ')}`))
  }
  return learned
}

export function languageOf(whole: string): Language {
  const text = whole.slice(0, READ)
  const letters = (text.match(/\p{L}/gu) ?? []).length
  for (const [code, pattern] of SCRIPTS) {
    const share = (text.match(pattern) ?? []).length / Math.max(1, letters)
    // Japanese is mostly written in Han as well; a tenth of kana is enough to know it.
    if (share > (code === 'ja' ? 0.1 : 0.5)) return { code, score: 1 }
  }
  const latin = (text.match(/\p{Script=Latin}/gu) ?? []).length
  if (letters < LETTERS_MIN || latin < letters / 2) return { code: null, score: 0 }
  const features = featuresOf(text)
  const { ranking, known } = bayes().judge(features)
  const [best] = ranking
  const score = Math.round(best!.score * 1000) / 1000
  const all = [...features.values()].reduce((sum, count) => sum + count, 0)
  return best!.score < SCORE_MIN || known < all * KNOWN_MIN ? { code: null, score } : { code: best!.label, score }
}

/** Letters in threes, and the small words, which say more than any three letters. */
function featuresOf(text: string): Map<string, number> {
  const words = text.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? []
  const plain = ` ${words.join(' ')} `
  const threes = Array.from({ length: Math.max(0, plain.length - 2) }, (_, i) => plain.slice(i, i + 3))
  const features = counted(threes)
  for (const word of words) if (SMALL.has(word)) features.set(`=${word}`, (features.get(`=${word}`) ?? 0) + WEIGHT)
  return features
}
