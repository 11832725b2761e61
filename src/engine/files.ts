/**
 * Files of callers: bytes first, synced; then the row, committed; only then an id is given out. A file that no job
 * refers to is removed after its grace.
 */
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { WireFile } from '../core/wire.js'
import type { OpenFile } from '../define/context.js'
import type { FileBytes } from '../stores/files.js'
import type { FileRow } from '../stores/store.js'
import type { Caller } from './api.js'
import type { EngineParts } from './parts.js'
import { demand, holds } from './rights.js'
import { iso } from './view.js'

export const FILE_GRACE_MS = 86_400_000

export class Files {
  constructor(private readonly parts: EngineParts) {}

  async add(
    caller: Caller,
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    meta: { contentType: string; name: string | null; maxBytes: number },
  ): Promise<WireFile> {
    demand(caller, 'jobs:submit')
    return wireFile(
      await this.store(
        caller.tenant,
        `${caller.actor.kind}:${caller.actor.id}`,
        source as AsyncIterable<Uint8Array>,
        meta,
      ),
    )
  }

  /** Bytes, sync, row; the row's commit is the moment at which the file exists. `jobId`: the job that makes it and keeps it. */
  async store(
    tenant: string,
    createdBy: string,
    source: AsyncIterable<Uint8Array>,
    meta: { contentType: string; name: string | null; maxBytes: number },
    jobId?: string,
  ): Promise<FileRow> {
    const { entropy, store, files } = this.parts
    const id = `file_${entropy.token(16)}`
    const { bytes, sha256 } = await files.put(id, source, meta.maxBytes)
    const now = store.now()
    const row: FileRow = {
      id,
      tenant,
      bytes,
      sha256,
      contentType: meta.contentType.slice(0, 200),
      name: meta.name?.slice(0, 255) ?? null,
      createdBy,
      createdAt: now,
      expiresAt: jobId === undefined ? now + FILE_GRACE_MS : null,
    }
    try {
      await store.files.add(row, jobId)
    } catch (error) {
      // The row may have been stored all the same: then its bytes must be there, else the next start removes them.
      if (!isUntildoneError(error) || error.code !== 'outcome-unknown') await files.remove(id)
      throw error
    }
    return row
  }

  async open(caller: Caller, id: string): Promise<{ meta: WireFile; file: OpenFile }> {
    const row = await this.parts.store.files.get(id)
    const own = row !== null && row.createdBy === `${caller.actor.kind}:${caller.actor.id}`
    if (!row || row.tenant !== caller.tenant || !(own || holds(caller, 'jobs:read'))) throw missing(id)
    return { meta: wireFile(row), file: openFile(row, this.parts.files) }
  }

  /** For handlers: any file of the job's tenant. */
  async openFor(tenant: string, id: string): Promise<OpenFile> {
    const row = await this.parts.store.files.get(id)
    if (!row || row.tenant !== tenant) throw missing(id)
    return openFile(row, this.parts.files)
  }

  /** Removes expired files; returns how many. */
  async sweep(limit: number): Promise<number> {
    const ids = await this.parts.store.files.sweep(this.parts.store.now(), limit)
    for (const id of ids) await this.parts.files.remove(id)
    return ids.length
  }

  /** At start: bytes without a row are what an interrupted upload left. */
  async recover(): Promise<number> {
    const found = await this.parts.files.recover()
    let removed = 0
    for (let i = 0; i < found.length; i += 500) {
      const some = found.slice(i, i + 500)
      const known = await this.parts.store.files.known(some)
      for (const id of some) {
        if (known.has(id)) continue
        await this.parts.files.remove(id)
        removed++
      }
    }
    return removed
  }
}

function openFile(row: FileRow, files: FileBytes): OpenFile {
  return {
    id: row.id,
    path: files.path(row.id),
    bytes: row.bytes,
    sha256: row.sha256,
    contentType: row.contentType,
    name: row.name,
    stream: () => files.stream(row.id),
  }
}

function wireFile(row: FileRow): WireFile {
  return {
    file: row.id,
    bytes: row.bytes,
    sha256: row.sha256,
    contentType: row.contentType,
    name: row.name,
    createdAt: iso(row.createdAt),
    expiresAt: iso(row.expiresAt),
  }
}

function missing(id: string): UntildoneError {
  return new UntildoneError('file-not-found', `There is no file ${id}.`, { params: { file: id } })
}
