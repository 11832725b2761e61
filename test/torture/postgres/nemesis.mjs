/**
 * The faults. Each is drawn from the seed before it is done, so that the same seed does the same things in the same order,
 * lane by lane: what happens to processes, to lines and to the database or Redis happens at the same time. Those that last
 * go on in the background until they are over or the round is healed.
 */
import { sleep, within } from '../lib/common.mjs'
import { LEASE_MS } from '../lib/leases.mjs'
import { WINDOWS } from './windows.mjs'

/** How long a fault waits for its moment. */
const PATIENCE_MS = 2500
/** The same for a kill, which then happens wherever the process is. */
const AIM_MS = 1200
/** How long it waits for a process that is up. */
const UP_MS = 10_000

/** The nth of those that are up and not aimed at; waits for one. */
async function running(slots, n) {
  for (const until = Date.now() + UP_MS; ; await sleep(20)) {
    const up = slots.filter((slot) => slot.ready && !slot.stopped && !slot.aimedAt)
    if (up.length > 0) return up[n % up.length]
    if (Date.now() > until) return null
  }
}
const anySlot = (cast, n) => cast.slots[n % cast.slots.length]

function drawWindow(r, how) {
  const role = how === 'stop' || r.happens(0.7) ? 'worker' : 'api'
  const window = r.pick(Object.keys(WINDOWS[role]))
  return { role, window, n: r.int(0, 11), countdown: r.int(1, 4), awayMs: r.int(0, 1500) }
}

/** Arms a window in one process; what it does there happens in its own good time. A stop whose moment does not come is left out. */
async function aim(cast, { role, window, n, countdown, awayMs }, how) {
  const slot = await running(cast.of(role), n)
  if (slot === null) return 'not up'
  const { life } = slot
  slot.awayMs = awayMs
  slot.aimedAt = true
  const reached = life.said((message) => message.reached)
  life.tell({ arm: { points: WINDOWS[role][window], countdown, how } })
  const message = await within(reached, how === 'kill' ? AIM_MS : PATIENCE_MS)
  slot.aimedAt = false
  if (message === null && how === 'kill' && slot.life === life) return cast.kill(slot, awayMs)
  if (message === null) {
    life.tell({ arm: null })
    return 'not reached'
  }
  if (how === 'stop') slot.stopped = true
  return { slot, life, at: `${role}: ${window}`, point: message.reached }
}

/** By lane: how many go on at the same time. */
const LANES = { processes: 3, lines: 1, services: 1 }

/** `counts`: what the demand on a long run counts it as. */
export const FAULTS = {
  'killed in a window': {
    lane: 'processes',
    counts: 'kills of processes',
    weight: 40,
    draw: (r) => drawWindow(r, 'kill'),
    run: (cast, params) => aim(cast, params, 'kill'),
  },
  'stopped in a window, for two leases': {
    lane: 'processes',
    weight: 6,
    draw: (r) => ({ ...drawWindow(r, 'stop'), forMs: 2 * LEASE_MS + r.int(0, 1500) }),
    async run(cast, params) {
      const hit = await aim(cast, params, 'stop')
      if (hit.life) later(cast, params.forMs, () => cast.go(hit.slot, hit.life))
      return hit
    },
  },
  'killed at any moment': {
    lane: 'processes',
    counts: 'kills of processes',
    weight: 20,
    draw: (r) => ({ n: r.int(0, 59), awayMs: r.int(0, 2000) }),
    async run(cast, { n, awayMs }) {
      const slot = await running(cast.slots, n)
      if (slot === null) return 'not up'
      cast.kill(slot, awayMs)
    },
  },
  'worker stopped for two leases': {
    lane: 'processes',
    weight: 6,
    draw: (r) => ({ n: r.int(0, 11), forMs: 2 * LEASE_MS + r.int(0, 2000) }),
    async run(cast, { n, forMs }) {
      const slot = await running(cast.of('worker'), n)
      if (slot === null) return 'not up'
      const { life } = slot
      cast.stop(slot)
      later(cast, forMs, () => cast.go(slot, life))
    },
  },
  'server stopped for a while': {
    lane: 'processes',
    weight: 3,
    draw: (r) => ({ n: r.int(0, 11), forMs: r.int(200, 3000) }),
    async run(cast, { n, forMs }) {
      const slot = await running(cast.of('api'), n)
      if (slot === null) return 'not up'
      const { life } = slot
      cast.stop(slot)
      later(cast, forMs, () => cast.go(slot, life))
    },
  },
  'PostgreSQL killed (F28)': {
    lane: 'services',
    counts: 'kills of PostgreSQL',
    weight: 4,
    draw: (r) => ({ awayMs: r.pick([0, 300, 2500]) }),
    run: (cast, { awayMs }) => database(cast, 'kill', awayMs),
  },
  'PostgreSQL crashed (F29)': {
    lane: 'services',
    counts: 'kills of PostgreSQL',
    weight: 2,
    draw: (r) => ({ awayMs: r.pick([0, 500]) }),
    run: (cast, { awayMs }) => database(cast, 'crash', awayMs),
  },
  'PostgreSQL restarted': { lane: 'services', weight: 2, draw: () => ({}), run: (cast) => database(cast, 'fast', 0) },
  'PostgreSQL frozen (F30)': {
    lane: 'services',
    weight: 3,
    draw: (r) => ({ forMs: r.pick([500, 2500, 1.6 * LEASE_MS]) }),
    async run(cast, { forMs }) {
      cast.server.signal('SIGSTOP')
      await sleep(forMs)
      cast.server.signal('SIGCONT')
    },
  },
  'backends ended (F25)': {
    lane: 'services',
    weight: 4,
    draw: (r) => ({ part: r.pick([1, 2, 5]) }),
    run: (cast, { part }) =>
      sql(cast, (client) =>
        client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'untildone' and pid % ${part} = 0`,
        ),
      ),
  },
  'table locked (F35)': {
    lane: 'services',
    weight: 3,
    draw: (r) => ({ table: r.pick(['live', 'steps', 'workers', 'history']), forMs: r.int(300, 3000) }),
    run: (cast, { table, forMs }) =>
      sql(cast, async (client) => {
        await client.query(`begin; set local lock_timeout = '1s'; lock table ${table} in exclusive mode`)
        await sleep(forMs)
        await client.query('rollback')
      }),
  },
  'line cut': {
    lane: 'lines',
    counts: 'cuts of lines',
    weight: 7,
    draw: (r) => ({ n: r.int(0, 59) }),
    run: (cast, { n }) => anySlot(cast, n).proxy.cut(),
  },
  'line silent (F82)': {
    lane: 'lines',
    weight: 3,
    draw: (r) => ({ n: r.int(0, 59) }),
    run: (cast, { n }) => anySlot(cast, n).proxy.silence(),
  },
  'line slow (F21, F83)': {
    lane: 'lines',
    weight: 4,
    draw: (r) => ({ n: r.int(0, 59), late: r.int(20, 400), forMs: r.int(1000, 5000) }),
    run(cast, { n, late, forMs }) {
      const { proxy } = anySlot(cast, n)
      proxy.late = late
      later(cast, forMs, () => {
        proxy.late = 0
      })
    },
  },
  'line away (F81)': {
    lane: 'lines',
    counts: 'cuts of lines',
    weight: 4,
    draw: (r) => ({ n: r.int(0, 59), forMs: r.pick([300, 2000, 1.4 * LEASE_MS]) }),
    run(cast, { n, forMs }) {
      const { proxy } = anySlot(cast, n)
      proxy.refusing = true
      proxy.cut()
      later(cast, forMs, () => {
        proxy.refusing = false
      })
    },
  },
  'cut before COMMIT arrives (F27)': {
    lane: 'lines',
    counts: 'cuts of lines',
    weight: 5,
    draw: (r) => ({ n: r.int(0, 59), times: r.int(1, 3) }),
    run: (cast, { n, times }) => onCommit(anySlot(cast, n), 'server', 'commit', 'cut', times),
  },
  'cut before COMMIT is answered (F26)': {
    lane: 'lines',
    counts: 'cuts of lines',
    weight: 8,
    draw: (r) => ({ n: r.int(0, 59), times: r.int(1, 3) }),
    run: (cast, { n, times }) => onCommit(anySlot(cast, n), 'client', 'COMMIT', 'cut', times),
  },
  'silent before COMMIT is answered': {
    lane: 'lines',
    weight: 2,
    draw: (r) => ({ n: r.int(0, 59) }),
    run: (cast, { n }) => onCommit(anySlot(cast, n), 'client', 'COMMIT', 'silence', 1),
  },
}

/** Where word of jobs goes over a Redis. It holds nothing that is true, so none of this may change more than when. */
export const REDIS_FAULTS = {
  'Redis emptied (F44)': {
    lane: 'services',
    counts: 'Redis emptied',
    weight: 6,
    draw: () => ({}),
    run: (cast) =>
      cast.redis.command('FLUSHALL').then(
        () => undefined,
        () => 'refused by Redis',
      ),
  },
  'Redis killed, empty afterwards (F45)': {
    lane: 'services',
    counts: 'Redis emptied',
    weight: 5,
    draw: (r) => ({ awayMs: r.pick([0, 500, 4000]) }),
    async run(cast, { awayMs }) {
      await cast.redis.stop('kill')
      await sleep(awayMs)
      await cast.redis.start()
    },
  },
  'Redis frozen (F48)': {
    lane: 'services',
    weight: 3,
    draw: (r) => ({ forMs: r.pick([500, 3000, 1.6 * LEASE_MS]) }),
    async run(cast, { forMs }) {
      cast.redis.signal('SIGSTOP')
      await sleep(forMs)
      cast.redis.signal('SIGCONT')
    },
  },
}
const ALL = { ...FAULTS, ...REDIS_FAULTS }

const bag = (faults) => Object.entries(faults).flatMap(([name, { weight }]) => new Array(weight).fill(name))

/** The plan of a round. @param names limits the faults: names, or `{ name, params }` with some of what is else drawn */
export function plan(r, count, names = null, transport = null) {
  const from = names ?? bag(transport === null ? FAULTS : ALL)
  return Array.from({ length: count }, () => {
    const picked = r.pick(from)
    const { name, params = {} } = typeof picked === 'string' ? { name: picked } : picked
    return { name, params: { ...ALL[name].draw(r), ...params }, pauseMs: r.int(20, 500) }
  })
}

/** @returns the plan as lists that go on at the same time, each in its order */
export function lanesOf(planned) {
  return Object.entries(LANES).flatMap(([lane, width]) => {
    const faults = planned.filter(({ name }) => ALL[name].lane === lane)
    return Array.from({ length: width }, (_, i) => faults.filter((_, n) => n % width === i))
  })
}

/** How often each kind that is counted was done. @param counts by name, `{ done }` */
export function tally(counts) {
  const sums = {}
  for (const [name, { done }] of counts)
    if (ALL[name].counts) sums[ALL[name].counts] = (sums[ALL[name].counts] ?? 0) + done
  return sums
}

/** Does one fault. @returns what came of it: where it hit, or why it did not */
export async function inflict(cast, { name, params, pauseMs }) {
  const hit = await ALL[name].run(cast, params)
  await sleep(pauseMs)
  return typeof hit === 'string' ? { name, missed: hit } : { name, at: hit?.at ?? null, point: hit?.point ?? null }
}

function later(cast, ms, work) {
  const timer = setTimeout(() => {
    cast.timers.delete(timer)
    work()
  }, ms)
  cast.timers.add(timer)
}

async function database(cast, how, awayMs) {
  await cast.server.stop(how)
  await sleep(awayMs)
  await cast.server.start()
}

async function sql(cast, work) {
  let client
  try {
    client = await cast.connect()
    await work(client)
  } catch {
    return 'refused by the database'
  } finally {
    await client?.end().catch(() => {})
  }
}

async function onCommit({ proxy }, to, text, action, times) {
  for (let i = 0; i < times; i++) {
    const done = await within(
      proxy.when(to, text, action).then(() => true),
      PATIENCE_MS,
    )
    if (done === null) return 'not reached'
  }
}
