/**
 * Server-sent events read with fetch. EventSource is not used: it cannot send an Authorization header and one 502 ends
 * it for ever. Gives whole frames only; an event that was cut off in the middle is dropped. Must never say why a stream
 * ended: the reader asks the job.
 */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { type ClientClock, LATE, within } from './clock.js'

export interface Frame {
  event: string
  id: string | null
  /** Parsed JSON, or undefined when it was none. */
  data: unknown
}

/** Thrown when nothing came for too long, not even a heartbeat. */
export class StreamSilentError extends Error {
  override readonly name = 'StreamSilentError'
}

// A frame holds one job; the result inside it is at most 256 KiB.
const MAX_FRAME = 8 * 1024 * 1024

/**
 * Frames of an event stream until it is closed.
 * @param silenceMs the server sends a heartbeat every 15 s; after this much silence the line is considered cut
 * @throws StreamSilentError, and whatever the network throws
 */
export async function* readFrames(
  body: ReadableStream<Uint8Array>,
  clock: ClientClock,
  silenceMs: number,
): AsyncGenerator<Frame, void> {
  const waiting: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => waiting.push(event), maxBufferSize: MAX_FRAME })
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    for (;;) {
      const chunk = await within(clock, silenceMs, reader.read())
      if (chunk === LATE) throw new StreamSilentError(`Nothing came for ${silenceMs} ms.`)
      if (chunk.done) return
      parser.feed(decoder.decode(chunk.value, { stream: true }))
      for (let next = waiting.shift(); next; next = waiting.shift()) yield frameOf(next)
    }
  } finally {
    // Not awaited: cancelling a dead connection may take for ever.
    reader.cancel().catch(() => {})
  }
}

function frameOf(message: EventSourceMessage): Frame {
  let data: unknown
  try {
    data = JSON.parse(message.data)
  } catch {
    // Stays undefined: the frame then only hints that something happened.
  }
  return { event: message.event ?? 'message', id: message.id ?? null, data }
}
