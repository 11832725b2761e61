// Web and mail addresses, and bank accounts.
import type { Entity, Rule } from './entity.js'

const URL_START = /(?<![\p{L}\p{N}@._-])(?:https?:\/\/|www\.)[^\s<>"'`{}|\\^[\]]{1,2000}/giu

export const urls: Rule = (text) =>
  Array.from(text.matchAll(URL_START), ({ 0: found, index }): Entity | null => {
    const bare = withoutTail(found)
    const href = /^www\./i.test(bare) ? `http://${bare}` : bare
    if (!URL.canParse(href)) return null
    const { host, href: value } = new URL(href)
    return host.includes('.') || host.startsWith('localhost') ? { kind: 'url', text: bare, at: index, value } : null
  }).filter((one) => one !== null)

/** Punctuation behind an address is the sentence's; a bracket is, unless it was opened inside. */
function withoutTail(found: string): string {
  let end = found.length
  let open = 0
  for (const letter of found) open += letter === '(' ? 1 : letter === ')' ? -1 : 0
  for (; end > 0; end--) {
    const last = found[end - 1]!
    if (last === ')' && open < 0) open++
    else if (!/[.,;:!?*…»”’]/.test(last)) break
  }
  return found.slice(0, end)
}

const EMAIL =
  /(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])/g

export const emails: Rule = (text) =>
  Array.from(text.matchAll(EMAIL), ({ 0: found, index }): Entity | null => {
    const [local, domain] = found.split('@') as [string, string]
    if (local.endsWith('.') || local.includes('..')) return null
    return { kind: 'email', text: found, at: index, value: `${local}@${domain.toLowerCase()}` }
  }).filter((one) => one !== null)

/** How long an account number of a country is. */
const LENGTHS: Record<string, number> = {
  ...{ AT: 20, BE: 16, CH: 21, CZ: 24, DE: 22, DK: 18, EE: 20, ES: 24, FI: 18, FR: 27, GB: 22, GR: 27, HR: 21, HU: 28 },
  ...{ IE: 22, IT: 27, LT: 20, LU: 20, LV: 21, NL: 18, NO: 15, PL: 28, PT: 25, RO: 24, SE: 24, SI: 19, SK: 24 },
}

/** Only those whose check digits fit: anything else that looks like one is a number of another kind, or a slip. */
export const ibans: Rule = (text) =>
  Array.from(text.matchAll(/(?<![A-Za-z0-9])[A-Z]{2}\d{2}/g), ({ 0: start, index }): Entity | null => {
    const length = LENGTHS[start.slice(0, 2)]
    if (length === undefined) return null
    let compact = ''
    let end = index
    for (; end < text.length && compact.length < length; end++) {
      const letter = text[end]!
      if (/[A-Z0-9]/.test(letter)) compact += letter
      else if (letter !== ' ' || text[end - 1] === ' ') return null
    }
    if (compact.length < length || /[A-Za-z0-9]/.test(text[end] ?? '') || !checks(compact)) return null
    return { kind: 'iban', text: text.slice(index, end), at: index, value: compact }
  }).filter((one) => one !== null)

/** ISO 7064, mod 97-10. */
function checks(iban: string): boolean {
  const digits = (iban.slice(4) + iban.slice(0, 4)).replace(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55))
  let rest = 0
  for (const digit of digits) rest = (rest * 10 + Number(digit)) % 97
  return rest === 1
}
