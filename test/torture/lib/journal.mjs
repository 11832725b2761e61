/**
 * An append-only file of JSON lines that is synced before anybody is told: the memory of the client and of the witness.
 * What arrives while a sync is under way shares the next one.
 */
import { closeSync, fdatasync, openSync, readFileSync, writeSync } from 'node:fs'

export class Journal {
  #fd
  #waiting = []
  #syncing = false

  constructor(path) {
    this.#fd = openSync(path, 'a')
  }

  /** Resolves when the line is on disk. Lines stand in the order of these calls. */
  append(entry) {
    return new Promise((resolve) => {
      this.#waiting.push({ line: `${JSON.stringify(entry)}\n`, resolve })
      if (!this.#syncing) {
        this.#syncing = true
        setImmediate(() => this.#flush())
      }
    })
  }

  #flush() {
    const batch = this.#waiting
    this.#waiting = []
    writeSync(this.#fd, batch.map(({ line }) => line).join(''))
    fdatasync(this.#fd, (error) => {
      if (error) throw error
      for (const { resolve } of batch) resolve()
      if (this.#waiting.length > 0) this.#flush()
      else this.#syncing = false
    })
  }

  close() {
    closeSync(this.#fd)
  }
}

/** All whole lines; a last line that was cut off is not one. */
export function readJournal(path) {
  const text = readFileSync(path, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}
