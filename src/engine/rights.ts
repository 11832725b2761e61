/**
 * Who may do what. A key that may not see something is told that it does not exist; deny is the default.
 */
import { UntildoneError } from '../core/errors.js'
import type { JobRecord } from '../core/job.js'
import type { Caller, Scope } from './api.js'

export function holds(caller: Caller, scope: Scope): boolean {
  return caller.scopes.includes(scope) || caller.scopes.includes('admin')
}

/** @throws UntildoneError `forbidden` with the scope that is missing */
export function demand(caller: Caller, scope: Scope): void {
  if (!holds(caller, scope))
    throw new UntildoneError('forbidden', `This key lacks the scope ${scope}.`, { params: { requiredScope: scope } })
}

/** Names and prefixes that end in `*`. */
export function mayUseType(caller: Caller, type: string): boolean {
  return (
    caller.types === null ||
    caller.types.some((pattern) => (pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type))
  )
}

/** `jobs:read` sees the jobs of its types; a submit key without it sees its own. */
export function maySee(caller: Caller, job: Pick<JobRecord, 'tenant' | 'type' | 'createdBy'>): boolean {
  if (job.tenant !== caller.tenant || !mayUseType(caller, job.type)) return false
  return holds(caller, 'jobs:read') || isOwn(caller, job)
}

export function isOwn(caller: Caller, job: Pick<JobRecord, 'createdBy'>): boolean {
  return job.createdBy.kind === caller.actor.kind && job.createdBy.id === caller.actor.id
}
