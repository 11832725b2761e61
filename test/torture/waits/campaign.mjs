/**
 * Thousands who wait at once while jobs end at random, lines break and the server is restarted and killed. Everybody must
 * be told the end, once, in order, and truly.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { chance, dropFolder, folder, program, progress, sleep } from '../lib/common.mjs'
import { Line } from '../lib/line.mjs'
import { Lives } from '../lib/lives.mjs'

/** Of clients, and of lines between them and the server. */
const PROCESSES = 3
const GROUP = 4
const JOBS_PER_WAIT = 0.4
/** Who waits how, of a hundred. */
const MIX = { poll: 30, watch: 40, group: 15, socket: 15 }
/** So long nothing may happen while everybody takes their place. */
const OPEN_MS = 60_000
/** And while the last are told: a line that fell silent without being closed is noticed after 45 s; then comes the way back. */
const REST_MS = 120_000
/** Jobs that end at a time. */
const AT_ONCE = 8
/** So long it takes until all have been told to end, at least. */
const ENDING_MS = { short: 4000, long: 30_000 }

/** How many can wait at once with the files that a process may have open; a line holds two for each client. */
export function mostWaits() {
  const said = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  const files = said === 'unlimited' ? Number.POSITIVE_INFINITY : Number(said)
  return { files: said, waits: Math.max(0, Math.min(files - 500, Math.floor(((files - 500) * PROCESSES) / 2))) }
}

/** @param silent of a hundred lines that break so many fall silent instead of being closed */
export async function waits({ dist, short, count, kills, restarts, silent, seed }) {
  const r = chance(seed)
  const hall = new Hall({ dist, silent, seed })
  let violations = []
  try {
    await hall.open()
    const groups = await hall.submitAll(Math.ceil((count * JOBS_PER_WAIT) / GROUP))
    hall.seat(planOf(groups, count, r), { never: Math.ceil(count / 1000), seed })
    await hall.reach(
      count,
      () => hall.armed,
      OPEN_MS,
      (n) => `${n} of ${count} wait; not yet: ${hall.coming}`,
    )
    const { held } = await hall.health()
    const load = new Load(hall.line, r.fork())
    const deaths = shuffled([...new Array(kills).fill('kill'), ...new Array(restarts).fill('restart')], r)
    const endingMs = short ? ENDING_MS.short : ENDING_MS.long
    const ids = groups.flatMap((group) => group.ids)
    await hall.endAll(shuffled(ids, r), { deaths, endingMs, r, count })
    hall.calm()
    const rest = hall.reach(
      count,
      () => hall.told,
      REST_MS,
      (n) => `${n} of ${count} have been told`,
    )
    // Who is missing is for the judge to say.
    await rest.catch(() => {})
    const submitted = await load.stop()
    const { rssMb } = await hall.health()
    const seen = await hall.finish()
    violations = seen.violations
    return {
      ...seen,
      told: hall.told,
      held,
      rssMb,
      submitted,
      jobs: groups.length * GROUP,
      complaints: hall.complaints,
    }
  } finally {
    await hall.close({ keep: violations.length > 0 })
  }
}

/** The cast: one server at a time, three bad lines to it, and behind each line a process full of people who wait. */
class Hall {
  line = new Line()
  #dir = folder('waits')
  #lives
  #life
  #proxies
  #waiters
  #urls
  #counts = []

  constructor({ dist, silent, seed }) {
    const env = { TORTURE_DIST: dist }
    this.#lives = new Lives('telling/victim.mjs', { env })
    const line = (i) => ({ TORTURE_SILENT: String(silent), TORTURE_SEED: String(seed + i) })
    this.#proxies = each((i) => program('waits/proxy.mjs', { env: line(i) }))
    this.#waiters = each((i) =>
      program('waits/waiter.mjs', {
        env,
        onSay: ({ counts }) => {
          if (counts) this.#counts[i] = counts
        },
      }),
    )
  }

  get armed() {
    return sum(this.#counts, 'armed')
  }
  /** Names of some who do not wait yet. */
  get coming() {
    return this.#counts.flatMap(({ coming }) => coming).join(', ')
  }
  get told() {
    return sum(this.#counts, 'told')
  }
  get complaints() {
    return [...this.#lives.complaints]
  }

  async open() {
    const ready = ({ ready }) => ready
    this.#urls = await Promise.all(this.#proxies.map(async (proxy) => (await proxy.said(ready)).ready))
    await this.#begin()
  }

  async #begin() {
    const limits = { streams: 1_000_000, streamsPerKey: 1_000_000 }
    this.#life = await this.#lives.begin({ dir: join(this.#dir, 'data'), slots: 64, limits })
    if (this.#life.up === null) throw new Error(`The server did not start:\n${this.#life.life.errors}`)
    const { ready } = this.#life.up
    for (const proxy of this.#proxies) proxy.tell({ port: Number(new URL(ready).port) })
    this.line.up(ready)
  }

  /** The server goes, and another one comes after a while. */
  async die({ politely, pauseMs }) {
    const onGone = () => {
      this.line.down()
      for (const proxy of this.#proxies) proxy.tell({ port: 0 })
    }
    await this.#lives.end(this.#life, { afterMs: 0, politely: politely ? 15_000 : 0, onGone })
    await sleep(pauseMs)
    await this.#begin()
  }

  /** Jobs in groups, all of them waiting for a word. */
  async submitAll(groups) {
    const made = Array.from({ length: groups }, (_, i) => ({ groupId: `g${i}`, ids: [] }))
    for (let at = 0; at < groups; at += 50) {
      const some = made.slice(at, at + 50)
      const items = some.flatMap(({ groupId }) =>
        Array.from({ length: GROUP }, () => ({ type: 'told.onWord', input: { groupId }, groupId })),
      )
      const headers = { 'idempotency-key': `batch-${at}` }
      const answer = await this.line.insist('POST', '/v1/jobs/batch', { body: { items }, headers })
      if (answer.status !== 202)
        throw new Error(`The batch was answered ${answer.status}: ${JSON.stringify(answer.json)}`)
      for (const [i, { id }] of answer.json.items.entries()) some[Math.floor(i / GROUP)].ids.push(id)
    }
    return made
  }

  /** Everybody takes their place. */
  seat(plan, { never, seed }) {
    for (const [i, waiter] of this.#waiters.entries()) {
      const waits = plan.filter((_, n) => n % PROCESSES === i)
      waiter.tell({ url: this.#urls[i], seed: seed + i, waits, never })
    }
  }

  /** Until it is `count` of them; fails when it does not become more for `patienceMs`. */
  async reach(count, number, patienceMs, what) {
    for (let n = number(), since = Date.now(); n < count; ) {
      await sleep(50)
      if (number() > n) {
        n = number()
        since = Date.now()
      } else if (Date.now() - since > patienceMs) throw new Error(`For ${patienceMs} ms no more than ${what(n)}.`)
      progress(() => what(n))
    }
  }

  /** Tells every job to end, and lets the server die in between. */
  async endAll(ids, { deaths, endingMs, r, count }) {
    const total = ids.length
    const every = Math.ceil(total / (deaths.length + 1))
    const pauseMs = endingMs / (total / AT_ONCE)
    for (let at = 0, died = 0; at < total; at += AT_ONCE) {
      const ending = Promise.all(ids.slice(at, at + AT_ONCE).map((id) => this.#endJob(id, r)))
      if (died < deaths.length && at >= every * (died + 1)) {
        // In the middle of what is being said.
        await sleep(r.int(0, 40))
        await this.die({ politely: deaths[died] === 'restart', pauseMs: r.int(0, 500) })
        died++
      }
      await ending
      await sleep(pauseMs * 2 * r.next())
      progress(() => `${at} of ${total} jobs were told to end, ${this.told} of ${count} who wait have been told`)
    }
  }

  async #endJob(id, r) {
    const x = r.next()
    const cancel = x < 0.1
    const answer = cancel
      ? await this.line.insist('POST', `/v1/jobs/${id}/cancel`, { body: { reason: 'not needed' } })
      : await this.line.insist('POST', `/v1/jobs/${id}/signals/end`, {
          body: { payload: { how: x < 0.3 ? 'failed' : 'completed' }, signalId: 'end' },
        })
    // Asked again after a death it may have ended already.
    if (answer.status >= 300 && answer.json?.code !== 'job-already-done')
      throw new Error(`The end of ${id} was answered ${answer.status}: ${JSON.stringify(answer.json)}`)
  }

  /** The lines break no more; those that are silent stay so. */
  calm() {
    for (const proxy of this.#proxies) proxy.tell({ bad: false })
  }

  async health() {
    return (await ask(this.#life.life, { held: true }, ({ held }) => held !== undefined)) ?? {}
  }

  /** What everybody has to say. */
  async finish() {
    const reports = await Promise.all(
      this.#waiters.map(async (waiter) => (await ask(waiter, { finish: true }, ({ finished }) => finished)).finished),
    )
    const lines = await Promise.all(
      this.#proxies.map(async (proxy) => (await ask(proxy, { counts: true }, ({ counts }) => counts)).counts),
    )
    const counts = reports.map((one) => one.counts)
    return {
      violations: reports.flatMap((one) => one.violations),
      found: sum(reports, 'found'),
      lags: Object.fromEntries(
        Object.keys(MIX).map((kind) => [kind, spread(reports.flatMap(({ lags }) => lags[kind]))]),
      ),
      ...{ dropped: sum(counts, 'dropped'), lost: sum(counts, 'lost') },
      ...{ opened: sum(lines, 'opened'), cut: sum(lines, 'cut'), silenced: sum(lines, 'silenced') },
    }
  }

  async close({ keep }) {
    this.#lives.close()
    this.line.close()
    for (const { child } of [...this.#waiters, ...this.#proxies]) child.kill('SIGKILL')
    this.#life?.life.child.kill('SIGKILL')
    if (!keep) dropFolder(this.#dir)
  }
}

/** Short jobs that nobody waits for, besides. */
class Load {
  #going = true
  #submitted = 0
  #loop

  constructor(line, r) {
    this.#loop = this.#submit(line, r)
  }

  async #submit(line, r) {
    while (this.#going) {
      const script = r.pick(['complete', 'fail', 'transient', 'slow'])
      const body = { type: 'told.small', input: { script, waitMs: r.int(1, 50) } }
      const answer = await line.insist('POST', '/v1/jobs', { body })
      if (answer?.status === 202) this.#submitted++
      await sleep(r.int(5, 40))
    }
  }

  async stop() {
    this.#going = false
    await this.#loop
    return this.#submitted
  }
}

/** Who waits for what: each job has somebody, most have several, and of different kinds. */
function planOf(groups, count, r) {
  const ids = shuffled(
    groups.flatMap((group) => group.ids),
    r,
  )
  const kinds = Object.entries(MIX).flatMap(([kind, weight]) => new Array(weight).fill(kind))
  return Array.from({ length: count }, (_, i) => {
    const kind = r.pick(kinds)
    const slow = r.happens(0.1)
    const ofGroup = kind === 'group' || (kind === 'socket' && r.happens(0.5))
    return ofGroup ? { kind, slow, ...r.pick(groups) } : { kind, slow, ids: [ids[i % ids.length]] }
  })
}

function shuffled(list, r) {
  const left = [...list]
  return left.map((_, i) => {
    const at = r.int(i, left.length - 1)
    const one = left[at]
    left[at] = left[i]
    left[i] = one
    return one
  })
}

const each = (make) => Array.from({ length: PROCESSES }, (_, i) => make(i))
const sum = (list, key) => list.reduce((all, one) => all + (one?.[key] ?? 0), 0)

/** Median, p99 and maximum. */
function spread(values) {
  const sorted = values.sort((a, b) => a - b)
  return [0.5, 0.99, 1].map((q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0)
}

function ask(process, order, which) {
  const said = process.said(which)
  process.tell(order)
  return said
}
