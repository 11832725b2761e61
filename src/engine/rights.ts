/**
 * Who may do what. A key that may not see something is told that it does not exist; deny is the default.
 */
import { UntildoneError } from '../core/errors.js'
import type { JobRecord } from '../core/job.js'
import type { JobFilter } from '../stores/store.js'
import type { Caller, Scope } from './api.js'
import { isBuiltIn } from './registry.js'

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
  if (job.tenant !== caller.tenant) return false
  // What the engine did for somebody is theirs to follow, whatever types their key is for.
  if (!mayUseType(caller, job.type)) return isBuiltIn(job.type) && isOwn(caller, job)
  return holds(caller, 'jobs:read') || isOwn(caller, job)
}

export function isOwn(caller: Caller, job: Pick<JobRecord, 'createdBy'>): boolean {
  return job.createdBy.kind === caller.actor.kind && job.createdBy.id === caller.actor.id
}

/** Lists are filtered to what the key may see: its types, and its own jobs without jobs:read. */
export function visibleTo(
  caller: Caller,
  types: readonly string[] | undefined,
): Pick<JobFilter, 'types' | 'createdBy'> {
  const own = holds(caller, 'jobs:read') ? {} : { createdBy: `${caller.actor.kind}:${caller.actor.id}` }
  if (caller.types === null) return types ? { types, ...own } : own
  const { types: mine } = caller
  // What was asked for and may be seen; of a wider pattern (`ocr*`) what may be seen of it (`ocr.*`).
  const allowed = types?.length
    ? types.flatMap((type) => {
        if (mayUseType(caller, type)) return [type]
        return type.endsWith('*') ? mine.filter((name) => name.startsWith(type.slice(0, -1))) : []
      })
    : [...mine]
  return { types: allowed.length > 0 ? allowed : ['-'], ...own }
}
