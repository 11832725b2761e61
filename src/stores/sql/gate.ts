/**
 * The gate of a claim: which of the ready jobs that have limits may start now. It has the last word on every limit; what
 * may not start leaves the index of the claim, so that no claim meets it again before its time has come.
 */
import { type JobRecord, type LiveJob, TIES } from '../../core/job.js'
import { afterStart, startAt, turnOf } from '../../core/limits.js'
import { AHEAD_MS, giveNext, heldValues, INSERT_HELD, LIMITS, namesOf, setHeld } from './limits.js'
import { each, hold, type Plan, put, type Value } from './plan.js'
import type { Tx } from './tx.js'

/** A ready job as the scan found it. */
export interface Found {
  live: LiveJob
  record: JobRecord
}

interface Starts {
  due: number
  /** Jobs that were told when they may start. */
  granted: number
  waiting: boolean
}

const USED = 'select count(*) as n from slots where name = ?1'
const HOLDER = 'select job_id from turns where name = ?1 and has = 1'
const STARTS = `select (select due from buckets where name = ?1) as due,
  (select count(*) from held where name = ?1 and granted = 1) as granted, (select count(*) from (select 1 from held where name = ?1 and granted = 0 limit 1) w) as waiting`

export class Gate {
  private readonly heldIds = new Set<string>()
  private readonly used = new Map<string, number>()
  private readonly holders = new Map<string, string | undefined>()
  private readonly starts = new Map<string, Starts>()
  /** The name under which a granted job was granted. */
  private readonly places = new Map<string, string>()
  private readonly spent = new Set<string>()
  private aside: { live: LiveJob; set: Partial<LiveJob> }[] = []
  private left: Value[][] = []
  private joined: Value[][] = []
  private slots: Value[][] = []
  /** Names whose next one may be granted a place, with a turn. */
  private given: [name: string, turn: number][] = []

  constructor(private readonly tx: Tx) {}

  /** How many jobs were put aside. */
  get held(): number {
    return this.heldIds.size
  }

  putsAside(id: string): boolean {
    return this.heldIds.has(id)
  }

  *admit<F extends Found>(found: readonly F[]): Plan<readonly F[]> {
    const bound = found.filter(isBound)
    if (bound.length === 0) return found
    yield* hold([LIMITS], this.tx.dialect)
    yield* this.load(bound)
    const admitted = found.filter((one) => !isBound(one) || this.judge(one))
    yield* this.write()
    return admitted
  }

  private *load(bound: readonly Found[]): Plan<void> {
    const fresh = { concurrency: new Set<string>(), order: new Set<string>(), rate: new Set<string>() }
    const known = { concurrency: this.used, order: this.holders, rate: this.starts }
    for (const { record } of bound) {
      const names = namesOf(record, record.options.limits ?? {})
      for (const kind of ['concurrency', 'order', 'rate'] as const)
        if (names[kind] !== undefined && !known[kind].has(names[kind])) fresh[kind].add(names[kind])
    }
    yield* this.loadNames(fresh)
    const granted = bound.filter(({ live }) => live.held === 'granted')
    const places = yield* each<{ name: string }>(
      'select name from held where job_id = ?1',
      granted.map(({ live }) => [live.id]),
    )
    for (const [i, { live }] of granted.entries()) if (places[i]) this.places.set(live.id, places[i].name)
  }

  private *loadNames(fresh: Record<'concurrency' | 'order' | 'rate', ReadonlySet<string>>): Plan<void> {
    const [concurrency, order, rate] = [[...fresh.concurrency], [...fresh.order], [...fresh.rate]]
    const params = (names: readonly string[]) => names.map((name) => [name])
    const used = yield* each<{ n: number }>(USED, params(concurrency))
    for (const [i, name] of concurrency.entries()) this.used.set(name, Number(used[i]!.n))
    const holders = yield* each<{ job_id: string }>(HOLDER, params(order))
    for (const [i, name] of order.entries()) this.holders.set(name, holders[i]?.job_id)
    const starts = yield* each(STARTS, params(rate))
    for (const [i, name] of rate.entries()) {
      const { due, granted, waiting } = starts[i]!
      this.starts.set(name, { due: due ?? 0, granted: Number(granted), waiting: Number(waiting) > 0 })
    }
  }

  private judge(one: Found): boolean {
    const { live, record } = one
    const limits = record.options.limits ?? {}
    const { order, concurrency, rate } = namesOf(record, limits)
    const numbers = this.tx.numbers?.(record.type)
    if (order !== undefined) {
      const holder = this.holders.get(order)
      if (holder !== undefined && holder !== live.id) return this.hold(one, 'order', null)
    }
    if (concurrency !== undefined) {
      const limit = numbers?.concurrency ?? limits.concurrency!.limit
      if (this.used.get(concurrency)! >= limit) return this.hold(one, 'concurrency', concurrency)
    }
    if (rate !== undefined && !this.mayStart(one, rate)) return false
    if (concurrency !== undefined) {
      this.used.set(concurrency, this.used.get(concurrency)! + 1)
      this.slots.push([concurrency, live.id])
    }
    if (live.held === 'granted') this.left.push([live.id])
    return true
  }

  private mayStart(one: Found, name: string): boolean {
    const { now } = this.tx
    const { live, record } = one
    const starts = this.starts.get(name)!
    const rate = this.tx.numbers?.(record.type)?.rate ?? record.options.limits!.rate!
    const at = startAt(starts.due, now, rate)
    if (this.places.get(live.id) === name) {
      // Others were late, or the rate is another one by now: its time is told anew.
      if (at > now) return this.putAside(live, { held: 'granted', runAt: at, budgetFrom: live.budgetFrom + at - now })
      starts.granted--
      this.given.push([name, turnOf(live.id, live.version)])
    } else if (at > now || starts.granted > 0 || starts.waiting) {
      const soonest = startAt(starts.due, now, rate, starts.granted)
      if (starts.waiting || (starts.granted > 0 && soonest > now + AHEAD_MS)) {
        starts.waiting = true
        return this.hold(one, 'rate', name)
      }
      starts.granted++
      return this.hold(one, 'granted', name, soonest)
    }
    starts.due = afterStart(starts.due, now, rate)
    this.spent.add(name)
    return true
  }

  /** Out of the claim's way, into the line of this name. A place it was granted elsewhere is free again. */
  private hold({ live }: Found, held: NonNullable<LiveJob['held']>, name: string | null, at = live.runAt): false {
    const { now } = this.tx
    const before = this.places.get(live.id)
    if (live.held === 'granted') this.left.push([live.id])
    if (before !== undefined && before !== name) this.given.push([before, turnOf(live.id, live.version)])
    if (name !== null) this.joined.push(heldValues(name, held === 'granted', live, now))
    return this.putAside(live, { held, runAt: at, budgetFrom: live.budgetFrom + Math.max(0, at - now) })
  }

  private putAside(live: LiveJob, set: Partial<LiveJob>): false {
    this.heldIds.add(live.id)
    this.aside.push({ live, set })
    return false
  }

  private *write(): Plan<void> {
    const { aside, left, joined, slots, given, spent, tx } = this
    this.aside = []
    this.left = []
    this.joined = []
    this.slots = []
    this.given = []
    yield* put('delete from held where job_id = ?1', left)
    yield* put(INSERT_HELD, joined)
    yield* put('insert into slots (name, job_id) values (?1, ?2)', slots)
    yield* put(
      'insert into buckets (name, due) values (?1, ?2) on conflict (name) do update set due = excluded.due',
      [...spent].map((name) => [name, this.starts.get(name)!.due]),
    )
    spent.clear()
    yield* setHeld(aside, tx)
    for (const [name, turn] of given) yield* giveNext(name, turn, tx)
    // What was granted just now is not in what was loaded.
    for (const [name] of given) this.starts.delete(name)
  }
}

export function isBound({ live }: Found): boolean {
  return (live.ties & TIES.limits) !== 0
}
