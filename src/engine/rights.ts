/**
 * Who may do what. A key that may not see something is told that it does not exist; deny is the default.
 */
import { UntildoneError } from '../core/errors.js'
import type { JobRecord, Person } from '../core/job.js'
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

/** Types of a list: what was asked for and may be seen; of a wider pattern (`ocr*`) what may be seen of it (`ocr.*`). */
export function visibleTypes({ types: mine, ...caller }: Caller, asked?: readonly string[]): string[] | undefined {
  if (mine === null) return asked && [...asked]
  const allowed = asked?.length
    ? asked.flatMap((type) => {
        if (mayUseType({ ...caller, types: mine }, type)) return [type]
        return type.endsWith('*') ? mine.filter((name) => name.startsWith(type.slice(0, -1))) : []
      })
    : [...mine]
  return allowed.length > 0 ? allowed : ['-']
}

/**
 * What concerns jobs of all types may not be stopped with a key for some of them.
 * @throws UntildoneError `forbidden`
 */
export function allTypes(caller: Caller, why: string, fix = 'Use a key without `types`.'): void {
  if (caller.types !== null)
    throw new UntildoneError('forbidden', `This key is for some job types only. ${why}`, { fix })
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

/** Who stands behind a credential. A key that belongs to nobody stands for itself; so does the process itself. */
export function personOf({ actor, person }: Pick<Caller, 'actor' | 'person'>): Person {
  if (person) return person
  const id = actor.kind === 'user' ? actor.id : `${actor.kind === 'apiKey' ? 'key' : actor.kind}:${actor.id}`
  return { id, name: actor.name ?? null }
}

/** Who submitted a job, for approvals in which they do not count; null for a schedule, the process or this machine. */
export function submitterOf({ createdBy, options }: Pick<JobRecord, 'createdBy' | 'options'>): Person | null {
  return options.submitter ?? (createdBy.kind === 'apiKey' ? personOf({ actor: createdBy }) : null)
}

/** Lists are filtered to what the key may see: its types, and its own jobs without jobs:read. */
export function visibleTo(
  caller: Caller,
  types: readonly string[] | undefined,
): Pick<JobFilter, 'types' | 'createdBy'> {
  const own = holds(caller, 'jobs:read') ? {} : { createdBy: `${caller.actor.kind}:${caller.actor.id}` }
  const visible = visibleTypes(caller, types)
  return visible ? { types: visible, ...own } : own
}
