// What the scale demo prints: one line per event with its instant, and a line of numbers whenever it was quiet for long.
// Plain lines, so that a file or a pipe gets what a terminal gets.
const QUIET_MS = 3000

export class Teller {
  private began = Date.now()
  private last = Date.now()
  private timer: NodeJS.Timeout | null = null

  /** From now on instants count from here, and silence is broken by this. */
  begin(progress: () => string): void {
    this.quiet()
    this.began = Date.now()
    this.last = Date.now()
    this.timer = setInterval(() => {
      if (Date.now() - this.last >= QUIET_MS) this.event(`… ${progress()}`)
    }, 250)
  }

  quiet(): void {
    if (this.timer) clearInterval(this.timer)
    this.timer = null
  }

  line(text: string): void {
    this.last = Date.now()
    console.log(text)
  }

  fact(name: string, value: string): void {
    this.line(`  ${name.padEnd(11)} ${value}`)
  }

  event(text: string): void {
    const second = ((Date.now() - this.began) / 1000).toFixed(1)
    this.line(`  ${second.padStart(5)} s  ${text}`)
  }
}
