// A failure in the lines that a caller of the older API gets as `errors`. Permanent: the product does not try again, and
// `failed` means that nobody will.
import { Permanent } from 'untildone'

export function failure(code: string, lines: readonly string[], details?: Record<string, unknown>): Permanent {
  return new Permanent(lines.join('\n'), { code, ...(details && { details }) })
}
