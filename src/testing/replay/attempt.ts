/**
 * What one attempt of a watched handler did: what it asked of `job` and in which order, what came back, which effects
 * registered fakes saw, and which values of clock and chance it used outside steps. Records only; judge.ts compares.
 */
import type { Found } from './findings.js'
import { jsonOf } from './json.js'
import type { Place } from './place.js'

/** One call of `job` whose value is recorded. */
export interface Call {
  /** Path, name and counter: what makes it the same call in another attempt. */
  key: string
  method: string
  /** Path of the stage or branch it was made in. */
  scope: string
  place: Place | null
  /** It waits for the outside. */
  waits: boolean
  state: 'waiting' | 'resolved' | 'rejected'
  /** Its function ran in this attempt, so it was not taken from the record. */
  ran: boolean
  /** What its function returned, as JSON. */
  made: string | null
  /** What the handler got. */
  value: unknown
  json: string | null
  /** Somebody waits for it. */
  awaited: boolean
  /** It was made to fail. */
  failed: boolean
}

/** What a registered fake saw. */
export interface Effect {
  /** `shop.refund` */
  what: string
  key: string | undefined
  place: Place | null
  /** The call whose function did it; null outside of any. */
  call: Call | null
  attempt: number
}

/** A value that is another one in another attempt, used outside a step. */
export interface Use {
  source: string
  place: Place | null
  /** As it may stand in a key or a value. */
  texts: string[]
}

export interface Mutation {
  /** The value of this call was changed … */
  changed: string
  /** … by the function of this one. */
  by: Call
}

/** What the process of a handler writes: records, ends of attempts, decisions of people. */
export const COMMITS = ['record', 'move', 'decide'] as const
export type Commit = (typeof COMMITS)[number]

/** How one run differs from a plain one. */
export interface Plan {
  /** The process dies there. */
  crash?: { op: Commit; when: 'before' | 'after'; nth: number }
  /** This attempt, and the how manieth of its calls is made to fail. */
  fail?: { attempt: number; nth: number }
  /** Clock and chance give at this place what they gave in the plain run: does the deviation go away? */
  hold?: { at(place: Place | null): boolean; tape: ReadonlyMap<string, unknown> }
}

/** What all attempts of one run share. */
export interface Run {
  readonly plan: Plan
  /** Nothing in it is made to go wrong: the run that others are compared with. */
  readonly plain: boolean
  /** Set by the first attempt; jobs that the handler submits itself are not watched. */
  jobId: string | null
  readonly attempts: Attempt[]
  readonly effects: Effect[]
  /** Answers of registered fakes by effect and key: a far side that takes keys gives the same answer again. */
  readonly answers: Map<string, unknown>
  /** Values of clock and chance by source, place and number; of the last attempt that got one. */
  readonly tape: Map<string, unknown>
  found(found: Found): void
}

export class Attempt {
  readonly calls: Call[] = []
  readonly asked = new Map<string, Call>()
  /** Items of maps whose functions ran. */
  readonly items: Call[] = []
  /** Paths whose code ran. */
  readonly entered = new Set([''])
  /** Values of job.read, as JSON. */
  readonly reads = new Map<string, string | null>()
  readonly uses: Use[] = []
  readonly mutations: Mutation[] = []
  /** The last place at which it asked something of `job`. */
  last: Place | null = null
  /** What the handler returned, through JSON; undefined while it has not. */
  returned: { value: unknown } | undefined
  /** At most one call was under way at any time. */
  sequential = true
  /** Calls that have not settled. One that waits for its own branch or stage is not beside what happens in there. */
  readonly waiting = new Set<Call>()
  /** How many numbers it drew. */
  draws = 0
  private readonly counters = new Map<string, number>()

  constructor(
    readonly run: Run,
    readonly number: number,
  ) {}

  /** The same name again is `name#2`, as in the record. */
  numbered(full: string): string {
    const n = (this.counters.get(full) ?? 0) + 1
    this.counters.set(full, n)
    return n === 1 ? full : `${full}#${n}`
  }

  add(call: Call): void {
    for (const { key } of this.waiting) if (!`${call.scope}/`.startsWith(`${key}/`)) this.sequential = false
    this.calls.push(call)
    this.asked.set(call.key, call)
    this.waiting.add(call)
  }

  settle(call: Call, state: 'resolved' | 'rejected', value?: unknown): void {
    this.waiting.delete(call)
    call.state = state
    call.value = value
    call.json = jsonOf(value)
  }
}
