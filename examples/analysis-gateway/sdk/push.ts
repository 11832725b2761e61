// The end of an analysis as it happens, over one WebSocket for all that are watched. What is pushed is a hint; what counts
// is the status that is read afterwards. Comes back by itself after every cut, and misses no end.
import { createClient, type SocketOptions } from 'untildone/client'
import type { AnalysisClient } from './client.js'
import { type AnalysisStatus, isFinal, type StatusWord, WORDS } from './types.js'

export interface PushOptions {
  /** Class of the sockets. @default the global one; in Node 20 that of the package `ws` */
  WebSocket?: SocketOptions['WebSocket']
  /** Told when the connection opens and breaks. */
  onState?: SocketOptions['onState']
}

export interface Change {
  jobId: string
  status: StatusWord
  /** One line for people, while it is in progress. */
  message: string | null
  /** True for the last one. */
  final: boolean
}

export interface Push {
  /** As it is now, then each change, the end last. */
  changes(jobId: string, signal?: AbortSignal): AsyncIterable<Change>
  /** Resolves with the end, as the status says it. */
  ended(jobId: string, signal?: AbortSignal): Promise<AnalysisStatus>
  /** Stops watching; the analyses go on. */
  close(): void
}

export function pushFrom(
  { url, key, client }: { url: string; key?: string; client: AnalysisClient },
  options: PushOptions = {},
): Push {
  const socket = createClient({ url, key }).socket(options)

  async function* changes(jobId: string, signal?: AbortSignal): AsyncGenerator<Change> {
    for await (const item of socket.subscribe({ jobId: [jobId] }, { signal })) {
      const { status, progress } = 'job' in item ? item.job : item.data
      const word = WORDS[status]
      yield { jobId, status: word, message: progress?.message ?? null, final: isFinal(word) }
      if (isFinal(word)) return
    }
  }

  return {
    changes,
    async ended(jobId, signal) {
      for await (const { final } of changes(jobId, signal)) if (final) return client.status(jobId, signal)
      throw new Error(`The push was closed before ${jobId} had ended; it goes on all the same.`)
    },
    close: () => socket.close(),
  }
}
