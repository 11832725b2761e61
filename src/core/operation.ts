/**
 * The business operation that a job is done for, as effects know it: the same for every attempt, every replay and every
 * job with the same `operationKey`, unless a replay was asked to act anew. Pure; the hash function comes in.
 */
import type { JobRecord } from './job.js'

type Operator = Pick<JobRecord, 'tenant' | 'type' | 'operationKey' | 'id' | 'options'>

/** Marks an operation of its own: nothing else can be called so, because ids and keys are not asked for it. */
const ANEW = 'new:'

/** What the keys of its effects are made of. */
export function operationOf({ id, operationKey, options }: Operator): string {
  if (options.replay?.newEffects) return `${ANEW}${id}`
  // A replay of a job that acted anew is the operation of that job, whatever its operationKey says.
  if (options.operationRoot?.startsWith(ANEW)) return options.operationRoot
  return operationKey ?? options.operationRoot ?? id
}

/** The idempotency key of a step, handed to the far side; hashed, so that it tells the far side nothing. */
export function effectKeyOf(job: Operator, step: string, sha256: (text: string) => string): string {
  return sha256(`${job.tenant}\n${job.type}\n${operationOf(job)}\n${step}`).slice(0, 40)
}
