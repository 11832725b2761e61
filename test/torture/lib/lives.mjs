/**
 * One life of the server after another. The next process is started in advance and waits for its order, so that a death
 * costs little time. Knows how lives begin and end, not what they do.
 */
import { program, within } from './common.mjs'

/** Longest a life may take until its armed window is reached. */
const LIFE_MS = 15_000

export class Lives {
  #file
  #options
  #spare = null
  /** Errors that a life printed although nothing asked for them. */
  complaints = new Set()

  /** @param options as for `program` */
  constructor(file, options) {
    this.#file = file
    this.#options = options
  }

  #prepare() {
    return program(this.#file, this.#options)
  }

  /** Starts a life with this order. Resolves when it is ready (`up` is what it said), or has ended before that (`null`). */
  async begin(order) {
    const life = this.#spare ?? this.#prepare()
    this.#spare = null
    const killed = life.said((message) => message.killed)
    const ready = life.said((message) => message.ready)
    life.tell(order)
    const up = await Promise.race([ready, life.ended.then(() => null)])
    this.#spare = this.#prepare()
    return { life, killed, up }
  }

  /**
   * The end of a life: what killed it, or null when it had to be helped from outside, which it is after `afterMs`.
   * `politely`: asked with SIGTERM first, and given so many milliseconds. `onGone` is called at once when it has ended.
   */
  async end({ life, killed }, { afterMs = LIFE_MS, politely = 0, onGone = () => {} } = {}) {
    let gone = await within(life.ended, afterMs)
    const aimed = gone !== null
    if (!aimed) {
      if (politely) {
        life.child.kill('SIGTERM')
        await within(life.ended, politely)
      }
      life.child.kill('SIGKILL')
      gone = await life.ended
    }
    onGone()
    const said = await killed
    for (const line of life.errors.split('\n'))
      if (/^\S*Error\b|^\S*Error:/.test(line)) this.complaints.add(line.slice(0, 200))
    if (said === null && aimed && gone.signal !== 'SIGKILL')
      throw new Error(`The server died of itself (${gone.signal ?? `exit ${gone.code}`}):\n${life.errors}`)
    return said
  }

  close() {
    this.#spare?.child.kill('SIGKILL')
    this.#spare = null
  }
}
