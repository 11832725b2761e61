// The private directory of one run: made before the child, filled with its input, emptied of its results, removed.
// Must never follow a link that a child has laid, and never remove the directory of a run that lives.
import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { ownerName, ownerState } from './owner.js'
import type { Collected, Plan } from './spec.js'
import { totals } from './totals.js'

const PREFIX = 'untildone-run-'
const CHUNK = 1024 * 1024
/** A live run touches its directory far more often than that. */
const FOREIGN_AGE_MS = 24 * 3_600_000

/** Where private directories are made. */
export function workRoot(): string {
  return tmpdir()
}

/** A fresh directory that only this user can enter (mkdtemp gives it mode 0700). Rejects when there is no room for it. */
export async function createWorkDir(
  { inputs, output = false }: { inputs?: Plan['inputs']; output?: boolean } = {},
  root = workRoot(),
): Promise<string> {
  const dir = await mkdtemp(join(root, `${PREFIX}${ownerName()}-`))
  try {
    // What an engine writes to its temporary folder goes with the run.
    await mkdir(join(dir, 'tmp'), 0o700)
    if (output) await mkdir(join(dir, 'output'), 0o700)
    if (inputs) await mkdir(join(dir, 'input'), 0o700)
    for (const [name, source] of Object.entries(inputs ?? {})) {
      const path = join(dir, 'input', name)
      if (typeof source === 'string' || source instanceof Uint8Array) await writeFile(path, source, { mode: 0o600 })
      else await copyFile(source.path, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    }
    return dir
  } catch (error) {
    await removeWorkDir(dir).catch(() => {})
    throw error
  }
}

/** Removes a work directory with all that is in it; links are removed, not followed. Rejects when something stays. */
export async function removeWorkDir(dir: string): Promise<void> {
  // Most children leave nothing behind: two calls instead of a dozen.
  if (await removeEmpty(dir)) return
  const remove = () => rm(dir, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 })
  await remove().catch(async () => {
    // A child may have taken away its own write permission on directories; root does not notice, others do.
    await unlock(dir)
    await remove()
  })
}

async function removeEmpty(dir: string): Promise<boolean> {
  try {
    await rmdir(join(dir, 'tmp'))
    await rmdir(dir)
    return true
  } catch {
    return false
  }
}

async function unlock(dir: string): Promise<void> {
  if (!(await lstat(dir)).isDirectory()) return
  await chmod(dir, 0o700)
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await unlock(join(dir, entry.name))
  }
}

/** Bytes that a directory takes on its disk, links not followed. What cannot be read counts as nothing. */
export async function sizeOf(dir: string): Promise<number> {
  let bytes = 0
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const path = join(dir, entry.name)
    const stat = await lstat(path).catch(() => null)
    if (stat) bytes += stat.blocks * 512
    if (entry.isDirectory()) bytes += await sizeOf(path)
  }
  return bytes
}

/** A file that a child should have left and that cannot be taken. */
export class CollectError extends Error {
  constructor(
    readonly code: 'output-missing' | 'output-refused' | 'output-write',
    message: string,
  ) {
    super(message)
  }
}

/**
 * Copies a result out of the directory of a run: to a temporary name, fsync, rename, fsync of the folder, so that half a
 * file is never seen under the real name. Only a regular file that really lies below `dir` is taken.
 */
export async function collectFile(dir: string, from: string, to: string): Promise<Collected> {
  const file = await openInside(dir, from)
  const temp = join(dirname(to), `.${basename(to)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const collected = { from, to, ...(await copyInto(file, temp)) }
    await rename(temp, to)
    await syncFolder(dirname(to))
    return collected
  } catch (error) {
    await rm(temp, { force: true }).catch(() => {})
    throw new CollectError('output-write', `${to} cannot be written: ${(error as Error).message}`)
  } finally {
    await file.close()
  }
}

/** Opens a regular file below `dir`. No component of its path may be a link that leads out. */
export async function openInside(dir: string, from: string): Promise<FileHandle> {
  const path = resolve(dir, from)
  const refuse = (why: string) => new CollectError('output-refused', `${from} is not taken: ${why}`)
  const missing = (error: NodeJS.ErrnoException) => {
    if (error.code === 'ELOOP') throw refuse('it is a link')
    throw new CollectError('output-missing', `${from} was not written (${error.code ?? error.message})`)
  }
  const [root, folder] = await Promise.all([realpath(dir), realpath(dirname(path)).catch(missing)])
  if (isOutside(root, folder)) throw refuse('it lies outside the directory of the run')
  const real = join(folder, basename(path))
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(missing)
  const [opened, named] = await Promise.all([file.stat(), lstat(real).catch(() => null)])
  if (opened.isFile() && named?.ino === opened.ino && named.dev === opened.dev) return file
  await file.close()
  throw refuse(opened.isFile() ? 'it was replaced meanwhile' : 'it is no regular file')
}

function isOutside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '..' || way.startsWith('../') || isAbsolute(way)
}

async function copyInto(source: FileHandle, path: string): Promise<{ bytes: number; sha256: string }> {
  const target = await open(path, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(CHUNK)
    let bytes = 0
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK, bytes)
      if (bytesRead === 0) break
      const part = buffer.subarray(0, bytesRead)
      hash.update(part)
      await target.writeFile(part)
      bytes += bytesRead
    }
    await target.sync()
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    await target.close()
  }
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r')
  await folder.sync().finally(() => folder.close())
}

/** What a sweep removed. */
export interface Swept {
  dirs: number
  bytes: number
}

/**
 * Removes the private directories of supervisors that are dead. One whose supervisor lives is never touched; where that
 * cannot be told (another boot, machine or container that shares the folder) only what nobody touched for `maxAgeMs` goes,
 * by default for a day. Directories of other users stay. Never rejects.
 */
export async function sweepWorkDirs({ root = workRoot(), maxAgeMs = FOREIGN_AGE_MS } = {}): Promise<Swept> {
  const swept = { dirs: 0, bytes: 0 }
  for (const name of await readdir(root).catch(() => [])) {
    const owner = new RegExp(`^${PREFIX}([\\da-f.]+)-\\w{6}$`).exec(name)?.[1]
    if (owner === undefined) continue
    const path = join(root, name)
    try {
      const stat = await lstat(path)
      const state = ownerState(owner)
      if (!stat.isDirectory() || stat.uid !== process.getuid?.() || state === 'alive') continue
      if (state === 'unknown' && Date.now() - stat.mtimeMs < maxAgeMs) continue
      const bytes = await sizeOf(path)
      await removeWorkDir(path)
      swept.dirs += 1
      swept.bytes += bytes
      totals.workDirs += 1
      totals.workDirBytes += bytes
    } catch {
      // Gone meanwhile, or the next sweep tries again.
    }
  }
  return swept
}
