/**
 * Where in the user's code something happened, from a stack: the nearest frame that is neither Node's, nor a package's,
 * nor ours.
 */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Place {
  /** Absolute path. */
  file: string
  line: number
}

/** The folder of all our code: src/ here, dist/ in the package. */
const OURS = fileURLToPath(new URL('../../', import.meta.url))
const FRAME = /(?:\(|at (?:async )?)((?:file:\/\/|\/|[A-Za-z]:[\\/]).*):(\d+):\d+\)?$/

/** The place of the user's code that led here, or null when no such frame is on the stack. */
export function placeOf(): Place | null {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 60
  const stack = new Error().stack ?? ''
  Error.stackTraceLimit = limit
  return placeIn(stack)
}

export function placeIn(stack: string): Place | null {
  for (const frame of stack.split('\n')) {
    const match = FRAME.exec(frame.trim())
    if (!match) continue
    const path = match[1]!.replace(/\?.*$/, '')
    const file = path.startsWith('file://') ? fileURLToPath(path) : path
    if (isUsers(file)) return { file, line: Number(match[2]) }
  }
  return null
}

/** As people read it: `jobs/refund.ts:14`, from the working directory when it is below. */
export function textOf(place: Place | null): string {
  if (place === null) return 'an unknown place'
  const near = relative(process.cwd(), place.file)
  return `${near.startsWith('..') ? place.file : near}:${place.line}`
}

export function same(a: Place | null, b: Place | null): boolean {
  return a !== null && b !== null && a.file === b.file && a.line === b.line
}

/** Tests and fixtures of ours are users of it. */
function isUsers(file: string): boolean {
  if (/[\\/]node_modules[\\/]/.test(file)) return false
  return !file.startsWith(OURS) || /[\\/]fixtures[\\/]|\.test\.[a-z]+$/.test(file)
}
