// What kind of document a text is, learned from the corpus that comes with this example: ../../corpus, one file for each
// kind, English. Its version is the hash of what it has learned from.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Bayes, counted } from './bayes.js'

export const KINDS = ['invoice', 'contract', 'complaint', 'news', 'manual'] as const
export type Kind = (typeof KINDS)[number]

export interface Classification {
  /** Null when the text has too little in common with the corpus. */
  label: Kind | null
  /** Of the label, 0 to 1; orders kinds, no probability. */
  score: number
  alternatives: { label: Kind; score: number }[]
  /** The words that decided. */
  because: string[]
  /** Version of the classifier that said so. */
  classifier: string
}

/** With fewer known words than this, any answer would be a guess. */
const KNOWN_MIN = 5
const FOLDER = new URL('../../corpus/', import.meta.url)

export function corpus(folder = ''): { kind: Kind; text: string }[] {
  return KINDS.flatMap((kind) =>
    readFileSync(new URL(`${folder}${kind}.txt`, FOLDER), 'utf8')
      .split(/^---$/m)
      .map((text) => ({ kind, text: text.trim() })),
  )
}

export interface DocumentClassifier {
  version: string
  classify(text: string): Classification
}

export function learnFrom(documents: readonly { kind: Kind; text: string }[]): DocumentClassifier {
  const bayes = new Bayes()
  for (const { kind, text } of documents) bayes.learn(kind, featuresOf(text))
  const hash = createHash('sha256').update(JSON.stringify(documents)).digest('hex')
  const version = `bayes-${hash.slice(0, 12)}`
  return {
    version,
    classify(text) {
      const { ranking, known, because } = bayes.judge(featuresOf(text))
      const [best, ...others] = ranking.map(({ label, score }) => ({ label: label as Kind, score: rounded(score) }))
      if (!best || known < KNOWN_MIN)
        return { label: null, score: 0, alternatives: [], because: [], classifier: version }
      return { ...best, alternatives: others, because, classifier: version }
    },
  }
}

/** Words, each once: that a text says "please" ten times says little more than once. Every number is the same feature. */
function featuresOf(text: string): Map<string, number> {
  const words = text.toLowerCase().match(/\p{L}[\p{L}'’]*|\d[\d.,]*/gu) ?? []
  return counted(
    new Set(words.map((word) => (/^\d/.test(word) ? (/[.,]\d/.test(word) ? '(decimals)' : '(numbers)') : word))),
  )
}

const rounded = (share: number) => Math.round(share * 1000) / 1000

let shipped: DocumentClassifier | undefined

/** Trained on the whole corpus at its first use. */
export function documentClassifier(): DocumentClassifier {
  shipped ??= learnFrom(corpus())
  return shipped
}
