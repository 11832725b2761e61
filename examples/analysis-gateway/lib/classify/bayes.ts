// A multinomial naive Bayes classifier over counted features. Small on purpose: it can say which words decided. Its scores
// order the labels; they are no probabilities, because words are not independent and it believes that they are.

export interface Verdict {
  /** Best first. Scores add up to 1. */
  ranking: { label: string; score: number }[]
  /** Features of the text that it has seen before. */
  known: number
  /** The known features that spoke most for the best label, strongest first. */
  because: string[]
}

type Counts = ReadonlyMap<string, number>

interface Learned {
  label: string
  counts: Map<string, number>
  total: number
}

export class Bayes {
  private readonly labels: Learned[] = []
  private readonly vocabulary = new Set<string>()

  learn(label: string, features: Counts): void {
    let learned = this.labels.find((one) => one.label === label)
    if (!learned) this.labels.push((learned = { label, counts: new Map(), total: 0 }))
    for (const [feature, count] of features) {
      this.vocabulary.add(feature)
      learned.counts.set(feature, (learned.counts.get(feature) ?? 0) + count)
      learned.total += count
    }
  }

  judge(features: Counts): Verdict {
    const known = [...features].filter(([feature]) => this.vocabulary.has(feature))
    const weight = known.reduce((sum, [, count]) => sum + count, 0)
    const sums = this.labels.map((one) => known.reduce((sum, [f, count]) => sum + count * this.log(one, f), 0))
    // The longer the text, the surer a sum becomes of anything. By the square root it grows as evidence does.
    const shares = softmax(sums.map((sum) => sum / Math.sqrt(Math.max(1, weight))))
    const ranking = this.labels
      .map(({ label }, i) => ({ label, score: shares[i]! }))
      .sort((a, b) => b.score - a.score || (a.label < b.label ? -1 : 1))
    return { ranking, known: weight, because: this.because(ranking[0]?.label, known) }
  }

  /** Laplace's smoothing: a word that a label has never had is rare there, not impossible. */
  private log({ counts, total }: Learned, feature: string): number {
    return Math.log(((counts.get(feature) ?? 0) + 1) / (total + this.vocabulary.size))
  }

  private because(label: string | undefined, known: readonly [string, number][]): string[] {
    const best = this.labels.find((one) => one.label === label)
    if (!best || this.labels.length < 2) return []
    const others = this.labels.filter((one) => one !== best)
    return known
      .map(([feature, count]) => {
        const next = Math.max(...others.map((one) => this.log(one, feature)))
        return { feature, gain: count * (this.log(best, feature) - next) }
      })
      .filter(({ gain }) => gain > 0)
      .sort((a, b) => b.gain - a.gain || (a.feature < b.feature ? -1 : 1))
      .slice(0, 6)
      .map(({ feature }) => feature)
  }
}

function softmax(values: readonly number[]): number[] {
  const most = Math.max(...values)
  const powers = values.map((value) => Math.exp(value - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

export function counted(features: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const feature of features) counts.set(feature, (counts.get(feature) ?? 0) + 1)
  return counts
}
