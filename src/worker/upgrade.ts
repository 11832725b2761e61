/**
 * The input of a job under the present code. What was accepted under the present schema is taken as it is; older input is
 * upgraded by the type, or must fit as it stands. Nothing runs on by guess, and nothing fails for a deploy.
 */
import { Review } from '../core/classify.js'
import { parseJson } from '../core/json.js'
import type { Attempt } from './attempt.js'

/** @throws Review `code-changed` with the field that does not fit */
export function inputOf(attempt: Attempt, sha256: (text: string) => string): unknown | Promise<unknown> {
  const { record } = attempt.claimed
  const { type } = attempt
  const { settings } = type.handler
  const input = parseJson(record.input)
  const sameSchema = record.options.schema === undefined || record.options.schema === type.schema(sha256)
  if (sameSchema && (!settings.upgrade || record.typeVersion === settings.version)) return input
  return upgraded(attempt, input)
}

async function upgraded({ type, claimed }: Attempt, input: unknown): Promise<unknown> {
  const from = claimed.record.typeVersion
  const { upgrade } = type.handler.settings
  let now: unknown = input
  try {
    if (upgrade) now = await upgrade(input, from)
  } catch (error) {
    throw codeChanged(
      `upgrade() could not bring it to the present form: ${error instanceof Error ? error.message : error}`,
      '',
      from,
    )
  }
  const checked = await type.input(now)
  if (checked.ok) return checked.value
  const [first] = checked.errors
  throw codeChanged(`${first?.pointer || 'it'} ${first?.message ?? 'does not fit'}`, first?.pointer ?? '', from)
}

function codeChanged(why: string, pointer: string, from: string | null): Review {
  return new Review(
    `Its input was accepted ${from === null ? 'under an older schema' : `by version ${from}`} and does not fit the present one: ${why}.`,
    {
      code: 'code-changed',
      origin: 'engine',
      details: { pointer: `/input${pointer}`, fromVersion: from },
    },
  )
}
