// Files that children leave behind: core files and private work directories.
// Must never follow a symbolic link and never remove what cannot be told to be a core file.
import { constants } from 'node:fs'
import { chmod, lstat, mkdtemp, open, readdir, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
      swept.files += 1
      // Core files are sparse: gigabytes long, far fewer on disk.
      swept.bytes += stat.blocks > 0 ? Math.min(stat.size, stat.blocks * 512) : stat.size
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

/** A fresh directory that only this user can enter (mkdtemp gives it mode 0700). Rejects when there is no room for it. */
export function createWorkDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'untildone-'))
}

/** Removes a work directory with all that is in it; links are removed, not followed. Rejects when something stays. */
export async function removeWorkDir(dir: string): Promise<void> {
  const remove = () => rm(dir, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 })
  await remove().catch(async () => {
    // A child may have taken away its own write permission on directories; root does not notice, others do.
    await unlock(dir)
    await remove()
  })
}

async function unlock(dir: string): Promise<void> {
  if (!(await lstat(dir)).isDirectory()) return
  await chmod(dir, 0o700)
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await unlock(join(dir, entry.name))
  }
}
