/** Opening an event stream: counted, aged, watched over, and given back however it ends; and the one over many jobs. */
import type { WireJob } from '../../core/index.js'
import { NO_STORE, type Reply, underBase } from '../reply.js'
import type { Call } from '../route.js'
import { Feed, type Sink } from './feed.js'
import { Filter, type StreamFilter } from './filter.js'
import { frameOf, type Item } from './news.js'
import { Channel } from './sse.js'

/** Why a stream ends. Only `done` says something about a job. */
export type EndReason = 'done' | 'age' | 'drain' | 'slow' | 'credential' | 'error'

interface Hooks {
  /** Called once, however it ends. */
  onClose(): void
  /** Called before a polite end. */
  beforeEnd?(): void
  pulse?(): string | null
}

/**
 * A stream for this caller.
 * @throws UntildoneError too-many-streams
 */
export function openChannel(call: Call<any, any>, { onClose, beforeEnd, pulse }: Hooks): Channel {
  const { holds, settings, engine, live, gate } = call.server
  const { limits } = settings
  const end = (reason: EndReason) => {
    beforeEnd?.()
    channel.end(reason)
  }
  const release = holds.take(call.caller, () => end('drain'))
  const life = engine.clock.after(lifeOf(call.server), () => end('age'))
  const unguard = live.credentials.guard(gate.credentialOf(call, call.request), () => channel.end('credential'))
  const gone = call.request.signal
  const onGone = () => channel.abandon()
  gone.addEventListener('abort', onGone, { once: true })
  const channel = new Channel({
    clock: engine.clock,
    maxBytes: limits.streamBufferBytes,
    heartbeatMs: limits.heartbeatMs,
    cutOff: call.env.outgoing && (() => void call.env.outgoing?.destroy()),
    pulse,
    onClose: () => {
      release()
      life.cancel()
      unguard()
      gone.removeEventListener('abort', onGone)
      onClose()
    },
  })
  return channel
}

/** How long a connection lasts: spread out, so that those who came together do not come back together. */
export function lifeOf({ settings }: Call['server']): number {
  return settings.limits.streamMs * (0.9 + 0.2 * settings.random())
}

export function streamReply(channel: Channel): Reply {
  return {
    status: 200,
    headers: {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': NO_STORE,
      'X-Accel-Buffering': 'no',
    },
    body: channel.body,
  }
}

/** What went wrong under a stream is for the log; the client goes on from where it is. */
export function report(call: Pick<Call<any, any>, 'request' | 'requestId' | 'server'>, error: unknown): void {
  const { method, url } = call.request
  const path = new URL(url).pathname
  call.server.settings.onError(error, { requestId: call.requestId, method, path, code: 'stream' })
}

/** @throws UntildoneError too-many-streams */
export function streamJobs(call: Call<any, any>, asked: StreamFilter, after: string | null): Reply {
  const { engine, live, settings } = call.server
  const filter = new Filter(call.ticket ? [asked, call.ticket.filter] : [asked])
  const say = (id: string | null) => (id === null ? null : frameOf('ready', JSON.stringify({ complete: true }), id))
  let feed: Feed | undefined
  const channel = openChannel(call, {
    onClose: () => feed?.stop(),
    // Whoever was told nothing for long has an old place; with a new one it is told less when it comes back.
    beforeEnd: () => {
      const id = feed?.bookmark() ?? null
      if (id !== null) channel.send('ready', { complete: true }, id)
    },
    pulse: () => say(feed?.bookmark() ?? null),
  })
  const onError = (error: unknown) => report(call, error)
  const sink = new ChannelSink(channel, settings.base)
  feed = new Feed({ engine, watcher: live.watcher, caller: call.caller, filter, sink, onError })
  void feed.run(after)
  return streamReply(channel)
}

class ChannelSink implements Sink {
  readonly #channel: Channel
  readonly #base: string

  constructor(channel: Channel, base: string) {
    this.#channel = channel
    this.#base = base
  }

  get closed(): boolean {
    return this.#channel.closed
  }

  ready(id: string, data: object): void {
    this.#channel.send('ready', data, id)
  }

  reset(): void {
    this.#channel.send('reset', {}, null)
  }

  snapshot(job: WireJob): void {
    this.#channel.send('snapshot', { job: underBase(job, this.#base) }, null)
  }

  event(item: Item): void {
    this.#channel.push(item.frame)
  }

  progress(item: Item): void {
    this.#channel.push(item.frame, true)
  }

  room(): Promise<void> {
    return this.#channel.room()
  }

  end(reason: EndReason): void {
    this.#channel.end(reason)
  }
}
