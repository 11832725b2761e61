/**
 * Which part of a handler the running code belongs to. The kit's own AsyncLocalStorage: the product knows nothing of it,
 * and code outside of a check has no zone.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Attempt, Call } from './attempt.js'

export interface Zone {
  attempt: Attempt
  /**
   * `handler`: runs again in every attempt. `branch`: recorded as a whole, and may hold steps. `step`: recorded as a
   * whole. `read`: runs again on purpose. `ours`: the product at work.
   */
  kind: 'handler' | 'branch' | 'step' | 'read' | 'ours'
  /** Names of the stages and branches around it, as in step names. */
  path: string
  /** The call of `job` that runs it. */
  call: Call | null
}

const storage = new AsyncLocalStorage<Zone>()

export function zone(): Zone | undefined {
  return storage.getStore()
}

export function within<T>(zone: Zone, fn: () => T): T {
  return storage.run(zone, fn)
}
