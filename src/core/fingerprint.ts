/**
 * What makes two errors the same: code, signal or exit, HTTP status, and the words of the message. What changes from job
 * to job and from host to host (numbers, paths, ids, instants, quoted values) is taken out of it first. Pure; the hash
 * function is handed in.
 */
import type { ErrorFacts } from './error-facts.js'

/** So much of a message is looked at: what follows is mostly a dump. */
const MESSAGE_MAX = 2000

/** In this order: what is larger first, or its parts would be taken for something else. */
const VARIES: readonly (readonly [RegExp, string])[] = [
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>`]+/gi, '<url>'],
  [/"(?:[^"\\\n]|\\.)*"|`[^`\n]*`|“[^”\n]*”|«[^»\n]*»/g, '<value>'],
  // An apostrophe within a word quotes nothing.
  [/(?<![\p{L}\p{N}])'[^'\n]*'(?![\p{L}\p{N}])|‘[^’\n]*’(?![\p{L}\p{N}])/gu, '<value>'],
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?)?/g, '<time>'],
  [/\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b/g, '<time>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/(?<![\w./-])(?:[a-z]:)?\.{0,2}~?(?:[\\/][\w.@~+%=-]+)+[\\/]?(?::\d+){0,2}/gi, '<path>'],
  [
    /(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])/gi,
    '<address>',
  ],
  [/\b0x[0-9a-f]+\b/gi, '<hex>'],
  [/\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,}\b/gi, '<hex>'],
  // Long words of letters and digits are nobody's language.
  [/\b(?=\w*\d)(?=\w*[a-z])(?:\w{16,}|(?=(?:[a-z_]*\d){3})\w{10,})\b/gi, '<id>'],
  [/(?<![\w.])[-+]?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*/g, '<n>'],
]

/** The words of a message without what varies. */
export function wordsOf(message: string): string {
  let words = message.slice(0, MESSAGE_MAX)
  for (const [pattern, stand] of VARIES) words = words.replace(pattern, stand)
  return words.replace(/\s+/g, ' ').trim()
}

/** All that the fingerprint is made of, as text. A shell's `139` and a direct SIGSEGV are the same end. */
function shapeOf({ code, exit, signal, status, message }: ErrorFacts): string {
  return [code ?? '', signal ?? (exit === null ? '' : `exit ${exit}`), status ?? '', wordsOf(message)].join('\n')
}

/** Sixteen hexadecimal digits; the same on every host, for every job of the type. */
export function fingerprintOf(type: string, facts: ErrorFacts, sha256: (text: string) => string): string {
  return sha256(`${type}\n${shapeOf(facts)}`).slice(0, 16)
}

export const FINGERPRINT = /^[0-9a-f]{16}$/
