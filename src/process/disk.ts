// How much room a disk has: below a floor no child is started, because what it would leave is half a file.
// Must never keep an answer for long: room comes back by itself, and then children start again.
import { statfs } from 'node:fs/promises'

/** Room on the disk of one folder. */
export interface Disk {
  dir: string
  freeBytes: number
  /** Files that can still be made; null where the file system does not count them. */
  freeFiles: number | null
  /** Less than the floor is left. */
  low: boolean
}

/** Bytes that must be free before a child is started. */
export const DISK_FLOOR_BYTES = 100 * 1024 * 1024
const FLOOR_FILES = 1_000
const KEPT_MS = 250

const kept = new Map<string, { at: number; disk: Promise<Disk> }>()

/** Asks the file system at most four times in a second, however many children start. Never rejects. */
export function diskOf(dir: string, floorBytes = DISK_FLOOR_BYTES): Promise<Disk> {
  const now = performance.now()
  const key = `${floorBytes} ${dir}`
  const last = kept.get(key)
  if (last && now - last.at < KEPT_MS) return last.disk
  // One entry per folder that is asked for; callers have few.
  if (kept.size > 100) kept.clear()
  const disk = read(dir, floorBytes)
  kept.set(key, { at: now, disk })
  return disk
}

async function read(dir: string, floorBytes: number): Promise<Disk> {
  try {
    const { bavail, bsize, files, ffree } = await statfs(dir)
    const freeBytes = bavail * bsize
    // Some file systems count no files at all.
    const freeFiles = files > 0 ? ffree : null
    const low = freeBytes < floorBytes || (floorBytes > 0 && freeFiles !== null && freeFiles < FLOOR_FILES)
    return { dir, freeBytes, freeFiles, low }
  } catch {
    // A folder that is not there is refused with better words by whoever uses it.
    return { dir, freeBytes: Infinity, freeFiles: null, low: false }
  }
}
