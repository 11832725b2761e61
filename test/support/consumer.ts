/**
 * A project that has Untildone installed from its tarball, in a folder outside the repository whose path has spaces.
 */
import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ensureBuilt } from '../../scripts/lib/ensure.mjs'
import { pack } from '../../scripts/lib/pack.mjs'
import { exec } from './programs.js'

export interface Packed {
  /** Temporary folder that holds everything; remove it at the end. */
  folder: string
  tarball: string
  files: string[]
  bytes: number
}

/** Builds when the sources have changed, and packs. */
export async function packFresh(): Promise<Packed> {
  await ensureBuilt()
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'untildone-package-')))
  return { folder, ...pack(folder) }
}

/** Writes files below a folder, making what is missing. */
export function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/**
 * `npm install` of these packages, preferring the npm cache, so that it works offline after `npm ci`.
 * @returns null, or why the registry could not be reached
 * @throws when npm failed for another reason
 */
export async function install(folder: string, packages: string[]): Promise<string | null> {
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages]
  const { code, stdout, stderr } = await exec('npm', args, { cwd: folder, timeoutMs: 300_000 })
  if (code === 0) return null
  const network =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT)\b/.exec(stderr)
  if (network)
    return `needs the npm registry, which cannot be reached (${network[1]}), or a filled npm cache; enable: npm ci with a network`
  throw new Error(`npm ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
}

/** Whether a port of this machine can be taken now. */
export async function portIsFree(port: number): Promise<boolean> {
  return (await tryPort(port)) !== null
}

export async function freePort(): Promise<number> {
  return (await tryPort(0))!
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen(port, '127.0.0.1', () => {
      const taken = (server.address() as AddressInfo).port
      server.close(() => resolve(taken))
    })
  })
}
