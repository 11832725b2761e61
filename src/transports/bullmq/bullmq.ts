/**
 * BullMQ as a transport: a queue of ours is a BullMQ queue that holds no more than a window of messages. Uses of BullMQ
 * are adding in bulk, counting and workers: no delays, retries, priorities or schedules, because the store decides those.
 */
import type { Queue, Worker } from 'bullmq'
import { UntildoneError } from '../../core/errors.js'
import type { Message, Subscription, Take, Transport, TransportEnv } from '../transport.js'
import { packages } from './packages.js'
import { RedisServer } from './server.js'

/** A delivery is held for moments; whoever dies with one holds it no longer than this. */
const LOCK_MS = 10_000
const STALLED_MS = 5000
/** How often a message may be in the hands of someone who dies; the store does not count that against its job. */
const STALLED_MAX = 1_000_000
/** BullMQ writes down what happens; nobody reads it. */
const EVENTS_MAX = 100
/** Longer than the server may take for one command. */
const PUBLISH_MS = 3000
const CLOSE_MS = 3000

/** Not one key of a queue may be on another server than its others: the part in braces says on which one of a cluster. */
export const prefixOf = (namespace: string, queue: string) => `{ud:${namespace}:${queue}}`

/** BullMQ refuses colons in it, and drops a message whose id it still has. */
export const messageId = ({ jobId, dispatchNo }: Message) => `${jobId}-${dispatchNo}`

/** What is in one job of BullMQ, whose name is the lane: `[jobId, dispatchNo]` of each message. */
interface Carried {
  messages: [jobId: string, dispatchNo: number][]
}

/** How many messages go into one job of BullMQ, on the average of the last ones. */
class Size {
  private messages = 1
  private jobs = 1
  get average(): number {
    return this.messages / this.jobs
  }
  /** @param keep how much what was before counts */
  saw(messages: number, jobs: number, keep: number): void {
    this.messages = this.messages * keep + messages
    this.jobs = this.jobs * keep + jobs
  }
}

export class BullmqTransport implements Transport {
  readonly kind = 'bullmq'
  readonly window: number | undefined
  readonly direct: boolean
  private readonly server: RedisServer
  private readonly queues = new Map<string, Queue>()
  /** By queue, of what was published. */
  private readonly sizes = new Map<string, Size>()
  private readonly workers = new Set<Worker>()

  constructor(
    url: string,
    private readonly settings: { window: number | undefined; direct: boolean; plaintext: boolean },
    private readonly env: TransportEnv,
  ) {
    this.window = settings.window
    this.direct = settings.direct
    this.server = new RedisServer(url, env.clock, `{ud:${env.namespace}}:probe`)
  }

  /** @throws UntildoneError `transport-unsafe`, `transport-away` */
  async open(): Promise<this> {
    try {
      if (!this.settings.plaintext) this.server.assertPrivate()
      await this.server.open()
      return this
    } catch (error) {
      this.server.close()
      throw error
    }
  }

  get away(): { since: number; why: string; error: UntildoneError } | null {
    return this.server.away
  }

  onTurn(listener: () => void): void {
    this.server.onTurn(listener)
  }

  underWay(queue: string): Promise<number> {
    return this.sending(async () => {
      const counts = await this.queue(queue).getJobCounts('waiting', 'active')
      const jobs = Object.values(counts).reduce((sum, n) => sum + n, 0)
      return Math.ceil(jobs * this.sizeOf(queue).average)
    })
  }

  publish(queue: string, messages: readonly Message[], together = 1): Promise<void> {
    const parts = bundlesOf(messages, together)
    return this.sending(async () => {
      await this.queue(queue).addBulk(
        parts.map((part) => ({
          name: part[0]!.lane,
          data: { messages: part.map(({ jobId, dispatchNo }) => [jobId, dispatchNo]) } satisfies Carried,
          opts: {
            jobId: part.length === 1 ? messageId(part[0]!) : `${messageId(part[0]!)}-${part.length}`,
            ...{ attempts: 1, removeOnComplete: true, removeOnFail: true },
          },
        })),
      )
      this.sizeOf(queue).saw(messages.length, parts.length, 0.75)
    })
  }

  private sizeOf(queue: string): Size {
    const size = this.sizes.get(queue) ?? new Size()
    this.sizes.set(queue, size)
    return size
  }

  /** Fails soon, and says that the server is away when it does. */
  private async sending<T>(send: () => Promise<T>): Promise<T> {
    try {
      if (this.server.sender.status !== 'ready') throw new Error('no connection')
      return await within(PUBLISH_MS, send())
    } catch (error) {
      const { message } = error as Error
      this.server.failed(error as Error)
      // One that could not be set up would go on failing.
      for (const queue of this.queues.values()) void queue.close().catch(() => {})
      this.queues.clear()
      throw new UntildoneError('transport-away', message, { cause: error })
    }
  }

  private queue(name: string): Queue {
    let queue = this.queues.get(name)
    if (!queue) {
      queue = new (packages().Queue)(name, {
        connection: this.server.sender,
        prefix: prefixOf(this.env.namespace, name),
        streams: { events: { maxLen: EVENTS_MAX } },
      })
      queue.on('error', () => {})
      this.queues.set(name, queue)
    }
    return queue
  }

  subscribe(name: string, capacity: number, take: Take): Subscription {
    const size = new Size()
    let room = capacity
    const resize = () => {
      worker.concurrency = Math.max(1, Math.ceil(room / size.average))
    }
    const worker: Worker = new (packages().Worker)(
      name,
      async ({ name: lane, data }) => {
        const messages = messagesOf(data, lane)
        size.saw(messages.length, 1, 0.9)
        resize()
        await take(messages)
      },
      {
        connection: this.server.receiver,
        prefix: prefixOf(this.env.namespace, name),
        concurrency: Math.max(1, capacity),
        ...{ lockDuration: LOCK_MS, stalledInterval: STALLED_MS, maxStalledCount: STALLED_MAX },
        ...{ removeOnComplete: { count: 0 }, removeOnFail: { count: 0 }, runRetryDelay: 1000 },
        // A delivery is answered long before its lock is over; and what renews locks goes on for ever, and keeps the
        // process from ending, when the server is gone at the close.
        skipLockRenewal: true,
      },
    )
    // The store knows what became of its jobs; a lost lock, or a message that is gone, is no news.
    worker.on('error', () => {})
    this.workers.add(worker)
    return {
      resize: (capacity) => {
        room = capacity
        resize()
      },
      close: () => this.endWorker(worker),
    }
  }

  private async endWorker(worker: Worker): Promise<void> {
    this.workers.delete(worker)
    try {
      await within(CLOSE_MS, worker.close())
    } catch {
      // The server does not answer; what it still holds of this worker is given to another one when its lock is over.
      void worker.disconnect().catch(() => {})
    }
  }

  async check(): Promise<Record<string, string | number>> {
    const { facts, latencyMs, location } = this.server
    const waiting = await Promise.all([...this.queues.keys()].map((queue) => this.underWay(queue).catch(() => 0)))
    return {
      redis: location,
      ...(facts ? { redisVersion: facts.version, redisEviction: facts.eviction } : {}),
      ...(latencyMs === null ? {} : { redisLatencyMs: Math.round(latencyMs * 100) / 100 }),
      redisMessages: waiting.reduce((sum, n) => sum + n, 0),
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.workers].map((worker) => this.endWorker(worker)))
    await Promise.all([...this.queues.values()].map((queue) => within(CLOSE_MS, queue.close()).catch(() => {})))
    this.server.close()
  }
}

/** By lane, up to `most` in one; the order within a lane stays. */
function bundlesOf(messages: readonly Message[], most: number): Message[][] {
  const parts: Message[][] = []
  const open = new Map<string, Message[]>()
  for (const message of messages) {
    let part = open.get(message.lane)
    if (!part || part.length >= most) {
      part = []
      parts.push(part)
      open.set(message.lane, part)
    }
    part.push(message)
  }
  return parts
}

/** Whatever else somebody may have put there is taken off and forgotten. */
function messagesOf(data: unknown, lane: string): Message[] {
  const { messages } = (data ?? {}) as Partial<Carried>
  if (!Array.isArray(messages)) return []
  return messages.flatMap((message) => {
    const [jobId, dispatchNo] = Array.isArray(message) ? message : []
    return typeof jobId === 'string' && typeof dispatchNo === 'number' ? [{ jobId, dispatchNo, lane }] : []
  })
}

function within<T>(ms: number, doing: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
    doing.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
