/**
 * Which server to talk to, and the note that dev and serve leave about themselves in the data folder. Order: flag, then
 * environment, then the note, then the default. The note is only believed for loopback and for our own files, because
 * a key from the environment may be sent to that address.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const DEFAULT_PORT = 4884
export const DEFAULT_URL = `http://localhost:${DEFAULT_PORT}`
export const DATA_DIR = '.untildone'

export interface ServerNote {
  url: string
  pid: number
  kind: 'dev' | 'serve'
  startedAt: string
}

export interface Address {
  url: string
  key: string | undefined
  from: 'flag' | 'environment' | 'note' | 'default'
}

export function addressOf(
  flags: { url?: string; apiKey?: string },
  env: Record<string, string | undefined>,
  cwd: string,
): Address {
  const key = flags.apiKey ?? (env.UNTILDONE_KEY || undefined)
  if (flags.url) return { url: flags.url, key, from: 'flag' }
  if (env.UNTILDONE_URL) return { url: env.UNTILDONE_URL, key, from: 'environment' }
  const note = readNote(join(cwd, DATA_DIR))
  return note ? { url: note.url, key, from: 'note' } : { url: DEFAULT_URL, key, from: 'default' }
}

/** The note of a server that still runs, or null. */
export function readNote(dataDir: string): ServerNote | null {
  try {
    const path = join(dataDir, 'server.json')
    if (process.getuid && statSync(path).uid !== process.getuid()) return null
    const note = JSON.parse(readFileSync(path, 'utf8')) as ServerNote
    const { hostname, protocol } = new URL(note.url)
    if (protocol !== 'http:' || !['localhost', '127.0.0.1', '[::1]'].includes(hostname)) return null
    return Number.isInteger(note.pid) && isAlive(note.pid) ? note : null
  } catch {
    return null
  }
}

export function writeNote(dataDir: string, note: ServerNote): void {
  mkdirSync(dataDir, { recursive: true })
  const path = join(dataDir, 'server.json')
  writeFileSync(`${path}.${process.pid}`, `${JSON.stringify(note, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.${process.pid}`, path)
}

/** Removes the note if it is still the one of `pid`. */
export function removeNote(dataDir: string, pid: number): void {
  try {
    const path = join(dataDir, 'server.json')
    if ((JSON.parse(readFileSync(path, 'utf8')) as ServerNote).pid === pid) rmSync(path)
  } catch {
    // Nothing there: nothing to remove.
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
