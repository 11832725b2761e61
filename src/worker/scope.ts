/**
 * Where in a handler a call is made: the path of stages and branches around it, and whether anything may begin there. Kept
 * per async context, so that parallel branches have paths of their own.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { UntildoneError } from '../core/errors.js'
import type { Attempt } from './attempt.js'
import type { Hold } from './parking.js'

export interface Scope {
  attempt: Attempt
  path: string
  /** In there nothing is recorded and nothing waits; null where it may. */
  inside: 'a step' | 'a read' | 'a request' | 'an undo' | null
  /** Of the code around it that counts as work while nothing in it waits. */
  hold?: Hold
  /** Walked through for its undos beside the handler: what would begin there stays undone, and ends nothing. */
  aside?: true
}

export const scopes = new AsyncLocalStorage<Scope>()

/** Runs `fn` at this place of the handler; what holds for the place around it holds in there as well. */
export function enter<T>(scope: Scope, fn: () => T): T {
  const around = scopes.getStore()
  if (around?.attempt !== scope.attempt || !(around.hold || around.aside)) return scopes.run(scope, fn)
  const { hold, aside } = around
  return scopes.run({ ...(hold && { hold }), ...(aside && { aside }), ...scope }, fn)
}

/** Names of what one attempt records: path and name, with a counter from the second use on. */
export class Names {
  private counters: Map<string, number> | null = null
  constructor(private readonly attempt: Attempt) {}

  get path(): string {
    const scope = scopes.getStore()
    return scope?.attempt === this.attempt ? scope.path : ''
  }

  /** Whether this attempt has come to what is recorded under this key. */
  has(key: string): boolean {
    const [full, n = '1'] = key.split('#') as [string, string?]
    return Number(n) <= (this.counters?.get(full) ?? 0)
  }

  /** @throws UntildoneError nested-step */
  outside(name: string): void {
    const scope = scopes.getStore()
    if (scope?.inside && scope.attempt === this.attempt)
      throw new UntildoneError(
        'nested-step',
        `"${name}" was asked for inside ${scope.inside}, where nothing is recorded and nothing waits.`,
      )
  }

  /** @throws UntildoneError nested-step, bad-step-name */
  next(name: string): string {
    checkName(name)
    this.outside(name)
    const { path } = this
    const full = path ? `${path}/${name}` : name
    this.counters ??= new Map()
    const n = (this.counters.get(full) ?? 0) + 1
    this.counters.set(full, n)
    return n === 1 ? full : `${full}#${n}`
  }
}

export function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 100 || /[/#\0]/.test(name))
    throw new UntildoneError('bad-step-name', `"${name}" is not a usable step name.`)
}
