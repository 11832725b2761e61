/**
 * A free port, and who has the one that is taken. The holder is read from procfs, so it is known on Linux only, and only
 * for processes that we may look into; nothing depends on it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { CliError, EXIT } from './failure.js'

export interface Holder {
  name: string
  pid: number
}

/** True when `host:port` can be listened on now. */
export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else if (error.code === 'EACCES')
        reject(
          new CliError('port-not-allowed', `Port ${port} may not be used by this user.`, {
            fix: 'Give another one: --port 4884',
            exit: EXIT.notAllowed,
          }),
        )
      else reject(error)
    })
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

/** The first free port from `from` on. @throws CliError after 100 of them */
export async function freePort(from: number, host: string): Promise<number> {
  for (let port = from; port < Math.min(from + 100, 65_536); port++) if (await isFree(port, host)) return port
  throw new CliError('port-in-use', `No free port from ${from} on.`, {
    fix: 'Give one: --port 8080',
    exit: EXIT.conflict,
  })
}

/** `4884 is in use (node, pid 3121).` */
export function inUse(port: number, holder: Holder | null): string {
  return `${port} is in use${holder ? ` (${holder.name}, pid ${holder.pid})` : ''}.`
}

/** The process that listens on a TCP port, or null when that cannot be known. */
export function holderOf(port: number): Holder | null {
  try {
    const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listening(table, port)))
    if (inodes.size === 0) return null
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (!holds(pid, inodes)) continue
      return { name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), pid: Number(pid) }
    }
  } catch {
    // No procfs here.
  }
  return null
}

function listening(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  try {
    return readFileSync(table, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[1]?.endsWith(`:${wanted}`) && columns[3] === '0A')
      .map((columns) => `socket:[${columns[9]}]`)
  } catch {
    return []
  }
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`))
      } catch {
        return false
      }
    })
  } catch {
    return false
  }
}
