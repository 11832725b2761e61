/** Values as they are recorded and given back: JSON, the same for the attempt that made them and for every later one. */

import { Review } from '../core/classify.js'
import { UntildoneError } from '../core/errors.js'
import type { StepRow } from '../stores/store.js'

export function textOf(value: unknown, key: string): string | null {
  try {
    return value === undefined ? null : JSON.stringify(value)
  } catch (cause) {
    throw new UntildoneError('bad-definition', `The value of step "${key}" cannot be written as JSON.`, { cause })
  }
}

/** What every attempt sees is what the record holds, also the attempt that made it. */
export function recordedValue<T>(row: Pick<StepRow, 'result'>): T {
  return (row.result === null ? undefined : JSON.parse(row.result)) as T
}

/**
 * A record that contradicts the present code is never run on by guess.
 * @throws Review `code-changed`
 */
export function sameAsRecorded(
  row: Pick<StepRow, 'key' | 'kind' | 'effect'>,
  kind: StepRow['kind'],
  effect: StepRow['effect'],
): void {
  const was =
    row.kind !== kind
      ? WORDS[row.kind]
      : row.effect && effect && row.effect !== effect
        ? `effect: '${row.effect}'`
        : null
  if (was === null) return
  const now = row.kind !== kind ? WORDS[kind] : `effect: '${effect}'`
  throw new Review(`"${row.key}" was recorded as ${was}, and the present code has it as ${now}.`, {
    code: 'code-changed',
    details: { step: row.key, recorded: was, now },
  })
}

const WORDS: Record<StepRow['kind'], string> = {
  step: 'a step',
  process: 'a child process',
  first: 'a choice of engines',
  stage: 'a stage',
  decision: 'a decision',
  timer: 'a sleep',
  signal: 'a wait for a signal',
  callback: 'a callback',
  approval: 'an approval',
  child: 'a child job',
}
