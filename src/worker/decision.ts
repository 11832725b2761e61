/** What an entry of the decision log must say, and where it may be made. Pure, because an isolated handler asks it too. */
import { UntildoneError } from '../core/errors.js'
import type { DecisionEntry } from '../define/context.js'

/**
 * @param inside what the call is made in; null where nothing is in the way
 * @throws UntildoneError decision-incomplete: an entry without these members explains nothing later; nested-step
 */
export function checkDecision(entry: DecisionEntry, inside: string | null): void {
  const { model, version, tools, path } = entry ?? {}
  const missing = [
    ...Object.entries({ model, version, path }).flatMap(([name, value]) =>
      typeof value === 'string' && value !== '' ? [] : [name],
    ),
    ...(Array.isArray(tools) ? [] : ['tools']),
  ]
  if (missing.length > 0)
    throw new UntildoneError('decision-incomplete', `A decision entry lacks ${missing.join(', ')}.`, {
      params: { missing },
    })
  if (inside === 'a step')
    throw new UntildoneError(
      'nested-step',
      'job.decision was called inside a step, which runs again when it fails: return what it needs from the step, and call it there.',
    )
  if (inside !== null)
    throw new UntildoneError('nested-step', `job.decision was called inside ${inside}, where nothing is recorded.`)
}
