/**
 * The business operation that a job is done for, as effects know it: the same for every attempt, every replay and every
 * job with the same `operationKey`, unless a replay was asked to act anew. What was undone may happen again, so its key
 * counts how often that was. Pure; the hash function comes in.
 */
import type { JobRecord } from './job.js'

type Operator = Pick<JobRecord, 'tenant' | 'type' | 'operationKey' | 'id' | 'options'>
type Sha256 = (text: string) => string

/** How often each step of an operation was undone. */
export type Undone = Readonly<Record<string, number>>

/** Marks an operation of its own. */
const ANEW = 'new:'

/** What the keys of its effects are made of. */
export function operationOf({ id, operationKey, options }: Operator): string {
  if (options.replay?.newEffects) return `${ANEW}${id}`
  // A replay of a job that acted anew is the operation of that job, whatever its operationKey says.
  if (options.operationRoot?.startsWith(ANEW)) return options.operationRoot
  return operationKey ?? options.operationRoot ?? id
}

/** The idempotency key of a step, handed to the far side; hashed, so that it tells the far side nothing. */
export function effectKeyOf(job: Operator, step: string, sha256: Sha256, undone: Undone = {}): string {
  const times = Object.hasOwn(undone, step) ? undone[step]! : 0
  // No name of a step holds a NUL.
  return hashed(job, times === 0 ? step : `${step}\0${times}`, sha256)
}

/** Where the ledger keeps what was undone of an operation. */
export function undoneKeyOf(job: Operator, sha256: Sha256): string {
  return hashed(job, '\0undone', sha256)
}

/** Whether other jobs may have acted for its operation before it. */
export function sharesOperation({ operationKey, options }: Pick<JobRecord, 'operationKey' | 'options'>): boolean {
  return operationKey !== null || options.operationRoot !== undefined
}

function hashed(job: Operator, what: string, sha256: Sha256): string {
  return sha256(`${job.tenant}\n${job.type}\n${operationOf(job)}\n${what}`).slice(0, 40)
}
