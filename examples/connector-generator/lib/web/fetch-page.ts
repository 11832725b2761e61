// The only way to the web: hosts that were allowed, a few redirects, a limit for size and time. Every hop is checked, so
// that a page cannot send the crawler to another host.
import { createHash } from 'node:crypto'
import { Permanent } from 'untildone'

const REDIRECTS = 5

export interface WebRules {
  /** `host` or `host:port`; nothing else is ever asked. */
  hosts: ReadonlySet<string>
  /** @default 4 MiB */
  maxBytes?: number
  /** @default 10 000 */
  timeoutMs?: number
}

export interface Page {
  /** After redirects. */
  url: string
  contentType: string
  body: string
}

/** An answer that is not 2xx. The product judges it by its `status`: 503 is tried again, 404 is not. */
export class HttpError extends Error {
  override name = 'HttpError'
  constructor(
    readonly url: string,
    readonly status: number,
    readonly retryAfterMs = 0,
  ) {
    super(`${url} answered ${status}`)
  }
}

/** @throws HttpError; Permanent `host-refused`, `page-too-large`; what fetch throws when there is no connection */
export async function fetchPage(url: string, rules: WebRules, signal: AbortSignal): Promise<Page> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(rules.timeoutMs ?? 10_000)])
  let at = url
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    assertAllowed(at, rules)
    const answer = await fetch(at, {
      redirect: 'manual',
      signal: limit,
      headers: { accept: 'text/html, application/json, application/yaml, text/markdown, text/plain;q=0.8' },
    })
    const location = answer.headers.get('location')
    if (answer.status >= 300 && answer.status < 400 && location) {
      await answer.body?.cancel()
      at = new URL(location, at).href
      continue
    }
    if (!answer.ok) {
      await answer.body?.cancel()
      throw new HttpError(at, answer.status, retryAfterOf(answer))
    }
    const body = await textOf(answer, rules.maxBytes ?? 4 << 20, at)
    return { url: withoutHash(at), contentType: answer.headers.get('content-type') ?? '', body }
  }
  throw new Permanent(`${url} redirects more than ${REDIRECTS} times.`, { code: 'too-many-redirects' })
}

export function isAllowed(url: string, { hosts }: WebRules): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, host } = new URL(url)
  return /^https?:$/.test(protocol) && hosts.has(host)
}

/** @throws Permanent `host-refused` */
export function assertAllowed(url: string, rules: WebRules): void {
  if (isAllowed(url, rules)) return
  throw new Permanent(`Invalid input: ${url} is not on a host that may be read.`, {
    code: 'host-refused',
    details: { hosts: [...rules.hosts] },
  })
}

/** The same page under one name. */
export function withoutHash(url: string): string {
  const parsed = new URL(url)
  parsed.hash = ''
  return parsed.href
}

/** A short name for a page or a text, fit for a step: the same in every attempt. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

async function textOf(answer: Response, maxBytes: number, url: string): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of answer.body ?? []) {
    bytes += part.byteLength
    // Leaving the loop cancels the stream.
    if (bytes > maxBytes) throw new Permanent(`${url} is larger than ${maxBytes} bytes.`, { code: 'page-too-large' })
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function retryAfterOf({ headers }: Response): number {
  const seconds = Number(headers.get('retry-after'))
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0
}
