// Takes secrets out of what is kept of a run: its last lines, its command line, its errors.
// A secret is found plain, URL-encoded, escaped as in JSON, in hex, and in base64 wherever it begins inside a longer text.
// Pure. Must never be asked to clean a result: that belongs to the caller, who wants it as it is.

export const REPLACEMENT = '[secret]'

/** Shorter ones are too likely to be part of an innocent word; base64 of three bytes is. */
const SHORTEST = 4
const SHORTEST_ENCODED = 6

const SECRET_NAME = /secret|token|passw(or)?d|passphrase|api_?key|private_?key|access_?key|credential|authorization/i

/** Values of an env whose names say that they are secrets. */
export function secretsOf(env: Record<string, string>): string[] {
  return Object.entries(env).flatMap(([name, value]) => (SECRET_NAME.test(name) ? [value] : []))
}

export interface Scrubber {
  scrub(text: string): string
  /** Length of the longest form: so much more must be read before a text is cut, or half a secret stays. */
  readonly longest: number
}

export function scrubberOf(secrets: readonly string[]): Scrubber {
  const forms = [...new Set(secrets.filter((one) => one.length >= SHORTEST).flatMap(formsOf))]
  // The longest first, so that one which contains another is replaced as a whole.
  forms.sort((a, b) => b.length - a.length)
  if (forms.length === 0) return { scrub: (text) => text, longest: 0 }
  const pattern = new RegExp(forms.map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g')
  return { scrub: (text) => text.replace(pattern, REPLACEMENT), longest: forms[0]!.length }
}

/** The last `most` characters of an output, clean also where the cut goes through a secret. */
export function tailOf(bytes: Buffer, most: number, { scrub, longest }: Scrubber): string {
  const wide = scrub(bytes.subarray(-(most + 4 * longest)).toString('utf8'))
  return bytes.length > most + 4 * longest ? wide.slice(longest).slice(-most) : wide.slice(-most)
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  const long = [
    encodeURIComponent(secret),
    encodeURIComponent(secret).replace(/%[\dA-F]{2}/g, (code) => code.toLowerCase()),
    new URLSearchParams([['', secret]]).toString().slice(1),
    JSON.stringify(secret).slice(1, -1),
    hex,
    hex.toUpperCase(),
    ...base64Of(bytes),
  ].filter((form) => form.length >= SHORTEST_ENCODED)
  return [secret, ...long]
}

/** Base64 packs three bytes at a time, so a secret looks different at each of three places; the edges are mixed with others. */
function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    const spoiled = (before + bytes.length) % 3 === 0 ? 0 : 1
    const sure = text.slice(before === 0 ? 0 : before + 1, spoiled === 0 ? undefined : -1)
    return [sure, sure.replaceAll('+', '-').replaceAll('/', '_')]
  })
}
