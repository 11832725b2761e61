// How an API wants to know who asks, as prose and examples say it.
import type { Facts } from './facts.js'

type Auth = Facts['auth'][number]

const HEADER = /`?\b((?:X-)?[A-Za-z]+(?:-[A-Za-z]+)*-?(?:Key|Token|Secret))`?/
const CURL_HEADER = /(?:-H|--header)\s+["'](\w[\w-]*):\s*([^"']*)["']/g

/** @param isAbout whether the section is about this; elsewhere only what cannot be meant otherwise counts */
export function authIn(text: string, isAbout: boolean): Auth[] {
  const found: Auth[] = []
  if (/authorization:?\s*`?\s*bearer\b/i.test(text)) found.push(bearer)
  if (/authorization:?\s*`?\s*basic\b/i.test(text) || /\bcurl\b[^\n]*\s-u\s/.test(text)) found.push(basic)
  for (const [, name, value] of text.matchAll(CURL_HEADER)) {
    if (/^authorization$/i.test(name!) && !/^(bearer|basic)\b/i.test(value!))
      found.push({ kind: 'header', name: name! })
    if (!/^authorization$/i.test(name!) && HEADER.test(name!) && !/idempotency/i.test(name!))
      found.push({ kind: 'header', name: name! })
  }
  if (!isAbout) return found
  if (/\bbearer\b/i.test(text)) found.push(bearer)
  if (/\b(http )?basic auth\w*\b/i.test(text)) found.push(basic)
  const header = /\bheader\b/i.test(text) ? HEADER.exec(text)?.[1] : undefined
  if (header) found.push({ kind: 'header', name: header })
  const query =
    /`(\w*(?:key|token))`[^.]*\b(?:query (?:string|parameter)|parameter)\b|\b(?:query (?:string|parameter))\b[^.]*`(\w*(?:key|token))`/i.exec(
      text,
    )
  if (query) found.push({ kind: 'query', name: query[1] ?? query[2]! })
  return found
}

const bearer: Auth = { kind: 'bearer', name: null }
const basic: Auth = { kind: 'basic', name: null }
