/**
 * Text for terminals: safe, measured, cut. What comes from jobs and servers is foreign text and goes through `clean`
 * before it is shown, or a job could move the cursor and forge lines.
 */
import type picocolors from 'picocolors'
import { formatDuration } from '../core/duration.js'
import type { Status } from '../core/job.js'

export type Style = ReturnType<typeof picocolors.createColors>

const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
const COLOURS = /\u001b\[[0-9;]*m/g

/** Foreign text without control characters, on one line. */
export function clean(text: string): string {
  return text.replace(/\s*[\r\n\t]+\s*/g, ' ').replace(UNSAFE, '')
}

/** Foreign text of several lines without control characters. */
export function cleanLines(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(UNSAFE, '')
}

/** Columns that `text` takes on a terminal; colours take none, East Asian wide characters and emoji two. */
export function widthOf(text: string): number {
  let width = 0
  for (const char of text.replace(COLOURS, '')) {
    const code = char.codePointAt(0)!
    if (/\p{Mark}/u.test(char)) continue
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0xffe0 && code <= 0xffe6) ||
      (code >= 0x1f300 && code <= 0x1faff) ||
      (code >= 0x20000 && code <= 0x3fffd)
    width += wide ? 2 : 1
  }
  return width
}

/** Text without colours, cut to `width` columns with `…` at the end. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let cut = ''
  let used = 0
  for (const char of text) {
    used += widthOf(char)
    if (used > width - 1) break
    cut += char
  }
  return `${cut.trimEnd()}…`
}

export function padTo(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

/** `10:31:12`, local time. */
export function clockTime(at: number): string {
  const date = new Date(at)
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
}

/** `14:32`, or with the day when it is not today. */
export function shortTime(at: number, now: number): string {
  const date = new Date(at)
  const time = `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
  if (date.toDateString() === new Date(now).toDateString()) return time
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')} ${time}`
}

/** `3 m ago`, one unit. */
export function ago(at: string | number, now: number): string {
  const passed = now - (typeof at === 'string' ? Date.parse(at) : at)
  if (passed < 1000) return 'just now'
  return `${oneUnit(passed)} ago`
}

/** `3 m`: the largest unit only. */
export function oneUnit(ms: number): string {
  const [first, unit] = formatDuration(Math.max(1000, ms)).split(' ')
  return `${Math.round(Number(first))} ${unit}`
}

/** `4.1 MB`, in powers of 1000. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `1 try`, `2 tries`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}

/**
 * The last eight characters of a job id. The first eight are the same for all jobs of one minute, because a UUIDv7
 * begins with the time.
 */
export function shortId(id: string): string {
  return id.length > 12 ? id.slice(-8) : id
}

const GLYPHS: Record<Status, string> = {
  accepted: '○',
  processing: '◔',
  blocked: '◆',
  completed: '✓',
  failed: '✕',
  cancelled: '⊘',
}

export function glyphOf(status: Status): string {
  return GLYPHS[status]
}

/** The status word in its colour. Red means failed for good and nothing else. */
export function paint(style: Style, status: Status, text: string = status): string {
  if (status === 'completed') return style.green(text)
  if (status === 'failed') return style.red(text)
  if (status === 'blocked') return style.magenta(text)
  if (status === 'processing') return style.blue(text)
  return style.dim(text)
}
