/**
 * The connections that a store writes and reads over: looked at before their first use. Those that write leave a mark, so that
 * a commit that was not answered because its line broke is looked up and neither lost nor done twice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool, PoolClient, QueryConfig } from 'pg'
import { UntildoneError } from '../../core/errors.js'
import { type Plan, put } from '../sql/plan.js'
import type { ServerClock } from './clock.js'
import { assertSafe, isRace, isUncounted, type PostgresOptions, sessionSettings, takenOf } from './connections.js'
import { allTaken, type Pools } from './pools.js'
import { type Answer, wireOf } from './wire.js'

/** How a mark begins whose connection is lost, and whose last transaction was not committed. */
const OVER = 'over '
/** Marks of connections that have written nothing for so long: they are no more. */
const SWEPT_AFTER_MS = 7 * 86_400_000

/** It reads one row and waits for nobody. */
const ASK_MS = 5000

const SYSTEM = 'select system_identifier::text as system from pg_control_system()'

/** What is known of a connection. */
export interface Line {
  /** Which database cluster is behind it. */
  system: string
  /** Row of `meta` that each of its transactions counts up, so that it can be asked which was the last to be committed. */
  mark: string | null
  count: number
  /** What that row holds once its last transaction is committed. */
  kept: string
}

export class Lines {
  /** Whoever is not in it has not been looked at. */
  private readonly known = new WeakMap<PoolClient, Line>()
  /** Out of its pool although nobody writes over it. */
  private atHand: PoolClient | null = null
  private readonly counting: string
  private readonly asking: string
  private readonly end: string
  private closed = false

  /** @param marks table in which each of those that write has a row */
  constructor(
    private readonly pools: Pools,
    private readonly clock: ServerClock,
    readonly marks: string,
    private readonly options: PostgresOptions,
  ) {
    // Where its row is gone or over it must not be committed: nobody could tell, or somebody has been told that it is not.
    this.counting = `with c as (update ${marks} set value = $1 where key = $2 and value not like '${OVER}%' returning 1)
      select 1 / count(*) as counted from c`
    // What has not been committed by now is not committed later: it may still lie unread before a server that is slow.
    this.asking = `with was as (select key, value from ${marks} where key = $1 for update nowait),
      closed as (update ${marks} m set value = $3 from was where m.key = was.key and was.value <> $2)
      select value from was`
    // Whoever is changing the row has left its number there. Not where it waits for its standby: then it would count as
    // committed without being there.
    this.end = `select pg_terminate_backend(a.pid) from ${marks} m, pg_stat_activity a
      where m.key = $1 and a.backend_xid = m.xmax and a.wait_event is distinct from 'SyncRep'`
  }

  /** What is under way is given up sooner. */
  close(): void {
    this.closed = true
    this.take()?.release()
  }

  /** A connection to write over: the one that has written last, where nobody else has it. */
  async writer(): Promise<PoolClient> {
    return this.take() ?? this.lease(this.pools.writers)
  }

  /** It has written. Where nobody waits for it, the next one has it without the turn of the loop that the pool takes. */
  written(client: PoolClient): void {
    if (this.atHand !== null || this.pools.writers.waitingCount > 0 || this.closed) return void client.release()
    this.atHand = client
    client.once('end', this.lost)
  }

  private take(): PoolClient | null {
    const { atHand } = this
    this.atHand = null
    atHand?.removeListener('end', this.lost)
    return atHand
  }

  private readonly lost = () => this.take()?.release(true)

  /** A connection that is known to keep what it commits. */
  async lease(pool: Pool): Promise<PoolClient> {
    const client = await pool.connect().catch((error) => {
      throw allTaken(pool) ? takenOf(error) : error
    })
    if (this.known.has(client)) return client
    try {
      const [results] = await Promise.all([
        client.query(sessionSettings(this.options) + SYSTEM),
        assertSafe(client, this.options),
      ])
      const { system } = [results].flat().at(-1)!.rows[0]
      this.known.set(client, { system, mark: null, count: 0, kept: '' })
      await this.clock.measure(client)
      return client
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  /** A connection with its row, which is there before a transaction counts itself in it: whoever asks waits for it then. */
  async marked(client: PoolClient): Promise<Line> {
    const line = this.known.get(client)!
    if (line.mark !== null) return line
    const { rows } = await client.query(`select to_regclass('${this.marks}')::text as marks`)
    // The tables are just being made.
    if (rows[0].marks === null) return line
    const made = await client.query(
      `insert into ${this.marks} (key, value) values ('line/' || gen_random_uuid(), '0 ${this.clock.now()}') returning key`,
    )
    line.mark = made.rows[0].key
    return line
  }

  /** A transaction counts itself. */
  count(client: PoolClient, line: Line): Promise<Answer> {
    line.kept = `${++line.count} ${this.clock.now()}`
    const question = { name: this.kept('untildone_count'), text: this.counting, values: [line.kept, line.mark] }
    return wireOf(client)
      .ask(question)
      .catch((error) => {
        // Swept, because it was idle for very long: the next try has a new one.
        if (isUncounted(error)) line.mark = null
        throw error
      })
  }

  /**
   * Whether a commit that was not answered has happened. If it has not, it will not.
   * @throws UntildoneError `outcome-unknown` where nobody can tell any more
   */
  async committed(lost: PoolClient, cause: unknown): Promise<boolean> {
    const unknown = (why: string) =>
      new UntildoneError('outcome-unknown', `PostgreSQL was lost while committing, and ${why}.`, { cause })
    const line = this.known.get(lost)!
    const asked = { text: this.asking, values: [line.mark, line.kept, `${OVER}${this.clock.now()}`] }
    const patience = this.patience()
    for (;;) {
      try {
        const rows = await this.ask(asked, (system) => {
          if (system !== line.system) throw unknown('another server has taken its place since')
        })
        if (rows.length === 0) throw unknown('it has kept nothing to tell by')
        return rows[0].value === line.kept
      } catch (error) {
        if (error instanceof UntildoneError && error.code === 'outcome-unknown') throw error
        // It is still under way: its line is dead, and nobody has told the server. After this it is one or the other.
        if (isRace(error)) await this.endOf(lost)
      }
      if (!(await patience())) throw unknown('it has not come back yet')
    }
  }

  /** Ends what is left of a transaction whose line is dead. What cannot be reached ends by itself. */
  async endOf(lost: PoolClient): Promise<void> {
    const { mark } = this.known.get(lost)!
    if (mark === null) return
    try {
      await this.ask({ text: this.end, values: [mark] }, () => {})
    } catch {}
  }

  /** A short question over another line. Where a server stands still that one is as silent, and is not waited for as long. */
  private async ask(question: QueryConfig, assertSystem: (system: string) => void): Promise<any[]> {
    const client = await this.writer()
    let answered = false
    try {
      assertSystem(this.known.get(client)!.system)
      const { rows } = await client.query({ ...question, query_timeout: ASK_MS } as QueryConfig)
      answered = true
      return rows
    } finally {
      client.release(!answered)
    }
  }

  /** Under which name connections keep a statement; null: they do not. */
  kept(name: string | null): string | null {
    return this.options.pooler === 'transaction' ? null : name
  }

  /** Waits a little longer each time, for so long from when it is first asked. @returns false when it has been long enough */
  patience(): () => Promise<boolean> {
    let until = 0
    let pause = 20
    return async () => {
      until ||= Date.now() + (this.options.patienceMs ?? 10_000)
      if (this.closed || Date.now() + pause > until) return false
      await delay(pause)
      pause = Math.min(2 * pause, 1000)
      return true
    }
  }
}

export function* sweepMarks(now: number): Plan<void> {
  yield* put(`delete from meta where key like 'line/%' and split_part(value, ' ', 2)::bigint < ?1`, [
    [now - SWEPT_AFTER_MS],
  ])
}
