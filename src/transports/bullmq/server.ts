/**
 * The Redis server behind the transport: what it must be, whether it is there, how fast it answers. Keeps two
 * connections: one that fails soon and keeps nothing for later, for what is sent; one that waits for ever, for workers.
 */
import type { Redis } from 'ioredis'
import type { Clock, Timer } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { packages } from './packages.js'
import { isNoDatabase, mismatchOf, notTaken, troubleOf } from './trouble.js'

const PROBE_EVERY_MS = 1000
/** A server that takes longer is as good as away: jobs start sooner by asking the store. */
const PATIENCE_MS = 1500
const CONNECT_MS = 3000
/** So many probes in a row without an answer: the line is dead, whatever the kernel still hopes for. */
const SILENT_PROBES = 2
/** It is there, and its address is wrong: to wait for it would help nobody. */
const FINAL: ReadonlySet<unknown> = new Set(['refused', 'database'])
/** One of so many probes asks for its settings too: somebody may change them while it is used. */
const INSPECT_EVERY = 10
/** Writes whose median is how long one takes. */
const MEASURES = 9
const OLDEST = [6, 2] as const

export interface ServerFacts {
  version: string
  eviction: string
}

export class RedisServer {
  /** For what is sent. */
  readonly sender: Redis
  /** For workers. */
  readonly receiver: Redis
  facts: ServerFacts | null = null
  latencyMs: number | null = null
  away: { since: number; why: string; error: UntildoneError } | null = null
  private readonly listeners: (() => void)[] = []
  private timer: Timer | null = null
  private probing: Promise<void> | null = null
  /** Probes in a row that were not answered. */
  private silent = 0
  /** Probes since its settings were asked for. */
  private probes = 0
  private closed = false
  /** What the attempt to connect that is under way has met. */
  private met: Error | null = null
  /** Whether the line was ready before it was closed. */
  private wasReady = false
  private asking: Promise<void> | null = null

  constructor(
    url: string,
    private readonly clock: Clock,
    private readonly probeKey: string,
  ) {
    const { Redis } = packages()
    const shared = { lazyConnect: true, connectTimeout: CONNECT_MS, keepAlive: 10_000, retryStrategy: pauseBefore }
    this.sender = new Redis(url, {
      ...shared,
      // Nothing is kept for later: what is not sent now is found in the store, and sent again from there.
      ...{ enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 },
      commandTimeout: PATIENCE_MS,
    })
    this.receiver = new Redis(url, { ...shared, maxRetriesPerRequest: null })
    // Trouble shows in `away`; without a listener it would end the process.
    for (const connection of [quiet(this.sender), quiet(this.receiver)])
      connection.on('error', (error) => {
        // It would go on in database 0, which may belong to somebody else.
        if (isNoDatabase(error)) connection.disconnect(true)
      })
    this.sender.on('error', (error) => {
      this.met ??= error
    })
    this.sender.on('close', () => this.unconnected())
    this.sender.on('ready', () => {
      this.wasReady = true
      this.met = null
      void this.probe()
    })
  }

  /** Without user and password. */
  get location(): string {
    const { host, port, path } = this.sender.options
    return path ?? `${host}:${port}`
  }

  /** Whether what is said to it goes over a network as it is. */
  get overheard(): boolean {
    const { host = 'localhost', path, tls } = this.sender.options
    return !path && !tls && !/^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
  }

  /** @throws UntildoneError `transport-unsafe` */
  assertPrivate(): void {
    if (!this.overheard) return
    throw new UntildoneError(
      'transport-unsafe',
      `Redis at ${this.location} is on another host, and the address asks for no TLS: its password could be read on the way.`,
      {
        params: { reason: 'plaintext' },
        fix: 'Begin the address with rediss://. Where the network between is trusted, say so: `bullmq(url, { plaintext: true })`, or for the command line `--redis-plaintext`.',
      },
    )
  }

  /** @throws UntildoneError `transport-unsafe`, `transport-away` when it is there and has neither this user nor this database */
  async open(): Promise<void> {
    void this.receiver.connect().catch(() => {})
    try {
      await this.sender.connect()
      this.facts = await this.inspect()
    } catch (error) {
      if (error instanceof UntildoneError) throw error
      await this.asking
      if (!this.away) this.gone(troubleOf(error as Error, this.location))
      if (this.away && FINAL.has(this.away.error.params.reason)) throw this.away.error
    }
    await this.probe()
    this.arm()
  }

  /** @throws UntildoneError `transport-unsafe` */
  private async inspect(): Promise<ServerFacts> {
    const facts = factsOf(await this.sender.info())
    assertSafe(facts, this.location)
    this.probes = 0
    return facts
  }

  onTurn(listener: () => void): void {
    this.listeners.push(listener)
  }

  /** It is of no use, or still of none for another reason: the next probe says whether it is back. */
  gone(error: UntildoneError): void {
    this.latencyMs = null
    if (this.closed) return
    const before = this.away
    this.away = { since: before?.since ?? this.clock.now(), why: error.message, error }
    if (before?.error.params.reason === error.params.reason) return
    for (const listener of this.listeners) listener()
  }

  /** An attempt to connect has failed, or the line that there was is cut. */
  private unconnected(): void {
    const cut = this.wasReady
    const error = troubleOf(this.met, this.location)
    this.met = null
    this.wasReady = false
    if (this.closed) return
    const { host, port, path, tls } = this.sender.options
    // Somebody may be there who is not understood.
    const unclear = error.params.reason === 'unreachable' && !/ECONNREFUSED/.test(error.message)
    if (cut || path || !unclear) this.gone(error)
    else
      this.asking ??= mismatchOf({ host: host!, port: port! }, tls !== undefined)
        .then((mismatch) => {
          if (this.sender.status !== 'ready') this.gone(mismatch ?? error)
        })
        .finally(() => {
          this.asking = null
        })
  }

  /** By a write: a server that is full, or a replica, still answers a ping. */
  private probe(): Promise<void> {
    this.probing ??= this.probeOnce().finally(() => {
      this.probing = null
    })
    return this.probing
  }

  private async probeOnce(): Promise<void> {
    if (this.closed) return
    try {
      if (this.sender.status !== 'ready') throw new Error('no connection')
      const began = this.clock.monotonic()
      await Promise.all([this.write(), this.hears()])
      const latencyMs = this.clock.monotonic() - began
      this.silent = 0
      // It may be another server by now, or the same one with other settings.
      if (this.away || this.facts === null || ++this.probes >= INSPECT_EVERY) this.facts = await this.inspect()
      this.latencyMs = latencyMs
      if (this.away && !this.closed) {
        this.away = null
        for (const listener of this.listeners) listener()
      }
    } catch (error) {
      const { message } = error as Error
      this.failed(error as Error)
      if (/timed out/i.test(message) && ++this.silent >= SILENT_PROBES) this.anew()
    }
  }

  /**
   * How long a write takes, in milliseconds: the median of several, because the first one of a process, and any one that is
   * held up by something else, says nothing of the way. @throws UntildoneError `transport-away`
   */
  async measure(): Promise<number> {
    const took: number[] = []
    try {
      while (took.length < MEASURES) {
        const began = this.clock.monotonic()
        await this.write()
        took.push(this.clock.monotonic() - began)
      }
    } catch (error) {
      throw notTaken(error as Error, this.location)
    }
    return took.sort((a, b) => a - b)[MEASURES >> 1]!
  }

  private write(): Promise<unknown> {
    return this.sender.set(this.probeKey, '1', 'PX', 60_000)
  }

  /** What was sent was not taken. */
  failed(error: Error): void {
    // Why there is no connection is known better where it was tried.
    if (this.sender.status !== 'ready' && (this.away || this.asking)) return
    this.gone(error instanceof UntildoneError ? error : notTaken(error, this.location))
  }

  /** Whether the line of the workers lives, too: one of two can die by itself. */
  private async hears(): Promise<void> {
    if (this.receiver.status !== 'ready') return
    let timer: Timer | null = null
    const late = new Promise<never>((_, reject) => {
      timer = this.clock.after(PATIENCE_MS, () => reject(new Error('what is received timed out')))
    })
    await Promise.race([this.receiver.ping(), late]).finally(() => timer?.cancel())
  }

  /** Both lines are opened again. */
  private anew(): void {
    this.silent = 0
    for (const line of [this.sender, this.receiver]) if (line.status === 'ready') line.disconnect(true)
  }

  private arm(): void {
    if (this.closed) return
    this.timer = this.clock.after(PROBE_EVERY_MS, () => void this.probe().finally(() => this.arm()))
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.sender.disconnect()
    this.receiver.disconnect()
  }
}

/**
 * A line that is cut while TLS is agreed on fails twice; the second time ioredis listens no more, and the process would end.
 * Copies of it are the ones that workers of BullMQ make for themselves.
 */
function quiet(line: Redis): Redis {
  const { disconnect, duplicate } = line
  line.disconnect = (anew) => {
    line.stream?.on('error', () => {})
    disconnect.call(line, anew)
  }
  line.duplicate = (override) => quiet(duplicate.call(line, override))
  return line
}

/** Before the next try to connect, in milliseconds. */
function pauseBefore(tries: number): number {
  return Math.min(2000, 50 * 2 ** Math.min(tries, 6))
}

export function factsOf(info: string): ServerFacts {
  const line = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim()
  return {
    version: line('valkey_version') ?? line('redis_version') ?? 'unknown',
    eviction: line('maxmemory_policy') ?? 'unknown',
  }
}

/** @throws UntildoneError `transport-unsafe` */
export function assertSafe({ version, eviction }: ServerFacts, location: string): void {
  const unsafe = (text: string, fix: string, params: Record<string, unknown>) =>
    new UntildoneError('transport-unsafe', text, { fix, params })
  if (eviction !== 'noeviction')
    throw unsafe(
      `Redis at ${location} has maxmemory-policy ${eviction}: when its memory is full it would throw away messages, and keys of others.`,
      'Set `maxmemory-policy noeviction` in redis.conf, or at once: `redis-cli config set maxmemory-policy noeviction`. With a hosted Redis it is a setting of the instance.',
      { reason: 'eviction', policy: eviction },
    )
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (Number.isFinite(major) && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])))
    throw unsafe(
      `Redis at ${location} is version ${version}, which is too old.`,
      `Use Redis ${OLDEST.join('.')} or newer, or Valkey.`,
      {
        reason: 'version',
        version,
      },
    )
}
