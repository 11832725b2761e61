// Counts, readability and the words that come up most. What a formula was not made for is null, not a number.
import { stopWords } from './stop-words.js'
import { paragraphsOf, partsOf, sentencesOf, turn, wordsOf } from './words.js'

export interface Counted {
  text: string
  count: number
}

export interface Statistics {
  characters: number
  words: number
  differentWords: number
  sentences: number
  paragraphs: number
  wordsPerSentence: number
  /** Different words by words: near 1 nothing is said twice. */
  variety: number
  /** All null where `wordsPerSentence` is above `SENTENCE_MAX`. */
  readability: {
    /** Flesch: 100 very easy, 0 very hard. English only. */
    readingEase: number | null
    /** Flesch and Kincaid: years of school. English only. */
    schoolYears: number | null
    /** Björnsson's index, for languages with spaces: below 40 easy, above 60 hard. */
    lix: number | null
  }
  terms: Counted[]
  /** Two words that stand side by side more than once. */
  pairs: Counted[]
  triples: Counted[]
}

/** Nobody writes longer ones on average: beyond it the text has no full stops, and the formulas would measure that. */
export const SENTENCE_MAX = 100
const PART = 32_000
const WITH_SPACES = new Set(['en', 'de', 'fr', 'es', 'it', 'nl', 'pt'])

export async function statisticsOf(text: string, language: string | null, top: number): Promise<Statistics> {
  const stop = stopWords(language)
  const [ones, twos, threes] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()]
  let [words, sentences, long, syllables] = [0, 0, 0, 0]
  for (const part of partsOf(text, PART)) {
    for (const sentence of sentencesOf(part)) {
      sentences++
      const all = wordsOf(sentence).map((word) => word.toLowerCase())
      words += all.length
      for (const [i, word] of all.entries()) {
        if (word.length > 6) long++
        syllables += syllablesOf(word)
        add(ones, word)
        // What begins or ends with "the" is no term.
        if (isTerm(word, stop)) {
          if (isTerm(all[i + 1], stop)) add(twos, all.slice(i, i + 2).join(' '))
          if (isTerm(all[i + 2], stop)) add(threes, all.slice(i, i + 3).join(' '))
        }
      }
    }
    await turn()
  }
  const perSentence = words / Math.max(1, sentences)
  const perWord = syllables / Math.max(1, words)
  const measurable = words > 0 && perSentence <= SENTENCE_MAX
  const isEnglish = measurable && language === 'en'
  const hasSpaces = measurable && WITH_SPACES.has(language ?? '')
  return {
    characters: Array.from(text).length,
    words,
    differentWords: ones.size,
    sentences,
    paragraphs: paragraphsOf(text).length,
    wordsPerSentence: rounded(perSentence),
    variety: rounded(ones.size / Math.max(1, words)),
    readability: {
      readingEase: isEnglish ? rounded(206.835 - 1.015 * perSentence - 84.6 * perWord) : null,
      schoolYears: isEnglish ? rounded(0.39 * perSentence + 11.8 * perWord - 15.59) : null,
      lix: hasSpaces ? rounded(perSentence + (100 * long) / words) : null,
    },
    terms: most(ones, top, 1, (word) => isTerm(word, stop)),
    pairs: most(twos, top, 2),
    triples: most(threes, top, 2),
  }
}

/** Groups of vowels, with the silent e of English. Good for an average, not for a single word. */
function syllablesOf(word: string): number {
  const groups = word.replace(/(?:[^laeiouy]es|ed|[^laeiouy]e)$/, '').match(/[aeiouyäöüáéíóúàèìòùâêîôû]+/g)
  return Math.max(1, groups?.length ?? 0)
}

function isTerm(word: string | undefined, stop: ReadonlySet<string>): word is string {
  return word !== undefined && /\p{L}{2}|[\p{Script=Han}\p{Script=Hangul}]/u.test(word) && !stop.has(word)
}

function add(counts: Map<string, number>, text: string): void {
  counts.set(text, (counts.get(text) ?? 0) + 1)
}

function most(counts: ReadonlyMap<string, number>, top: number, least: number, fits = (_: string) => true): Counted[] {
  return Array.from(counts, ([text, count]) => ({ text, count }))
    .filter(({ text, count }) => count >= least && fits(text))
    .sort((a, b) => b.count - a.count || (a.text < b.text ? -1 : 1))
    .slice(0, top)
}

const rounded = (value: number) => Math.round(value * 100) / 100
