// Files that children leave behind: core files, and temporary files of engines that write where they like.
// Must never follow a symbolic link, never remove what cannot be told to be a core file, and nothing that is open.
import { constants, readdirSync, statSync } from 'node:fs'
import { lstat, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { listPids } from './procfs.js'
import { totals } from './totals.js'

export interface SweepOptions {
  /** Least age (by modification time) in milliseconds. 0 takes all. */
  maxAgeMs: number
  /** Take every regular file with a core file's name without looking inside; for private directories. @default false */
  trustNames?: boolean
}

/**
 * Removes `core` and `core.<pid>` from a directory (not below it) and says how much disk that freed. Regular files only,
 * links are never followed. A file must also begin like an ELF core, so that a caller's own file called `core` stays.
 * What cannot be read or removed is left alone; never rejects.
 */
export async function sweepCores(dir: string, options: SweepOptions): Promise<{ files: number; bytes: number }> {
  const swept = { files: 0, bytes: 0 }
  const names = await readdir(dir).catch(() => [])
  for (const name of names) {
    if (!/^core(\.\d+)?$/.test(name)) continue
    const path = join(dir, name)
    try {
      const stat = await lstat(path)
      const oldEnough = options.maxAgeMs <= 0 || Date.now() - stat.mtimeMs >= options.maxAgeMs
      if (!stat.isFile() || !oldEnough || !(options.trustNames || (await isCore(path)))) continue
      await unlink(path)
      // Core files are sparse: gigabytes long, far fewer on disk.
      const bytes = stat.blocks > 0 ? Math.min(stat.size, stat.blocks * 512) : stat.size
      swept.files += 1
      swept.bytes += bytes
      totals.cores += 1
      totals.coreBytes += bytes
    } catch {
      // Gone or not ours: another sweep was faster, or the next one tries again.
    }
  }
  return swept
}

/** ELF magic and e_type ET_CORE (4) in either byte order. */
async function isCore(path: string): Promise<boolean> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(18), 0, 18, 0)
    if (bytesRead < 18 || buffer.toString('latin1', 0, 4) !== '\x7fELF') return false
    return (buffer[5] === 2 ? buffer.readUInt16BE(16) : buffer.readUInt16LE(16)) === 4
  } finally {
    await file.close()
  }
}

/** Which files of a folder are rubbish; all of it must hold. */
export interface FileSweep {
  /** Names, for example `/^lu\d+\w*\.tmp$/`. Without a global flag. */
  names: RegExp
  /** Least age (by modification time) in milliseconds. */
  olderThanMs: number
  /** Least size in bytes. @default 0 */
  largerThanBytes?: number
  /** User id of the owner. @default the user of this process */
  owner?: number
}

/**
 * Removes temporary files that engines left in a shared folder (not below it), by name, age, size and owner. Regular files
 * only; one that any process holds open stays, as far as this user may see that. Never rejects.
 */
export async function sweepFiles(dir: string, what: FileSweep): Promise<{ files: number; bytes: number }> {
  const swept = { files: 0, bytes: 0 }
  const owner = what.owner ?? process.getuid?.()
  let inUse: Set<string> | null = null
  for (const name of await readdir(dir).catch(() => [])) {
    if (!what.names.test(name)) continue
    const path = join(dir, name)
    try {
      const stat = await lstat(path)
      const fits = stat.isFile() && stat.uid === owner && stat.size >= (what.largerThanBytes ?? 0)
      if (!fits || Date.now() - stat.mtimeMs < what.olderThanMs) continue
      inUse ??= openFiles()
      if (inUse.has(`${stat.dev}:${stat.ino}`)) continue
      await unlink(path)
      const bytes = stat.blocks > 0 ? Math.min(stat.size, stat.blocks * 512) : stat.size
      swept.files += 1
      swept.bytes += bytes
      totals.files += 1
      totals.fileBytes += bytes
    } catch {
      // Gone meanwhile, or not ours to remove.
    }
  }
  return swept
}

function openFiles(): Set<string> {
  const open = new Set<string>()
  for (const pid of listPids()) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const stat = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false })
        if (stat?.isFile()) open.add(`${stat.dev}:${stat.ino}`)
      }
    } catch {
      // Another user's, or it has just ended.
    }
  }
  return open
}
