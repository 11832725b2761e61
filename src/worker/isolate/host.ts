/**
 * The worker's side of an isolated handler: one attempt, one process. The process runs the code of the handler and of its
 * steps; every call of `job` comes back here and is carried out by the attempt, so that what is recorded, fenced, parked and
 * retried is the same as for a handler that runs inline. Never uses a process again.
 */
import type { Duplex } from 'node:stream'
import { Transient } from '../../core/classify.js'
import type { JobContext } from '../../define/context.js'
import type { Attempt } from '../attempt.js'
import { type Scope, scopes } from '../scope.js'
import { Link, type LinkOwner, type Place } from './link.js'
import { Bodies, type Finish } from './pending.js'

/** What the process is told of its job. */
export interface Start {
  type: string
  version: string | null
  module: string
  /** Compiled where it is needed, like the job files of a project. */
  project: boolean
  undoing: boolean
  /** How often it says that its event loop turns; null when nobody wants to know. */
  beatMs: number | null
  /** What of `job` is data. */
  job: unknown
}

/** A process of its own, as launch.ts starts it and tests stand in for it. */
export interface Launched {
  /** How it ended: null for a good end, after which whatever it returned counts. */
  ended: Promise<{ error: Error | null; stopped: boolean }>
  /** Its event loop turns. */
  beat(): void
  /** The module is loaded, which may stop the loop for as long as it takes. */
  loaded(): void
  kill(): void
}
export type Launch = (attempt: Attempt, onLine: (stream: Duplex) => void) => Launched

type Data = Omit<JobContext<any, any>, (typeof CALLS)[number] | 'log'>

/** What of `job` is there from the start. */
function dataOf(job: JobContext<any, any>): Data {
  const { id, type, tenant, input, attempt, groupId, operationKey, onBehalfOf, permissions, tags, metadata } = job
  const { schedule, signal, draining } = job
  return {
    ...{ id, type, tenant, input, attempt, groupId, operationKey, onBehalfOf, permissions, tags, metadata },
    ...{ schedule, signal, draining },
  }
}

/** A good end takes a few milliseconds; what still runs then is killed. */
const LEAVE_MS = 2_000

const CALLS = [
  ...(['step', 'read', 'first', 'process', 'stage', 'sleep', 'waitFor', 'callback', 'approve', 'call', 'map'] as const),
  ...(['decision', 'progress', 'warn', 'open', 'file'] as const),
] as const
const METHODS = new Set<string>(CALLS)
const LEVELS = new Set(['debug', 'warn', 'error'])

/** `process.exit` in the middle: a good end of the process is none of the handler. */
class Unfinished extends Error {
  readonly code = 'process-envelope'
  readonly exitCode = 0
  constructor() {
    super("The handler's process ended with exit code 0 before the handler had returned.")
  }
}

export class Isolated implements LinkOwner {
  /** What the handler returns or throws. */
  readonly result: Promise<unknown>
  private settle!: { resolve(value: unknown): void; reject(error: unknown): void }
  /** The handler has come to its end, or its process has. */
  private over = false
  /** Counted as at work: something came or went that it has not answered yet. */
  private held = false
  private link: Link | null = null
  private readonly launched: Launched
  private readonly bodies: Bodies
  private gone = false
  private returned = false
  private readonly places = new Map<number, Scope>()
  private readonly numbers = new Map<Scope, number>()

  constructor(
    private readonly attempt: Attempt,
    private readonly job: JobContext<any, any>,
    start: Omit<Start, 'job' | 'undoing'>,
    launch: Launch,
  ) {
    this.result = new Promise((resolve, reject) => {
      this.settle = { resolve, reject }
    })
    this.result.catch(() => undefined)
    this.bodies = new Bodies((error, how) => this.finish(error, how))
    this.moved()
    this.launched = launch(attempt, (stream) => {
      const link = new Link(stream, this)
      this.link = link
      const whole: Start = { ...start, undoing: attempt.undos !== null, job: link.wire.encode(dataOf(job)) }
      link.send({ t: 'start', start: whole })
      attempt.onDraining = () => link.send({ t: 'drain' })
    })
    void this.launched.ended.then((end) => this.ended(end.error, end.stopped))
  }

  named(name: string, args: unknown[]): unknown {
    if (name.startsWith('log')) return this.log(name, args)
    if (!METHODS.has(name)) throw new TypeError(`job.${name} is no call.`)
    if (name === 'map') return this.map(args as never)
    return (this.job as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!(...args)
  }

  private log(name: string, [message, data]: unknown[]): void {
    const level = name.slice('log.'.length)
    const { log } = this.job
    if (LEVELS.has(level)) log[level as 'debug'](message as string, data)
    else log(message as string, data)
  }

  /** Items stay where they are; here they are numbers. */
  private map([name, count, fn, options]: [string, number, (...args: any[]) => Promise<unknown>, { keys?: string[] }]) {
    const { keys, ...more } = options
    const items = Array.from({ length: count }, (_, i) => i)
    return this.job.map(name, items, fn, { ...more, ...(keys ? { key: (_: number, i: number) => keys[i]! } : {}) })
  }

  at<T>(place: Place, fn: () => T): T {
    const scope = place === null ? undefined : this.places.get(place.id)
    return scope ? scopes.run(scope, fn) : scopes.exit(fn)
  }

  place(): Place {
    const scope = scopes.getStore()
    if (!scope || scope.attempt !== this.attempt) return null
    let id = this.numbers.get(scope)
    if (id === undefined) {
      id = this.numbers.size + 1
      this.numbers.set(scope, id)
      this.places.set(id, scope)
    }
    return { id, inside: scope.inside }
  }

  calling(call: () => Promise<unknown>): Promise<unknown> {
    return this.bodies.run(call)
  }

  answering(place: Place, failed: { error: unknown } | null): boolean {
    if (!this.gone) return true
    if (!this.over) this.bodies.answered(place === null ? undefined : this.places.get(place.id), failed)
    return false
  }

  moved(): void {
    this.launched?.beat()
    if (this.held || this.over) return
    this.held = true
    this.attempt.parking.begun()
  }

  frame(frame: Parameters<LinkOwner['frame']>[0]): void {
    if (frame.t === 'beat') this.launched.beat()
    else if (frame.t === 'loaded') this.launched.loaded()
    else if (frame.t === 'still') {
      if (frame.seen === this.link?.sent) this.release()
    } else if (frame.t === 'returned') {
      this.returned = true
      this.end(() => this.settle.resolve(this.link!.wire.decode(frame.value)))
    } else if (frame.t === 'threw' || frame.t === 'unfit') {
      this.end(() => this.settle.reject(this.link!.wire.decode(frame.error)))
    }
  }

  private release(): void {
    if (!this.held) return
    this.held = false
    this.attempt.parking.ended()
  }

  /** Once: the handler's part is over, whatever its process still does. */
  private end(settle: () => void): void {
    if (this.over) return
    this.over = true
    settle()
    this.release()
  }

  closed(error: Error | null): void {
    // A line that is spoilt cannot be believed any more.
    if (error) this.launched.kill()
  }

  private ended(error: Error | null, stopped: boolean): void {
    this.gone = true
    this.link?.close(null)
    const reason = stopped ? (this.attempt.stopReason ?? error) : error
    const why = reason ?? new Unfinished()
    this.bodies.die(why, stopped || this.over)
  }

  private finish(error: unknown, { handled, leaves }: Finish): void {
    const why = handled
      ? new Transient(`${(error as Error).message} What that meant is recorded; the rest needs another process.`, {
          ...{ code: 'process-replaced', cause: error },
        })
      : error
    this.end(() => this.settle.reject(why))
    // What hangs in the attempt has nobody any more who could end it. Its other children are no part of that.
    const { processes } = this.attempt
    if (leaves) setImmediate(() => void Promise.allSettled([...(processes ?? [])]).then(() => this.attempt.leave()))
  }

  /** The handler's last look at its result, where its code runs. */
  async verify(output: unknown, context: { input: unknown }): Promise<void> {
    if (this.gone) throw new Transient('The process of the handler has ended, and with it its last look at the result.')
    await this.bodies.run(() => this.link!.call('verify', [output, context]))
  }

  /** Lets it go, and waits until it is gone. @returns why what it returned does not count: it did not end well */
  async leave(): Promise<Error | null> {
    this.end(() => undefined)
    if (this.link) this.link.send({ t: 'bye' })
    else this.launched.kill()
    const timer = setTimeout(() => this.launched.kill(), LEAVE_MS)
    const { error, stopped } = await this.launched.ended
    clearTimeout(timer)
    return this.returned && !stopped ? error : null
  }
}
