/**
 * The cast of one torture: a folder with a database, the witness, the clients, and one life of the server after another.
 * Each life gets one window armed; the next process is started in advance and waits, so that death costs little time.
 */
import { join } from 'node:path'
import { check } from './checker.mjs'
import { Client } from './client.mjs'
import { dropFolder, folder, program, sleep } from './lib/common.mjs'
import { readJournal } from './lib/journal.mjs'
import { Lives } from './lib/lives.mjs'
import { readStore } from './tables.mjs'

/** L4: after the last fault everything ends within this; losses wait 5 s at most, deadlines 3 s. */
export const REST_MS = 40_000

export class World {
  #core
  #lives
  #witness
  #witnessUrl
  #bug
  skewMs = 0
  suspends = 0

  constructor({ dist, core, name, bug = null }) {
    this.#core = core
    this.#lives = new Lives('victim/main.mjs', {
      env: { TORTURE_DIST: dist },
      onSay: (message) => this.#heard(message),
    })
    this.#bug = bug
    this.dir = folder(name)
  }

  async open(clientOptions) {
    this.#witness = program('witness.mjs', { env: { TORTURE_LEDGER: join(this.dir, 'ledger') } })
    const { ready } = await this.#witness.said((message) => message.ready)
    this.#witnessUrl = ready
    this.client = new Client(join(this.dir, 'journal'), clientOptions)
    return this
  }

  #heard({ suspended }) {
    if (!suspended) return
    this.skewMs += suspended
    this.suspends++
  }

  /** Errors that a life printed although nothing asked for them. */
  get complaints() {
    return this.#lives.complaints
  }

  /** Starts a life. Resolves when it is ready, or has ended before that. */
  async begin(arm = null) {
    const order = { dir: join(this.dir, 'data'), witness: this.#witnessUrl, arm, bug: this.#bug, skewMs: this.skewMs }
    const life = await this.#lives.begin(order)
    if (life.up !== null) this.client.up(life.up.ready, this.skewMs)
    return life
  }

  /** The end of a life: what killed it. Null when it had to be helped from outside. */
  end(life, how) {
    return this.#lives.end(life, { ...how, onGone: () => this.client.down() })
  }

  /** One life that ends in the armed window; false when the window was not reached. */
  async killIn(arm, { suspend = false } = {}) {
    const life = await this.begin(arm)
    if (suspend && life.up !== null) life.life.tell({ suspend: this.suspends % 2 })
    return this.end(life)
  }

  /** One life that is killed from outside after `afterMs`. */
  async killAfter(afterMs, { suspend = false, politely = 0 } = {}) {
    const life = await this.begin()
    if (suspend && life.up !== null) life.life.tell({ suspend: this.suspends % 2 })
    await this.end(life, { afterMs, politely })
  }

  /** One life in which a worker falls asleep over its jobs; it ends when `enough()` or after `mostMs`. */
  async sleepIn(enough, mostMs) {
    const life = await this.begin()
    const until = Date.now() + mostMs
    while (Date.now() < until && this.client.running < 4) await sleep(10)
    life.life.tell({ suspend: this.suspends % 2 })
    while (Date.now() < until && !enough()) await sleep(20)
    await this.end(life, { afterMs: 0 })
  }

  /** Heals, lets everything come to its end, reads it all once more, kills a last time and judges. */
  async judge({ restMs = REST_MS } = {}) {
    this.client.stopSubmitting()
    const life = await this.begin()
    const until = Date.now() + restMs
    while (!this.client.quiet && Date.now() < until) await sleep(10)
    const restless = this.client.quiet
      ? []
      : [
          {
            invariant: 'L4',
            job: null,
            text: `${this.client.pending.size} jobs and ${this.client.inFlight} requests had not come to rest after ${restMs} ms`,
          },
        ]
    if (restless.length === 0) await this.client.rereadAll()
    await this.end(life, { afterMs: 0 })
    const facts = {
      journal: readJournal(join(this.dir, 'journal')),
      ledger: readJournal(join(this.dir, 'ledger')),
      lies: [...this.client.lies, ...restless],
      store: readStore(this.#core.Database, join(this.dir, 'data', 'jobs.db')),
      core: this.#core,
    }
    return { ...check(facts), ...outside(facts.ledger) }
  }

  async close({ keep = false } = {}) {
    this.#lives.close()
    await this.client.stop()
    this.#witness.child.stdin.end()
    await this.#witness.ended
    if (!keep) dropFolder(this.dir)
  }
}

/** What the witness saw: effects, repeats of them, and attempts that went on after another one had begun. */
export function outside(ledger) {
  const latest = new Map()
  const stale = new Set()
  let effects = 0
  let repeated = 0
  for (const entry of ledger) {
    if (entry.what === 'effect') effects++
    if (entry.repeated) repeated++
    const before = latest.get(entry.job) ?? 0
    if (entry.attempt < before) stale.add(`${entry.job} ${entry.attempt}`)
    latest.set(entry.job, Math.max(before, entry.attempt))
  }
  return { effects, repeated, stale: stale.size }
}
