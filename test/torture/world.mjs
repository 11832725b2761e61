/**
 * The cast of one torture: a folder with a database, the witness, the clients, and one life of the server after another.
 * Each life gets one window armed; the next process is started in advance and waits, so that death costs little time.
 */
import { join } from 'node:path'
import { check } from './checker.mjs'
import { Client } from './client.mjs'
import { dropFolder, folder, program, sleep, within } from './lib/common.mjs'
import { readJournal } from './lib/journal.mjs'
import { readStore } from './tables.mjs'

/** Longest a life may take until its armed window is reached. */
const LIFE_MS = 15_000
/** L4: after the last fault everything ends within this; losses wait 5 s at most, deadlines 3 s. */
export const REST_MS = 40_000

export class World {
  #dist
  #core
  #spare = null
  #witness
  #witnessUrl
  #bug
  skewMs = 0
  suspends = 0
  /** Errors that a life printed although nothing asked for them. */
  complaints = new Set()

  constructor({ dist, core, name, bug = null }) {
    this.#dist = dist
    this.#core = core
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

  #prepare() {
    return program('victim/main.mjs', { env: { TORTURE_DIST: this.#dist }, onSay: (message) => this.#heard(message) })
  }

  #heard({ suspended }) {
    if (!suspended) return
    this.skewMs += suspended
    this.suspends++
  }

  /** Starts a life. Resolves when it is ready, or has ended before that. */
  async begin(arm = null) {
    const life = this.#spare ?? this.#prepare()
    this.#spare = null
    const killed = life.said((message) => message.killed)
    const ready = life.said((message) => message.ready)
    life.tell({ dir: join(this.dir, 'data'), witness: this.#witnessUrl, arm, bug: this.#bug, skewMs: this.skewMs })
    const up = await Promise.race([ready, life.ended.then(() => null)])
    if (up !== null) this.client.up(up.ready, this.skewMs)
    this.#spare = this.#prepare()
    return { life, killed, up: up !== null }
  }

  /** The end of a life: what killed it. `from outside` when it had to be helped. */
  async end({ life, killed }, { afterMs = LIFE_MS, politely = false } = {}) {
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
    this.client.down()
    const said = await killed
    this.#complain(life.errors)
    if (said === null && aimed && gone.signal !== 'SIGKILL')
      throw new Error(`The server died of itself (${gone.signal ?? `exit ${gone.code}`}):\n${life.errors}`)
    return said
  }

  #complain(errors) {
    for (const line of errors.split('\n'))
      if (/^\S*Error\b|^\S*Error:/.test(line)) this.complaints.add(line.slice(0, 200))
  }

  /** One life that ends in the armed window; false when the window was not reached. */
  async killIn(arm, { suspend = false } = {}) {
    const life = await this.begin(arm)
    if (suspend && life.up) life.life.tell({ suspend: this.suspends % 2 })
    return (await this.end(life)) ?? null
  }

  /** One life that is killed from outside after `afterMs`. */
  async killAfter(afterMs, { suspend = false, politely = 0 } = {}) {
    const life = await this.begin()
    if (suspend && life.up) life.life.tell({ suspend: this.suspends % 2 })
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
    this.#spare?.child.kill('SIGKILL')
    await this.client.stop()
    this.#witness.child.stdin.end()
    await this.#witness.ended
    if (!keep) dropFolder(this.dir)
  }
}

/** What the witness saw: effects, repeats of them, and attempts that went on after another one had begun. */
function outside(ledger) {
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
