// What the demo prints: one calm line per event, with a clock. It must never be silent for long, and it prints no colour
// where there is no terminal and no control character that came out of a document.
import picocolors from 'picocolors'

const QUIET_MS = 4000

export class Teller {
  /** @param {NodeJS.WriteStream} out */
  constructor(out) {
    this.out = out
    const { NO_COLOR, TERM } = process.env
    const colours = picocolors.createColors(Boolean(out.isTTY) && !NO_COLOR && TERM !== 'dumb')
    this.bold = colours.bold
    this.dim = colours.dim
    /** @type {Record<string, (text: string) => string>} */
    this.colours = {
      processing: colours.blue,
      completed: colours.green,
      failed: colours.red,
      cancelled: colours.red,
      outside: colours.yellow,
    }
    this.began = Date.now()
    this.spoke = Date.now()
    // A reader that has gone (`| head`) is no reason for a stack trace.
    out.on('error', () => process.exit(1))
    this.heart = setInterval(() => this.#beat(), 500)
    this.heart.unref()
  }

  /** @param {string} [text] */
  line(text = '') {
    this.spoke = Date.now()
    this.out.write(`${text}\n`)
  }

  /** @param {string} text */
  heading(text) {
    this.line(`\n${this.bold(text)}`)
  }

  /** A line with the clock; further lines stand below its text. @param {string} word @param {string} text */
  event(word, text) {
    const [first, ...more] = text.split('\n')
    const paint = this.colours[word] ?? ((/** @type {string} */ plain) => plain)
    this.line(`  ${clock()}  ${paint(word.padEnd(11))} ${first}`)
    for (const line of more) this.line(`${' '.repeat(24)}${line}`)
  }

  end() {
    clearInterval(this.heart)
  }

  #beat() {
    if (Date.now() - this.spoke < QUIET_MS) return
    this.line(this.dim(`  ${clock()}  …           still at work (${seconds(Date.now() - this.began)} so far)`))
  }
}

/** Local time, like the clock of whoever reads this. */
export const clock = (at = new Date()) => at.toTimeString().slice(0, 8)

/** @param {number} ms */
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

/** @param {number} count @param {string} noun */
export const many = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Text from a document or a job, fit for a terminal: no control characters, no line over 100 columns. @param {string} text */
export const plain = (text) =>
  text
    .replace(/[^\P{C}\n]/gu, '')
    .split('\n')
    .map((line) => (line.length > 100 ? `${line.slice(0, 99)}…` : line))
    .join('\n')
