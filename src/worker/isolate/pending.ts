/**
 * What the code of an isolated handler was doing when its process died, and what becomes of it. The one piece of code that
 * was at work gets the error, so that its step, engine or item is judged by its own rules. Where several were at work nobody
 * can say whose fault it was, and nothing is recorded of any of them. After that nothing of the handler begins.
 */
import { type Scope, scopes } from '../scope.js'

/** Code of the handler that was called and has not come back. */
interface Body {
  scope: Scope | undefined
  reject(error: unknown): void
}

const NEVER = new Promise<never>(() => {})

export interface Finish {
  /** The error has been dealt with where it came from, and what follows can only happen in another process. */
  handled: boolean
  /** Calls of the attempt wait for code that will never answer. */
  leaves: boolean
}

export class Bodies {
  private readonly open = new Set<Body>()
  private dead: { error: unknown; blame: boolean; everyone: boolean } | null = null

  /** @param finish ends the handler's part of the attempt; only the first call counts */
  constructor(private readonly finish: (error: unknown, how: Finish) => void) {}

  /** Makes a call of code of the handler. */
  run(call: () => Promise<unknown>): Promise<unknown> {
    if (this.dead) return this.refuse()
    return new Promise((resolve, reject) => {
      const body: Body = { scope: scopes.getStore(), reject }
      this.open.add(body)
      const over = () => this.open.delete(body)
      call().finally(over).then(resolve, reject)
    })
  }

  /** Code that is asked for after the crash: it was never begun, so it has not failed either. */
  private refuse(): Promise<never> {
    const { error, blame, everyone } = this.dead!
    if (everyone) return Promise.reject(error)
    this.finish(error, { handled: blame, leaves: true })
    return NEVER
  }

  /** A call that the handler made has ended, and there is nobody to be told. */
  answered(scope: Scope | undefined, failed: { error: unknown } | null): void {
    if (!this.dead?.blame) return
    // Where the call was made inside of a branch, that branch would have met the error next.
    const branch = failed && [...this.open].find((body) => body.scope === scope && scope !== undefined)
    if (branch) this.fail(branch, failed.error)
    else this.finish(failed?.error ?? this.dead.error, { handled: failed === null, leaves: this.open.size > 0 })
  }

  /** @param everyone it was stopped from outside: each learns of it, and nothing can go on */
  die(error: unknown, everyone: boolean): void {
    const inner = [...this.open].filter((body) => !this.holdsAnother(body))
    const blame = !everyone && inner.length === 1
    this.dead = { error, blame, everyone }
    // What one of several did may be half done, and is not to be told as failed.
    if (!blame) this.finish(error, { handled: false, leaves: !everyone && inner.length > 0 })
    if (blame || everyone) for (const body of inner) this.fail(body, error)
  }

  private fail(body: Body, error: unknown): void {
    this.open.delete(body)
    body.reject(error)
  }

  /** Code in which other code was under way is not what crashed. */
  private holdsAnother(body: Body): boolean {
    const { path = '', inside } = body.scope ?? {}
    if (inside) return false
    return [...this.open].some((other) => {
      if (other === body || !other.scope) return false
      return other.scope.path.startsWith(`${path}/`) || (other.scope.path === path && other.scope.inside !== null)
    })
  }
}
