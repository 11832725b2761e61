// Drains one output pipe of a child and keeps its beginning, or its end.
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

  /** @param onOverflow null: the end is kept, and there is never too much */
  constructor(stream: Readable, limit: number, onChunk: (chunk: Buffer) => void, onOverflow: (() => void) | null) {
    stream.on('data', (data: Buffer) => {
      this.received += data.length
      this.lastAt = performance.now()
      if (!onOverflow) {
        this.#keepEnd(data, limit)
        return onChunk(data)
      }
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

  #keepEnd(data: Buffer, limit: number): void {
    this.#chunks.push(data)
    this.#kept += data.length
    for (let [oldest] = this.#chunks; oldest && this.#kept - oldest.length >= limit; [oldest] = this.#chunks) {
      this.#chunks.shift()
      this.#kept -= oldest.length
    }
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#kept)
  }
}
