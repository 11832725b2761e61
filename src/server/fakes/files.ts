/** Files of the fake engine, in a temporary folder. Never in the package. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UntildoneError, type WireFile } from '../../core/index.js'

export type ByteSource = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>
export interface FileMeta {
  contentType: string
  name: string | null
  maxBytes: number
}

export class FakeFiles {
  readonly #files = new Map<string, { meta: WireFile; path: string }>()
  #folder: string | null = null

  async add(source: ByteSource, { contentType, name, maxBytes }: FileMeta, createdAt: string): Promise<WireFile> {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'untildone-fake-'))
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength
      if (bytes > maxBytes) throw new UntildoneError('payload-too-large', undefined, { params: { maxBytes } })
      chunks.push(chunk)
    }
    const data = Buffer.concat(chunks)
    const file = `file_${this.#files.size + 1}`
    const path = join(this.#folder, file)
    writeFileSync(path, data)
    const sha256 = createHash('sha256').update(data).digest('hex')
    const meta: WireFile = { file, bytes, sha256, contentType, name, createdAt, expiresAt: null }
    this.#files.set(file, { meta, path })
    return meta
  }

  open(id: string) {
    const found = this.#files.get(id)
    if (!found) throw new UntildoneError('file-not-found')
    const { meta, path } = found
    const { bytes, sha256, contentType, name } = meta
    return {
      meta,
      file: { id, path, bytes, sha256, contentType, name, stream: () => new ReadableStream<Uint8Array>() },
    }
  }

  dispose(): void {
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true })
  }
}
