/**
 * The cast: a PostgreSQL of its own, servers and workers that each reach it over a line of their own, the clients and the
 * witness. Whoever dies is replaced after a while; whoever dies of itself is a violation.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '../../services/postgres.mjs'
import { startProxy } from '../../services/proxy.mjs'
import { startRedis } from '../../services/redis.mjs'
import { check } from '../checker.mjs'
import { Client } from '../client.mjs'
import { dropFolder, folder, program, sleep } from '../lib/common.mjs'
import { readJournal } from '../lib/journal.mjs'
import { LEASE_MS } from '../lib/leases.mjs'
import { outside } from '../world.mjs'
import { checkMany } from './checker.mjs'
import { connectTo, readStore, unfinished, Watch } from './rows.mjs'

/** Longer than the longest thing that any fault leaves behind: a silent line is given up after this and 5 s more. */
const STATEMENT_MS = 4000
/** L4: after the last fault everything ends within this. */
export const REST_MS = 45_000

export class Cast {
  slots = []
  violations = []
  /** Ends of lives, by what ended them. */
  deaths = 0
  /** What faults that last will do when they are over. */
  timers = new Set()
  #spare = null
  #closing = false

  constructor({ dist, core, name }) {
    this.dist = dist
    this.core = core
    this.dir = folder(name)
    mkdirSync(join(this.dir, 'logs'))
  }

  /** @param transport `bullmq`: word of jobs goes over a Redis of its own */
  async open({ seed, most, only, apis = 2, workers = 3, transport = null }) {
    this.server = await startPostgres({ settings: { log_min_messages: 'warning' } })
    if (transport === 'bullmq') this.redis = await startRedis()
    this.witness = program('witness.mjs', { env: { TORTURE_LEDGER: join(this.dir, 'ledger') } })
    this.witnessUrl = (await this.witness.said((message) => message.ready)).ready
    const receiptOf = async (job, step) => (await this.#ask({ what: 'find', job, step })).receipt
    this.client = new Client(join(this.dir, 'journal'), { seed, most, only, receiptOf })
    const roles = [...new Array(apis).fill('api'), ...new Array(workers).fill('worker')]
    for (const [i, role] of roles.entries()) {
      const proxy = await startProxy({ host: '127.0.0.1', port: this.server.port })
      this.slots.push({ name: `${role}${i}`, role, proxy, life: null, url: null, stopped: false, lives: 0 })
    }
    await Promise.all(this.slots.map((slot) => this.#begin(slot)))
    this.watch = new Watch(this.server.url)
    this.client.start()
    return this
  }

  async #ask(question) {
    const body = JSON.stringify(question)
    return (await fetch(`${this.witnessUrl}/tell`, { method: 'POST', body })).json()
  }

  /** Faults begin: the clients submit, and whoever stands still will be back some time. */
  async resume() {
    await this.#ask({ what: 'calm', calm: false })
    this.client.resume()
  }

  of(role) {
    return this.slots.filter((slot) => slot.role === role)
  }

  #prepare() {
    return program('postgres/victim.mjs', { env: { TORTURE_DIST: this.dist } })
  }

  /** Resolves when the process is ready, or has ended before that. */
  async #begin(slot) {
    const life = this.#spare ?? this.#prepare()
    this.#spare = this.#prepare()
    const log = join(this.dir, 'logs', `${slot.name}-${++slot.lives}.log`)
    life.child.stderr.on('data', (chunk) => {
      appendFileSync(log, chunk)
      this.#complained(slot, String(chunk))
    })
    Object.assign(slot, { life, stopped: false })
    const ready = life.said((message) => message.ready)
    life.tell({
      ...{ role: slot.role, url: slot.proxy.through(this.server.url), witness: this.witnessUrl },
      ...(this.redis ? { redis: this.redis.url } : {}),
      ...{ filesDir: join(this.dir, 'files'), statementTimeoutMs: STATEMENT_MS, patienceMs: 10_000, slots: 8 },
    })
    life.ended.then(({ code, signal }) => this.#ended(slot, life, { code, signal }))
    const up = await Promise.race([ready, life.ended.then(() => null)])
    if (up === null || slot.life !== life) return
    slot.ready = true
    if (slot.role === 'api') slot.url = up.ready
    this.#lines()
  }

  /** What a fault does to the store has a name; whatever has none is a mistake of ours. */
  #complained({ name }, said) {
    const [text] = /(The store failed: |TypeError: |ReferenceError: ).*/.exec(said) ?? []
    if (text === undefined || this.violations.some((before) => before.text.endsWith(text))) return
    this.violations.push({ invariant: 'internal', job: null, text: `${name} printed: ${text}` })
  }

  #ended(slot, life, { code, signal }) {
    if (slot.life !== life) return
    Object.assign(slot, { life: null, url: null, ready: false, stopped: false })
    this.#lines()
    if (this.#closing) return
    this.deaths++
    if (signal !== 'SIGKILL') {
      const text = `${slot.name} died of itself (${signal ?? `exit ${code}`}): ${life.errors.slice(-1500)}`
      this.violations.push({ invariant: 'process', job: null, text })
    }
    setTimeout(() => this.#closing || void this.#begin(slot), slot.awayMs ?? 100)
  }

  /** The clients ask whoever lives. */
  #lines() {
    const urls = this.slots.map(({ url }) => url).filter(Boolean)
    if (urls.length > 0) this.client.up(urls)
    else this.client.down()
  }

  kill(slot, awayMs) {
    slot.awayMs = awayMs
    slot.life?.child.kill('SIGKILL')
  }

  stop(slot) {
    if (!slot.life || slot.stopped) return
    slot.stopped = true
    slot.life.child.kill('SIGSTOP')
  }

  go(slot, life = slot.life) {
    if (slot.life !== life || life === null) return
    slot.stopped = false
    life.child.kill('SIGCONT')
  }

  /** Everybody is up, every line is whole. What hangs on a silent line must find out by itself. */
  async heal() {
    this.#forget()
    this.server.signal('SIGCONT')
    if (this.server.process === null) await this.server.start()
    this.redis?.signal('SIGCONT')
    for (const slot of this.slots) {
      Object.assign(slot.proxy, { late: 0, refusing: false })
      if (slot.stopped) this.go(slot)
      slot.life?.tell({ arm: null })
    }
    for (const until = Date.now() + 30_000; Date.now() < until && !this.slots.every(({ ready }) => ready); )
      await sleep(50)
    await this.#ask({ what: 'calm', calm: true })
  }

  /** Resolves when all faults that last are over. */
  async faultsOver() {
    while (this.timers.size > 0) await sleep(50)
  }

  #forget() {
    for (const timer of this.timers) clearTimeout(timer)
    this.timers.clear()
  }

  /** Heals, lets everything come to its end, reads it all once more, and judges. */
  async judge({ restMs = REST_MS } = {}) {
    this.client.stopSubmitting()
    await this.heal()
    const healed = Date.now()
    const restless = []
    const open = async () => this.client.quiet && (await unfinished(this.server.url).catch(() => 1)) === 0
    while (!(await open()) && Date.now() < healed + restMs) await sleep(50)
    const restedMs = Date.now() - healed
    if (!this.client.quiet) {
      const text = `${this.client.pending.size} jobs and ${this.client.inFlight} requests had not come to rest after ${restMs} ms`
      restless.push({ invariant: 'L4', job: null, text })
    } else await this.client.rereadAll()
    // What follows an end (duties, telling) has its moment.
    let read = await readStore(this.server.url)
    for (const until = Date.now() + 10_000; read.store.left.length > 0 && Date.now() < until; ) {
      await sleep(300)
      read = await readStore(this.server.url)
    }
    const journal = readJournal(join(this.dir, 'journal'))
    const ledger = readJournal(join(this.dir, 'ledger'))
    const { store, tables } = read
    const lies = [...this.client.lies, ...restless, ...this.violations, ...this.watch.found]
    const verdict = check({ journal, ledger, lies, store, core: this.core })
    verdict.violations.push(...checkMany({ journal, ledger, store, workers: tables.workers, leaseMs: LEASE_MS }))
    if (verdict.violations.length > 0) this.#keep(tables, verdict.violations)
    return { ...verdict, ...outside(ledger), rescues: rescues(tables), restedMs }
  }

  #keep(tables, violations) {
    writeFileSync(join(this.dir, 'store.json'), JSON.stringify(tables, null, 1))
    writeFileSync(join(this.dir, 'violations.json'), JSON.stringify(violations, null, 1))
    writeFileSync(join(this.dir, 'logs', 'postgres.log'), this.server.log)
  }

  /** A connection past all lines, for faults that are made in SQL. */
  connect() {
    return connectTo(this.server.url)
  }

  async close({ keep = false } = {}) {
    this.#closing = true
    this.#forget()
    this.server.signal('SIGCONT')
    await this.watch?.close()
    for (const { life } of this.slots) life?.child.kill('SIGKILL')
    this.#spare?.child.kill('SIGKILL')
    await this.client.stop()
    await Promise.all(this.slots.map(({ proxy }) => proxy.close()))
    this.witness.child.stdin.end()
    await this.witness.ended
    await this.server.remove()
    this.redis?.signal('SIGCONT')
    await this.redis?.remove()
    if (!keep) dropFolder(this.dir)
  }
}

function rescues({ history }) {
  return history.filter(({ event }) => event === 'leaseExpired').length
}
