/**
 * Where the bytes of files are: the contract, and the disk that keeps them. A file is either whole, synced and under its
 * final name, or it is not there; what an interrupted upload left is removed at the next start.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { UntildoneError } from '../core/errors.js'
import { isFileId } from '../core/file-id.js'

export interface FileBytes {
  /** Writes, hashes and syncs. @throws UntildoneError `payload-too-large`; nothing is left then */
  put(id: string, source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<{ bytes: number; sha256: string }>
  path(id: string): string
  stream(id: string): ReadableStream<Uint8Array>
  remove(id: string): Promise<void>
  /** Ids of all files kept that no other process can be storing just now, and removal of unfinished uploads. Called once at start. */
  recover(): Promise<string[]>
}

/** What another process may be writing is left alone for so long. */
const OTHERS_MS = 3_600_000

/**
 * Files in a folder: `<dir>/<id>`, uploads in `<dir>/uploads`.
 * @param shared the present instant, where other processes keep their files here as well
 */
export function diskFiles(dir: string, shared: (() => number) | null = null): FileBytes {
  const isOld = async (path: string): Promise<boolean> => {
    if (shared === null) return true
    const found = await stat(path).catch(() => null)
    return found !== null && found.mtimeMs < shared() - OTHERS_MS
  }
  const uploads = join(dir, 'uploads')
  let ready: Promise<unknown> | null = null
  const prepare = () => (ready ??= mkdir(uploads, { recursive: true, mode: 0o700 }))
  return {
    async put(id, source, maxBytes) {
      await prepare()
      const temporary = join(uploads, id)
      const handle = await open(temporary, 'wx', 0o600)
      try {
        const hash = createHash('sha256')
        let bytes = 0
        for await (const chunk of source) {
          bytes += chunk.byteLength
          if (bytes > maxBytes)
            throw new UntildoneError('payload-too-large', `The file is larger than ${maxBytes} bytes.`, {
              params: { maxBytes },
            })
          hash.update(chunk)
          for (let at = 0; at < chunk.byteLength; ) at += (await handle.write(chunk, at)).bytesWritten
        }
        await handle.sync()
        await handle.close()
        await rename(temporary, join(dir, id))
        const folder = await open(dir, 'r')
        await folder.sync().finally(() => folder.close())
        return { bytes, sha256: hash.digest('hex') }
      } catch (error) {
        await handle.close().catch(() => undefined)
        await rm(temporary, { force: true })
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
          throw new UntildoneError('store-unavailable', 'The disk is full, so the file cannot be kept.', {
            params: { reason: 'disk-full' },
            retryAfterMs: 5000,
            cause: error,
          })
        }
        throw error
      }
    },
    path: (id) => join(dir, id),
    stream: (id) => Readable.toWeb(createReadStream(join(dir, id))) as ReadableStream<Uint8Array>,
    remove: (id) => rm(join(dir, id), { force: true }),
    async recover() {
      await prepare()
      for (const name of await readdir(uploads))
        if (await isOld(join(uploads, name))) await rm(join(uploads, name), { force: true })
      // Nothing but what was stored here: the folder may hold other things.
      const ids = (await readdir(dir)).filter((name) => isFileId(name))
      const old = await Promise.all(ids.map((id) => isOld(join(dir, id))))
      return ids.filter((_, i) => old[i])
    },
  }
}
