/**
 * Hooks on what acts on the world: network, file writes, child processes. They report what a handler does outside its
 * steps, and let everything through. Code that no check runs passes unseen.
 */
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import diagnostics from 'node:diagnostics_channel'
import fs from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import type { Patches } from './patches.js'
import { placeOf } from './place.js'
import { within, zone } from './zones.js'

type Fn = (...args: any[]) => any

interface Act {
  /** `fetch POST http://127.0.0.1:1/` */
  what: string
  /** It changes something for sure; a job.read may do all else. */
  writes: boolean
}

const WRITERS = [
  ...['appendFile', 'chmod', 'chown', 'copyFile', 'cp', 'lchmod', 'lchown', 'link', 'lutimes', 'mkdir', 'mkdtemp'],
  ...['rename', 'rm', 'rmdir', 'symlink', 'truncate', 'unlink', 'utimes', 'writeFile'],
]
/** Sockets and requests that were reported when they were made. */
const reported = new WeakSet<object>()

/** Reports the act unless it is done where it may be. True: it was reported, and what it does inside is known too. */
function outside({ what, writes }: Act): boolean {
  const here = zone()
  if (!here || (here.kind !== 'handler' && here.kind !== 'read')) return false
  if (here.kind === 'read' && !writes) return false
  const inRead = here.kind === 'read'
  here.attempt.run.found({
    kind: inRead ? 'write-in-read' : 'effect-outside-step',
    place: placeOf() ?? here.attempt.last,
    what: `${what} ${inRead ? 'was done where the handler only looks' : 'was done outside a step'}`,
    fix: inRead
      ? "It happens again in every attempt. Move it into a job.step('…', …)."
      : "It happens again in every attempt. Wrap it in job.step('…', …), or in job.read('…', …) if it only looks and must be fresh.",
  })
  return true
}

/** Replaces `name` of `owner`: reports first, and does not report again what the original calls. */
function watch(patches: Patches, owner: object, name: string, act: (self: any, args: any[]) => Act | null): void {
  patches.replace(
    owner,
    name,
    (original: Fn) =>
      function (this: unknown, ...args: unknown[]): unknown {
        const here = zone()
        const done = here && act(this, args)
        if (!done || !outside(done)) return Reflect.apply(original, this, args)
        const made = within({ ...here, kind: 'ours' }, () => Reflect.apply(original, this, args))
        if (typeof made === 'object' && made !== null) reported.add(made)
        return made
      },
  )
}

export function watchEffects(patches: Patches): void {
  watchFiles(patches)
  watchChildren(patches)
  watchNetwork(patches)
}

function watchFiles(patches: Patches): void {
  for (const name of WRITERS)
    for (const [owner, full] of [[fs, name] as const, [fs, `${name}Sync`] as const, [fs.promises, name] as const])
      watch(patches, owner, full, (_, [path]) => ({ what: `fs ${full} ${pathOf(path)}`, writes: true }))
  for (const [owner, name] of [[fs, 'open'] as const, [fs, 'openSync'] as const, [fs.promises, 'open'] as const])
    watch(patches, owner, name, (_, [path, flags]) =>
      opensToWrite(flags) ? { what: `fs ${name} ${pathOf(path)} for writing`, writes: true } : null,
    )
  watch(patches, fs, 'createWriteStream', (_, [path]) => ({
    what: `fs createWriteStream ${pathOf(path)}`,
    writes: true,
  }))
}

function opensToWrite(flags: unknown): boolean {
  const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants
  if (typeof flags === 'number') return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)) !== 0
  return typeof flags === 'string' && /[wa+]/.test(flags)
}

function watchChildren(patches: Patches): void {
  const act = (_: unknown, [command]: unknown[]): Act => ({ what: `child process ${command}`, writes: false })
  for (const name of ['spawn', 'exec', 'execFile', 'fork', 'spawnSync', 'execSync', 'execFileSync'])
    watch(patches, childProcess, name, act)
  // What copies of these functions end in, such as promisify(execFile) at the top of a module.
  watch(patches, childProcess.ChildProcess.prototype, 'spawn', (_, [options]) => act(_, [options?.file]))
}

function watchNetwork(patches: Patches): void {
  watch(patches, globalThis, 'fetch', (_, [input, init]) => {
    const method = String(init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase()
    return { what: `fetch ${method} ${input instanceof Request ? input.url : input}`, writes: changes(method) }
  })
  for (const [module, protocol] of [[http, 'http'] as const, [https, 'https'] as const])
    for (const name of ['request', 'get'])
      watch(patches, module, name, (_, args) => {
        const options = args.find((arg) => typeof arg === 'object' && arg !== null && !(arg instanceof URL)) ?? {}
        const method = String(options.method ?? 'GET').toUpperCase()
        const [first] = args
        const to = typeof first === 'string' || first instanceof URL ? first : hostOf(options)
        return { what: `${protocol} ${method} ${to}`, writes: changes(method) }
      })
  for (const [module, name] of [
    [net, 'connect'] as const,
    [net, 'createConnection'] as const,
    [tls, 'connect'] as const,
  ])
    watch(patches, module, name, (_, args) => ({ what: `connection to ${targetOf(args)}`, writes: false }))
  watch(patches, http2, 'connect', (_, [to]) => ({ what: `connection to ${to}`, writes: false }))
  watch(patches, dgram.Socket.prototype, 'send', () => ({ what: 'datagram', writes: false }))
  watch(patches, net.Socket.prototype, 'connect', (_, args) => ({
    what: `connection to ${targetOf(args)}`,
    writes: false,
  }))
  // A connection that was there before, as in a pool. Not what children are written to, nor the terminal.
  for (const name of ['write', 'end'])
    watch(patches, net.Socket.prototype, name, (socket) =>
      socket.remoteAddress && !reported.has(socket) && !reported.has(socket._httpMessage)
        ? { what: `message to ${socket.remoteAddress}:${socket.remotePort} on an open connection`, writes: false }
        : null,
    )
  // What copies of fetch and of http.request end in.
  listen(patches, 'undici:request:create', ({ request }) => {
    const { method = 'GET', origin = '', path = '' } = request ?? {}
    return { what: `request ${method} ${origin}${path}`, writes: changes(String(method)) }
  })
  // Over a connection of its pool, too: what is written there is that request.
  observe(patches, 'undici:client:sendHeaders', ({ socket, request }) => {
    // One that becomes a WebSocket or a tunnel is written to by others later.
    if (socket && !request?.upgrade && request?.method !== 'CONNECT') reported.add(socket)
  })
  listen(patches, 'http.client.request.start', ({ request }) => {
    if (reported.has(request) || reported.has(request.socket)) return null
    const to = `${request.getHeader('host') ?? ''}${request.path}`
    return { what: `http ${request.method} ${to}`, writes: changes(request.method) }
  })
}

function listen(patches: Patches, channel: string, act: (message: any) => Act | null): void {
  observe(patches, channel, (message) => {
    const done = zone() && act(message)
    if (done) outside(done)
  })
}

function observe(patches: Patches, channel: string, listener: (message: any) => void): void {
  diagnostics.subscribe(channel, listener)
  patches.onRestore(() => diagnostics.unsubscribe(channel, listener))
}

function changes(method: string): boolean {
  return !['GET', 'HEAD', 'OPTIONS'].includes(method)
}

function pathOf(path: unknown): string {
  return typeof path === 'string' || path instanceof URL || Buffer.isBuffer(path) ? String(path) : 'a file'
}

function hostOf({ host, hostname, port }: { host?: string; hostname?: string; port?: number }): string {
  return `${hostname ?? host ?? 'localhost'}${port ? `:${port}` : ''}`
}

function targetOf(args: unknown[]): string {
  // Node hands the arguments on as one list.
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args
  if (typeof first === 'object' && first !== null)
    return 'path' in first && typeof first.path === 'string' ? first.path : hostOf(first)
  return typeof second === 'string' ? `${second}:${first}` : String(first)
}
