/**
 * A few lines at the bottom of the terminal that are drawn again in place. Only for terminals. Writes nothing when
 * nothing changed, and at most ten times a second.
 */
import type { Io } from './io.js'

const ERASE_DOWN = '\u001b[0J'
const HIDE = '\u001b[?25l'
const SHOW = '\u001b[?25h'
const EVERY_MS = 120

export class LiveRegion {
  private shown: string[] = []
  private tick = 0
  private readonly timer: ReturnType<typeof setInterval>

  constructor(
    private readonly io: Io,
    private readonly frame: (tick: number) => string[],
  ) {
    io.err(HIDE)
    this.timer = setInterval(() => {
      this.tick++
      this.draw()
    }, EVERY_MS)
    this.timer.unref()
    this.draw()
  }

  draw(): void {
    const lines = this.frame(this.tick)
    if (lines.join('\n') === this.shown.join('\n')) return
    this.io.err(`${this.up()}${lines.join('\n')}\n`)
    this.shown = lines
  }

  /** Draws a last time and leaves it there. */
  end(): void {
    clearInterval(this.timer)
    this.draw()
    this.io.err(SHOW)
  }

  private up(): string {
    // Every line fits its row, so rows and lines are the same thing.
    return this.shown.length === 0 ? '' : `\r\u001b[${this.shown.length}A${ERASE_DOWN}`
  }
}
