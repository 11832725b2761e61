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
 * `npm install` of these packages: from the npm cache where that is enough, so that it works offline after `npm ci`.
 * @returns null, or why it cannot be done here
 * @throws when npm failed for another reason
 */
export async function install(folder: string, packages: string[]): Promise<string | null> {
  const npm = (...args: string[]) => exec('npm', args, { cwd: folder, timeoutMs: 300_000 })
  const args = ['install', '--no-audit', '--no-fund', ...packages]
  if ((await npm(...args, '--offline')).code === 0) return null
  // npm itself would try for minutes before it gives up.
  const asked = await npm('view', 'zod', 'version', '--prefer-online', '--fetch-retries=0', '--fetch-timeout=15000')
  if (asked.code !== 0) {
    const why = /\bE[A-Z_]{4,}\b/.exec(asked.stderr)?.[0] ?? `exit code ${asked.code}`
    return `needs the npm registry, which cannot be reached (${why}), or a filled npm cache; enable: npm ci with a network`
  }
  const { code, stdout, stderr } = await npm(...args)
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
  return null
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
