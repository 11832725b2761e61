/**
 * LISTEN and NOTIFY as the bell between processes: over a connection of its own or right behind a commit (driver.ts),
 * never inside a transaction that writes, because commits of those that notify stand in one line. Comes back by itself.
 * Behind a pooler that lends connections for one transaction there is none; where nobody said that there is one, it
 * finds out that nothing arrives, and says so.
 */
import type { Duplex } from 'node:stream'
import type { Client } from 'pg'
import type { Bell, Told } from '../sql/shared.js'
import { configOf, driverModule, type PostgresOptions, sessionSettings } from './connections.js'

/** Texts told within this time go together. */
const GATHER_MS = 5
/** What we told ourselves must come back within this time, or nothing comes. */
const ECHO_MS = 3000
/** Who does not hear a goodbye within this time does not hear. */
const LEAVE_MS = 1000
/** With a channel and texts. What is only told need not be on disk: whoever hears of it would wait for that. */
export const RING = `select pg_notify($1, t) from set_config('synchronous_commit', 'off', true) as s, unnest($2::text[]) as t`
const AGAIN_MS = [100, 500, 2000]

/** What is not told to all wakes nobody who would not need it. */
export const channelOf = ({ schema = 'untildone' }: PostgresOptions, toAll: boolean): string =>
  toAll ? schema : `${schema}/work`

export class Doorbell implements Bell {
  readonly most = 7900
  private client: Client | null = null
  private heard: (text: string | null) => void = () => {}
  private readonly timers = new Set<NodeJS.Timeout>()
  private closed = false
  private failures = 0
  private echoed = false
  private attends = false

  constructor(
    private readonly url: string,
    private readonly options: PostgresOptions,
    /** Told when nothing arrives, and when it does again. */
    private readonly onState: (works: boolean) => void,
  ) {}

  get works(): boolean {
    return this.client !== null && this.echoed
  }

  listen(heard: (text: string | null) => void): void {
    this.heard = heard
    // A pooler may run LISTEN and the first echo on one of its connections: it would seem to work, and nothing would come.
    if (this.options.pooler !== 'transaction') void this.connect()
  }

  attend(): void {
    if (this.attends) return
    this.attends = true
    // One that is on its way does it when it is there.
    const { client } = this
    if (client) this.hear(client).catch(() => this.lost(client))
  }

  async ring({ texts, toAll }: Told): Promise<void> {
    const { client } = this
    if (client) {
      try {
        await client.query({ name: 'untildone_ring', text: RING, values: [channelOf(this.options, toAll), texts] })
      } catch {
        this.lost(client)
      }
    }
    await this.rest()
  }

  rest(): Promise<void> {
    return new Promise((resolve) => this.later(resolve, GATHER_MS))
  }

  later(fn: () => void, ms: number): void {
    if (this.closed) return
    // A little apart, so that many processes do not do it at the same moment.
    const timer = setTimeout(
      () => {
        this.timers.delete(timer)
        fn()
      },
      ms * (0.9 + 0.2 * Math.random()),
    )
    timer.unref()
    this.timers.add(timer)
  }

  private async connect(): Promise<void> {
    if (this.closed) return
    let client: Client
    try {
      client = new (driverModule().Client)(configOf(this.url, this.options))
    } catch {
      // A file that the address names is not there at the moment.
      return this.again()
    }
    client.on('error', () => this.lost(client))
    client.on('end', () => this.lost(client))
    client.on('notification', ({ payload }) => {
      if (!this.echoed) {
        this.echoed = true
        this.onState(true)
      }
      if (payload) this.heard(payload)
    })
    try {
      await client.connect()
      await client.query(`${sessionSettings(this.options)}listen "${channelOf(this.options, true)}"`)
      if (this.closed) return void leave(client)
      this.client = client
      this.failures = 0
      this.expectEcho(client)
    } catch {
      void leave(client)
      return this.again()
    }
    this.hear(client).catch(() => this.lost(client))
  }

  private async hear(client: Client): Promise<void> {
    if (this.attends) await client.query(`listen "${channelOf(this.options, false)}"`)
    // Whatever was told before we listened was missed.
    if (this.client === client) this.heard(null)
  }

  private expectEcho(client: Client): void {
    this.echoed = false
    client.query({ text: 'select pg_notify($1, $2)', values: [channelOf(this.options, true), ''] }).catch(() => {})
    this.later(() => {
      if (this.client === client && !this.echoed) this.onState(false)
    }, ECHO_MS)
  }

  private lost(client: Client): void {
    if (this.client !== client) return
    this.client = null
    void leave(client)
    if (this.closed) return
    this.again()
  }

  private again(): void {
    const ms = AGAIN_MS[Math.min(this.failures++, AGAIN_MS.length - 1)]!
    this.later(() => void this.connect(), ms)
  }

  async close(): Promise<void> {
    this.closed = true
    for (const timer of this.timers) clearTimeout(timer)
    const { client } = this
    this.client = null
    if (client) await leave(client)
  }
}

/** Takes leave of the server; where the line is silent it is left without an answer. */
async function leave(client: Client): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection
  const silent = setTimeout(() => stream.destroy(), LEAVE_MS)
  await client.end().catch(() => {})
  clearTimeout(silent)
}
