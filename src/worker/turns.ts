/**
 * Whoever comes first is carried out first, at once where nobody is before it, or a turn of the loop later.
 */
export class Turns {
  private last: Promise<void> | null = null

  /** @param later so that what was begun just before is on its way by then */
  next(later: boolean, fn: () => void): Promise<void> | void {
    if (!later && this.last === null) return fn()
    const turn: Promise<void> = Promise.all([this.last, later ? aTurn() : null]).then(() => {
      if (this.last === turn) this.last = null
    })
    // The next one waits for this turn, not for what becomes of it.
    this.last = turn
    return turn.then(fn)
  }
}

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
