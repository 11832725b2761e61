/**
 * Who may talk to a server that has no API key yet: programs of this machine and pages of its own origin. Judges Host,
 * Origin, Sec-Fetch-Site and the peer's address, so that neither DNS rebinding nor a foreign page gets through.
 */
import { UntildoneError } from '../core/index.js'
import type { Env } from './route.js'

/** True for names and addresses that never leave this machine: localhost, 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return (
    name === 'localhost' ||
    name === '::1' ||
    name === '[::1]' ||
    /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  )
}

/** The name in a Host header, without port and brackets, in lower case. */
export function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(host)
  return (bracketed ? bracketed[1]! : host.replace(/:\d*$/, '')).toLowerCase()
}

function hostOf(request: Request): string {
  return request.headers.get('host') ?? new URL(request.url).host
}

/** @throws UntildoneError host-not-allowed */
export function guardLoopback(
  request: Request,
  env: Env,
  allowedHosts: ReadonlySet<string>,
  origins: ReadonlySet<string>,
): void {
  const peer = env.incoming?.socket?.remoteAddress
  if (peer !== undefined && !isLoopback(peer)) {
    throw refused(`This server has no API key yet, so it answers programs of its own machine only, not ${peer}.`, {
      peer,
    })
  }
  // A tunnel or proxy on this machine makes everybody look local; those that say so give the true address.
  const stranger = forwardedFor(request).find((address) => !isLoopback(hostName(address)))
  if (stranger !== undefined) {
    throw refused(`This server has no API key yet, and this request was passed on for ${stranger}.`, { peer: stranger })
  }
  const host = hostOf(request)
  const name = hostName(host)
  if (!isLoopback(name) && !allowedHosts.has(name)) {
    throw refused(`This server has no API key yet, so it answers for loopback names only, not for "${name}".`, {
      host: name,
    })
  }
  guardOrigin(request, origins)
}

/** Addresses in X-Forwarded-For and Forwarded (RFC 7239). */
function forwardedFor(request: Request): string[] {
  const plain = request.headers.get('x-forwarded-for')?.split(',') ?? []
  const standard = request.headers.get('forwarded')?.matchAll(/\bfor\s*=\s*"?([^",;\s]+)/gi) ?? []
  return [...plain, ...Array.from(standard, (match) => match[1]!)].map((address) => address.trim().slice(0, 100))
}

/**
 * Refuses requests that a page of another site makes with whatever credentials its browser holds.
 * @throws UntildoneError host-not-allowed
 */
export function guardOrigin(request: Request, origins: ReadonlySet<string>): void {
  const origin = request.headers.get('origin')
  if (origin !== null) {
    if (origins.has(origin)) return
    const same = URL.canParse(origin) && new URL(origin).host === hostOf(request).toLowerCase()
    if (!same) throw refused(`Pages of ${origin} may not call this server.`, { origin })
  }
  if (request.headers.get('sec-fetch-site') === 'cross-site') {
    throw refused('A page of another site may not call this server.', { origin })
  }
}

function refused(detail: string, params: Record<string, unknown>): UntildoneError {
  return new UntildoneError('host-not-allowed', detail, { params })
}
