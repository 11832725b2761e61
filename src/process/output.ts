// Drains one output pipe of a child and keeps its beginning.
// Must never stop reading: a child whose pipe nobody reads blocks for ever.
import type { Readable } from 'node:stream'

export class Output {
  /** More arrived than is kept. */
  overflowed = false
  /** Bytes that arrived, kept or not. */
  received = 0
  /** When the last of them did, on the monotonic clock. */
  lastAt = performance.now()
  #chunks: Buffer[] = []
  #kept = 0

  constructor(stream: Readable, limit: number, onChunk: (chunk: Buffer) => void, onOverflow: () => void) {
    stream.on('data', (data: Buffer) => {
      this.received += data.length
      this.lastAt = performance.now()
      const room = limit - this.#kept
      const chunk = data.length > room ? data.subarray(0, room) : data
      if (chunk.length > 0) {
        this.#kept += chunk.length
        this.#chunks.push(chunk)
        onChunk(chunk)
      }
      if (chunk.length < data.length && !this.overflowed) {
        this.overflowed = true
        onOverflow()
      }
    })
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#kept)
  }
}
