/**
 * A store as one process sees it, so that a test can kill that process and keep the store: once dead, nothing it asks is
 * carried out or answered, and its timers do not fire. The truth underneath goes on.
 */
import type { Clock, Timer } from '../core/clock.js'
import type { Change, Store } from '../stores/store.js'

/** Where a process dies: just before an operation is handed to the store, or after its commit and before the answer. */
export interface DeathPoint {
  /** Which operation of the store, e.g. `record`, `move`, `decide`; `fire` is the one of schedules, `tell` the one of webhooks. */
  op: 'submit' | 'claim' | 'move' | 'record' | 'decide' | 'fire' | 'tell'
  when: 'before' | 'after'
  /** The how manieth such operation from now. @default 1 */
  nth?: number
}

/** Parts of the store that have operations of their own. */
const GROUPS: ReadonlySet<string> = new Set([
  'workers',
  'files',
  'keys',
  'schedules',
  'webhooks',
  'pauses',
  'failures',
  'rules',
])

const NEVER = new Promise<never>(() => {})

export class Mortal {
  private dead = false
  private point: (DeathPoint & { left: number }) | null = null
  private onDeath = () => {}
  private readonly timers = new Set<Timer>()

  constructor(private readonly truth: Store) {}

  get alive(): boolean {
    return !this.dead
  }

  /** Timers it has set that have not fired. */
  get pending(): number {
    return this.timers.size
  }

  /** Dies at once, as by SIGKILL. */
  kill(): void {
    if (this.dead) return
    this.dead = true
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.onDeath()
  }

  /** Will die there; resolves when it has. */
  dieAt(point: DeathPoint): Promise<void> {
    this.point = { ...point, left: point.nth ?? 1 }
    return new Promise((resolve) => {
      this.onDeath = resolve
    })
  }

  /** The store this process uses. */
  get store(): Store {
    return this.facade(this.truth as unknown as Record<string, unknown>) as unknown as Store
  }

  /** The clock this process uses. */
  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      keepAlive: () => clock.keepAlive(),
      after: (ms, fn) => {
        if (this.dead) return { cancel: () => {} }
        const timer = clock.after(ms, () => {
          this.timers.delete(timer)
          fn()
        })
        this.timers.add(timer)
        return {
          cancel: () => {
            this.timers.delete(timer)
            timer.cancel()
          },
        }
      },
    }
  }

  private facade(target: Record<string, unknown>): Record<string, unknown> {
    return new Proxy(target, {
      get: (_, name: string) => {
        const value = target[name]
        if (name === 'close') return () => Promise.resolve()
        if (name === 'now') return () => this.truth.now()
        if (name === 'watch') return (jobId: string, reads?: boolean) => this.truth.watch(jobId, reads)
        if (name === 'follow') return () => this.truth.follow()
        if (name === 'onGap') return (listener: () => void) => this.truth.onGap(listener)
        if (name === 'onChange') return (listener: (changes: readonly Change[]) => void) => this.listen(listener)
        if (name === 'onHappened') return (listener: () => void) => this.heard(listener)
        if (typeof value === 'function') return (...args: unknown[]) => this.call(target, name, args)
        return GROUPS.has(name) ? this.facade(value as Record<string, unknown>) : value
      },
    })
  }

  private listen(listener: (changes: readonly Change[]) => void): () => void {
    return this.truth.onChange((changes) => {
      if (!this.dead) listener(changes)
    })
  }

  private heard(listener: () => void): () => void {
    return this.truth.webhooks.onHappened(() => {
      if (!this.dead) listener()
    })
  }

  private async call(target: Record<string, unknown>, name: string, args: unknown[]): Promise<unknown> {
    const point = this.point
    const here = point !== null && point.op === name && --point.left === 0
    if (here && point.when === 'before') this.kill()
    if (this.dead) return NEVER
    try {
      return await this.answer((target[name] as (...args: unknown[]) => Promise<unknown>)(...args), here)
    } catch (error) {
      return this.answer(Promise.reject(error), here)
    }
  }

  private async answer(asked: Promise<unknown>, here: boolean): Promise<unknown> {
    const [result] = await Promise.allSettled([asked])
    if (here) this.kill()
    if (this.dead) return NEVER
    if (result!.status === 'rejected') throw result!.reason
    return result!.value
  }
}
