// From the bytes of a file to its text and back, so that an unchanged text gives the same bytes. It must never guess: what
// is not in the encoding that the file names is refused.
import { Permanent } from 'untildone'

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'latin1'

/** The text still begins with the byte order mark if the file does. @throws Permanent `xliff-encoding` */
export function readText(bytes: Uint8Array): { text: string; encoding: Encoding } {
  const encoding = encodingOf(bytes)
  const text = decoded(bytes, encoding)
  if (text === null || !writeText(text, encoding).equals(bytes))
    throw refused(`The file is not the ${encoding} that it says it is.`)
  return { text, encoding }
}

/** What a latin1 file cannot hold is written as a reference; between tags, where alone we write, that is the same text. */
export function writeText(text: string, encoding: Encoding): Buffer {
  if (encoding === 'utf-8') return Buffer.from(text, 'utf8')
  if (encoding === 'latin1')
    return Buffer.from(
      text.replace(/[\u{100}-\u{10FFFF}]/gu, (c) => `&#${c.codePointAt(0)};`),
      'latin1',
    )
  const bytes = Buffer.from(text, 'utf16le')
  return encoding === 'utf-16be' ? bytes.swap16() : bytes
}

function encodingOf(bytes: Uint8Array): Encoding {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  const head = Buffer.from(bytes.subarray(0, 200)).toString('latin1')
  const named = /^(?:\u00EF\u00BB\u00BF)?<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']/.exec(head)?.[1]?.toLowerCase()
  if (named === undefined || named === 'utf-8' || named === 'utf8') return 'utf-8'
  if (['iso-8859-1', 'latin1', 'us-ascii', 'ascii'].includes(named)) return 'latin1'
  throw refused(`The file says that it is in ${named}; taken are UTF-8, UTF-16 with a byte order mark and ISO-8859-1.`)
}

function decoded(bytes: Uint8Array, encoding: Encoding): string | null {
  if (encoding === 'latin1') return Buffer.from(bytes).toString('latin1')
  if (encoding !== 'utf-8' && bytes.length % 2 === 1) return null
  if (encoding === 'utf-16le') return Buffer.from(bytes).toString('utf16le')
  if (encoding === 'utf-16be') return Buffer.from(bytes).swap16().toString('utf16le')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

const refused = (message: string) => new Permanent(message, { code: 'xliff-encoding' })
