// What is still to be read: the most promising address first, among equals the one that was found first. Each address
// once, and not more than can be kept in mind. With the same finds in the same order it always gives the same order, so that a later attempt reads on where the
// one before it was.

interface Entry {
  url: string
  score: number
  found: number
}

const MOST = 5000

export class Frontier {
  private readonly waiting: Entry[] = []
  private readonly known = new Set<string>()

  add(url: string, score: number): void {
    if (this.known.has(url) || this.waiting.length >= MOST) return
    this.waiting.push({ url, score, found: this.known.size })
    this.known.add(url)
  }

  next(): string | null {
    this.waiting.sort((a, b) => b.score - a.score || a.found - b.found)
    return this.waiting.shift()?.url ?? null
  }

  /** A page that another address led to. */
  skip(url: string): void {
    this.known.add(url)
    const index = this.waiting.findIndex((entry) => entry.url === url)
    if (index >= 0) this.waiting.splice(index, 1)
  }
}
