/**
 * The time of the database, which all processes share: that of this machine, corrected by how far it is off. Asked of the
 * database now and then, never within a transaction.
 */
import type { Pool, PoolClient } from 'pg'
import type { Clock, Timer } from '../../core/clock.js'

/** How often the clock is compared with that of the database. */
const CLOCK_MS = 30_000

export class ServerClock {
  /** How far the database is ahead of this machine, in milliseconds, and how sure that is. */
  private offset = 0
  private doubt = Number.POSITIVE_INFINITY
  private timer: Timer | null = null
  private closed = false

  constructor(
    private readonly clock: Clock,
    private readonly readers: Pool,
  ) {}

  now(): number {
    return Math.round(this.clock.now() + this.offset)
  }

  get offsetMs(): number {
    return Math.round(this.offset)
  }

  /** Each new connection asks for the time; the quickest answer is the best one, and none is good for ever. */
  async measure(client: PoolClient): Promise<void> {
    if (!this.clock.machine) return
    const began = this.clock.monotonic()
    const { rows } = await client.query('select extract(epoch from clock_timestamp()) * 1000 as now')
    const took = this.clock.monotonic() - began
    if (took > this.doubt) return
    const ahead = rows[0].now - (this.clock.now() - took / 2)
    const doubt = took / 2 + 1
    // What is believed stays as long as it may be right, and a clock that may be right is right: processes of one machine
    // must not differ by what an answer took.
    if (Math.abs(ahead - this.offset) > doubt) this.offset = Math.abs(ahead) <= doubt ? 0 : ahead
    this.doubt = took
    this.later()
  }

  private later(): void {
    this.timer?.cancel()
    this.timer = this.clock.after(CLOCK_MS, () => this.again())
  }

  private again(): void {
    this.doubt = Number.POSITIVE_INFINITY
    if (this.closed) return
    // Also where nobody answers this time.
    this.later()
    void this.readers.connect().then(
      (client) =>
        this.measure(client).then(
          () => client.release(),
          () => client.release(true),
        ),
      () => {},
    )
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
  }
}
