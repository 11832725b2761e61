/**
 * Bodies judged by their zod schema, for every route but the hot ones. Turns zod's issues into our field errors: a JSON
 * Pointer, a short code, a sentence.
 */
import type { z } from 'zod'
import type { FieldError } from '../core/index.js'
import { escapePointer, invalid } from './envelope.js'

type Issue = z.core.$ZodIssue

const CODES: Record<string, string> = {
  invalid_type: 'type',
  too_big: 'range',
  too_small: 'range',
  invalid_format: 'format',
  invalid_value: 'enum',
}

/** @throws UntildoneError validation-failed */
export function readBody<T>(schema: z.ZodType<T>, value: unknown): T {
  const judged = schema.safeParse(value)
  if (judged.success) return judged.data
  throw invalid(judged.error.issues.flatMap((issue) => fieldErrors(issue, value)).slice(0, 100))
}

function fieldErrors(issue: Issue, value: unknown): FieldError[] {
  const at = issue.path.map((part) => `/${escapePointer(String(part))}`).join('')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: `${at}/${escapePointer(key)}`,
      code: 'unknown',
      message: 'is not known here',
    }))
  }
  const missing = issue.code === 'invalid_type' && valueAt(value, issue.path) === undefined
  if (missing) return [{ pointer: at, code: 'required', message: 'is required' }]
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^./, (c) => c.toLowerCase())
  return [{ pointer: at, code: CODES[issue.code] ?? issue.code.replaceAll('_', '-'), message }]
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | null | undefined)?.[part], value)
}
