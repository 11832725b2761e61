/**
 * What is taken from the answer of a receiver: when to come back, and the beginning of its body for people to read. All
 * of it is foreign: nothing in it is believed, and nothing of it reaches a terminal or a page as a control character.
 */

const LONGEST_MS = 24 * 3_600_000

/** `Retry-After` in milliseconds, at most 24 h: seconds or an HTTP date; null when absent or neither. */
export function retryAfterOf(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? ''
  if (/^\d+$/.test(text)) return Math.min(LONGEST_MS, Number(text) * 1000)
  // Date.parse takes almost anything for a date; the three forms of HTTP begin with a day of the week.
  const at = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.min(LONGEST_MS, Math.max(0, at - now))
}

/** Control characters except tab and line feed, and those that turn, hide or join text. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** Foreign text as people may see it: `\u001b` instead of the character. */
export function shown(text: string): string {
  const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return text.replaceAll('\r\n', '\n').replace(UNSAFE, escaped)
}

/** The first `most` bytes as text. A character that the cut went through is left out. */
export function textOf(chunks: readonly Uint8Array[], most: number): string {
  const bytes = Buffer.concat(chunks).subarray(0, most)
  return shown(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true }))
}
