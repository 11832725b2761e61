/**
 * PostgreSQL as a driver: transactions at READ COMMITTED, in which a plan's statements go out without waiting where the
 * plan needs no answer. A transaction that met another one is run again; one whose commit was not answered is looked up
 * by a mark that it left, so that it is neither lost nor done twice. It knows no job.
 */

import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool, PoolClient, QueryResult } from 'pg'
import type { Clock } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { Asked, type Dialect, type Driver, type Plan, put, type Statement } from '../sql/plan.js'
import type { SqlTransaction } from '../store.js'
import { ServerClock } from './clock.js'
import {
  assertSafe,
  causeOf,
  explain,
  isAnswer,
  isLost,
  isRace,
  isSlow,
  isStale,
  localSettings,
  type PostgresOptions,
  sessionSettings,
  takenOf,
} from './connections.js'
import { dialectOf } from './dialect.js'
import { RING } from './doorbell.js'
import { runWithin } from './foreign.js'
import { healthOf } from './health.js'
import { allTaken, type Pools, poolsOf, WRITERS } from './pools.js'
import {
  agreement,
  arrayText,
  distinct,
  type Form,
  type Translator,
  togetherOf,
  valuesOf,
  valueText,
} from './translate.js'

/** A transaction that loses so many races in a row is wrong by itself. */
const RACES = 8

const SYSTEM = 'select system_identifier::text as system from pg_control_system()'

/** What is known of a connection. */
interface Line {
  /** Which database cluster is behind it. */
  system: string
  /** Row of `meta` that each of its transactions counts up, so that it can be asked which was the last to be committed. */
  mark: string | null
  count: number
  /** What that row holds once its last transaction is committed. */
  kept: string
}

export class PostgresDriver implements Driver {
  /** While one waits for the disk, another is made ready. */
  readonly flights = WRITERS
  readonly dialect: Dialect
  private readonly settings: string
  /** Whoever is not in it has not been looked at. */
  private readonly lines = new WeakMap<PoolClient, Line>()
  private readonly marks: string
  private readonly end: string
  private readonly clock: ServerClock
  private closed = false

  constructor(
    url: string,
    clock: Clock,
    private readonly translator: Translator,
    private readonly options: PostgresOptions = {},
    private readonly pools: Pools = poolsOf(url, options),
  ) {
    this.clock = new ServerClock(clock, pools.readers)
    this.dialect = dialectOf(translator.schema)
    this.marks = `${translator.schema}.meta`
    // Whoever is changing the row has left its number there. Not where it waits for its standby: then it would count as
    // committed without being there.
    this.end = `select pg_terminate_backend(a.pid) from ${this.marks} m, pg_stat_activity a
      where m.key = $1 and a.backend_xid = m.xmax and a.wait_event is distinct from 'SyncRep'`
    this.settings = options.pooler === 'transaction' ? localSettings(options) : ''
  }

  now(): number {
    return this.clock.now()
  }

  defer(fn: () => void): void {
    setImmediate(fn)
  }

  async transact<T>(plan: () => Plan<T>, write: boolean, behind?: () => readonly string[] | null): Promise<T> {
    if (!write) return this.read(plan)
    const patience = this.patience()
    for (let races = 0; ; ) {
      try {
        return await this.write(plan, behind)
      } catch (error) {
        if (error instanceof UntildoneError) throw error
        // Who has waited in vain for as long as one may wait is told so.
        if (isRace(error) && !isSlow(error) && ++races < RACES) continue
        // Nothing of it is stored: else the commit would have been looked up.
        if (!isLost(error) || !(await patience())) throw error
      }
    }
  }

  within<T>(within: SqlTransaction, plan: () => Plan<T>): Promise<T> {
    return runWithin(within, plan, this.translator)
  }

  /** Waits a little longer each time, for so long from when it is first asked. @returns false when it has been long enough */
  private patience(): () => Promise<boolean> {
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

  private async write<T>(plan: () => Plan<T>, behind?: () => readonly string[] | null): Promise<T> {
    const client = await this.lease(this.pools.writers)
    const sent = new Sent()
    let begun = false
    let answer: T | undefined
    let committing = false
    try {
      const line = await this.marked(client)
      onePacket(client)
      const beginning = client.query(`begin${this.settings}`).then(() => {
        begun = true
      })
      sent.add(beginning)
      if (line.mark !== null) sent.add(this.count(client, line))
      answer = await this.drive(plan(), client, sent)
      const texts = line.mark === null ? null : (behind?.() ?? null)
      committing = true
      const committed = this.commit(client)
      this.tellBehind(client, line, texts)
      const { command } = await committed
      await sent.settled()
      // So it answers where a statement that nobody waited for had failed.
      if (command !== 'COMMIT' || !begun) throw sent.failure ?? new Error('PostgreSQL rolled the transaction back.')
      client.release()
      return answer
    } catch (error) {
      const cause = isLost(error) ? error : causeOf(sent.failure, error)
      const back = isLost(cause) ? cause : await client.query('rollback').catch((failed: Error) => failed)
      // Whatever it was: a connection that cannot roll back says nothing of what has become of its transaction.
      if (!(back instanceof Error)) {
        // Without a beginning each statement may have been a transaction of its own.
        client.release(isStale(cause) || !begun)
        throw cause
      }
      client.release(true)
      if (committing && (await this.committed(client, cause))) return answer as T
      // It may hold rows for as long as its server takes to notice that nobody is there.
      if (!committing) await this.endOf(client)
      throw isAnswer(cause) ? cause : back
    }
  }

  /** The moment from which the work is on disk. A seam: the torture harness stops the process on either side of it. */
  protected commit(client: PoolClient): Promise<QueryResult> {
    return client.query('commit')
  }

  /** Follows a commit on its line, without waiting for its answer: only where it was one, others are told. */
  private tellBehind(client: PoolClient, { mark, kept }: Line, texts: readonly string[] | null): void {
    if (texts === null) return
    const text = `${RING} where exists (select 1 from ${this.marks} where key = $3 and value = $4)`
    const values = [this.options.schema ?? 'untildone', texts as string[], mark, kept]
    client.query({ ...this.kept('untildone_behind'), text, values }).catch(() => {})
  }

  /**
   * Whether a commit that was not answered has happened.
   * @throws UntildoneError `outcome-unknown` where nobody can tell any more
   */
  private async committed(lost: PoolClient, cause: unknown): Promise<boolean> {
    const unknown = (why: string) =>
      new UntildoneError('outcome-unknown', `PostgreSQL was lost while committing, and ${why}.`, { cause })
    const line = this.lines.get(lost)!
    const asked = { text: `select value from ${this.marks} where key = $1 for update nowait`, values: [line.mark] }
    const patience = this.patience()
    for (;;) {
      try {
        const client = await this.lease(this.pools.writers)
        try {
          if (this.lines.get(client)!.system !== line.system) throw unknown('another server has taken its place since')
          const { rows } = await client.query(asked)
          if (rows.length === 0) throw unknown('it has kept nothing to tell by')
          return rows[0].value === line.kept
        } finally {
          client.release()
        }
      } catch (error) {
        if (error instanceof UntildoneError && error.code === 'outcome-unknown') throw error
        // It is still under way: its line is dead, and nobody has told the server. After this it is one or the other.
        if (isRace(error)) await this.endOf(lost)
      }
      if (!(await patience())) throw unknown('it has not come back yet')
    }
  }

  /** Ends what is left of a transaction whose line is dead. What cannot be reached ends by itself. */
  private async endOf(lost: PoolClient): Promise<void> {
    const { mark } = this.lines.get(lost)!
    if (mark === null) return
    try {
      const client = await this.lease(this.pools.writers)
      await client.query({ text: this.end, values: [mark] }).finally(() => client.release())
    } catch {}
  }

  /** A connection with its row, which is there before a transaction counts itself in it: whoever asks waits for it then. */
  private async marked(client: PoolClient): Promise<Line> {
    const line = this.lines.get(client)!
    if (line.mark !== null) return line
    const { rows } = await client.query(`select to_regclass('${this.marks}')::text as marks`)
    // The tables are just being made.
    if (rows[0].marks === null) return line
    const made = await client.query(
      `insert into ${this.marks} (key, value) values ('line/' || gen_random_uuid(), '0 ${this.now()}') returning key`,
    )
    line.mark = made.rows[0].key
    return line
  }

  /** A transaction counts itself. */
  private count(client: PoolClient, line: Line): Promise<QueryResult> {
    line.kept = `${++line.count} ${this.now()}`
    const text = `update ${this.marks} set value = $1 where key = $2`
    return client.query({ ...this.kept('untildone_count'), text, values: [line.kept, line.mark] })
  }

  private async drive<T>(plan: Plan<T>, client: PoolClient, sent: Sent): Promise<T> {
    onePacket(client)
    let step = plan.next()
    while (!step.done) {
      const asked = step.value
      if (asked instanceof Asked) {
        const rows = await asked.rows
        onePacket(client)
        step = plan.next(rows)
        continue
      }
      const form = this.translator.of(asked.sql)
      if (asked.want === 'later') {
        const answer = this.single(form, asked.params[0]!, client).then(({ rows }) => rows)
        sent.add(answer)
        step = plan.next(new Asked(answer))
        continue
      }
      const together = isTogether(form, asked)
      // Before anything is sent: statements arrive in the order of the plan.
      if (together && form.types === null) form.types = await this.typesOf(form, client)
      const answer = together ? this.sendTogether(form, asked, client) : this.send(form, asked, client)
      if (asked.want === 'none') {
        sent.add(answer)
        step = plan.next([])
      } else {
        const found = await answer
        onePacket(client)
        step = plan.next(found)
      }
    }
    return step.value
  }

  private send(form: Form, { params, want }: Statement, client: PoolClient): Promise<unknown> {
    if (want === 'rows') return this.single(form, params[0]!, client).then(({ rows }) => rows)
    const answers = params.map((list) => this.single(form, list, client))
    return Promise.all(answers).then((results) =>
      results.map((result) => (want === 'each' ? result.rows[0] : (result.rowCount ?? 0))),
    )
  }

  private sendTogether(form: Form, { params, want }: Statement, client: PoolClient): Promise<unknown> {
    const { name, text, same } = togetherOf(form, agreement(params))
    const [first] = params
    const values = same.map((agreed, column) => (agreed ? valueText(first![column]!) : arrayText(params, column)))
    const answer = client.query({ ...this.kept(name), text, values })
    return answer.then(({ rows }) => {
      if (want === 'each') {
        const found = new Array(params.length)
        for (const { n_, ...row } of rows) found[n_ - 1] = row
        return found
      }
      if (form.counted === 'all') return new Array(params.length).fill(1)
      const changes = new Array(params.length).fill(0)
      if (form.counted === 'by number') for (const { n_ } of rows) changes[n_ - 1]++
      return changes
    })
  }

  private single(form: Form, list: Statement['params'][number], client: PoolClient): Promise<QueryResult> {
    const named = this.kept(form.name)
    if (list.length === 0 && !named) return client.query(form.single)
    return client.query({ ...named, text: form.single, values: valuesOf(form, list) })
  }

  private kept(name: string | null): { name?: string } | undefined {
    return this.options.pooler === 'transaction' || name === null ? undefined : { name }
  }

  /** What PostgreSQL takes the parameters for. Asked once per statement. */
  private async typesOf(form: Form, client: PoolClient): Promise<string[]> {
    const name = `${form.name ?? 'untildone'}_probe`
    const types =
      'select array_to_json(parameter_types::text[])::text as types from pg_prepared_statements where name ='
    const [, asked] = await Promise.all([
      client.query(`prepare ${name} as ${form.single}`),
      client.query(`${types} '${name}'`),
      client.query(`deallocate ${name}`),
    ])
    return JSON.parse(asked.rows[0].types)
  }

  private async read<T>(plan: () => Plan<T>): Promise<T> {
    const patience = this.patience()
    for (let races = 0; ; ) {
      try {
        return await this.readOnce(plan)
      } catch (error) {
        // What it has prepared is of before a migration.
        if (isRace(error) && !isSlow(error) && ++races < RACES) continue
        // A connection that was idle while the server was restarted: the next one works.
        if (!isLost(error) || !(await patience())) throw explain(error)
      }
    }
  }

  private async readOnce<T>(plan: () => Plan<T>): Promise<T> {
    const client = await this.lease(this.pools.readers)
    let begun = false
    // Nothing depends on the end of a read but its connection.
    const end = (how: 'commit' | 'rollback') =>
      client.query(how).then(
        () => client.release(!begun),
        () => client.release(true),
      )
    try {
      const beginning = client.query(`begin isolation level repeatable read read only${this.settings}`).then(() => {
        begun = true
      })
      const [answer] = await Promise.all([this.drive(plan(), client, new Sent()), beginning])
      void end('commit')
      return answer
    } catch (error) {
      if (isLost(error) || isStale(error)) client.release(true)
      else void end('rollback')
      throw error
    }
  }

  /** A connection that is known to keep what it commits. */
  private async lease(pool: Pool): Promise<PoolClient> {
    const client = await pool.connect().catch((error) => {
      throw allTaken(pool) ? takenOf(error) : error
    })
    if (this.lines.has(client)) return client
    try {
      const [results] = await Promise.all([
        client.query(sessionSettings(this.options) + SYSTEM),
        assertSafe(client, this.options),
      ])
      const { system } = [results].flat().at(-1)!.rows[0]
      this.lines.set(client, { system, mark: null, count: 0, kept: '' })
      await this.clock.measure(client)
      return client
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  explain(error: unknown): Error {
    return explain(error)
  }

  async check(): Promise<Record<string, string | number>> {
    const health = await this.read(() => healthOf(this.translator.schema))
    return { ...health, clockOffsetMs: this.clock.offsetMs }
  }

  async tidy(): Promise<void> {
    // Of rows autovacuum does it; the tables say how soon (dialect.ts).
    await this.transact(() => sweepPlan(this.now()), true).catch((error) => {
      throw explain(error)
    })
  }

  async close(): Promise<void> {
    this.closed = true
    this.clock.close()
    await this.pools.end()
  }
}

/** Marks of connections that have written nothing for a week: they are no more. */
function* sweepPlan(now: number): Plan<void> {
  yield* put(`delete from meta where key like 'line/%' and split_part(value, ' ', 2)::bigint < ?1`, [
    [now - 7 * 86_400_000],
  ])
}

/** Statements that go out in one turn of the loop go out together: each packet wakes the server, and costs both a call. */
function onePacket(client: PoolClient): void {
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection
  if (stream.writableCorked > 0) return
  stream.cork()
  process.nextTick(() => stream.uncork())
}

/** Statements that nobody waits for, and the first that failed. */
class Sent {
  failure: unknown = null
  private last: Promise<unknown> = Promise.resolve()

  add(answer: Promise<unknown>): void {
    this.last = answer.catch((error) => {
      this.failure = this.failure === null ? error : causeOf(this.failure, error)
    })
  }

  /** They are answered in the order in which they were sent. */
  async settled(): Promise<void> {
    await this.last
  }
}

/** Whether one statement does it for all parameter lists. */
function isTogether(form: Form, { params, want }: Statement): boolean {
  if (form.many === null || want === 'rows' || params.length < 2) return false
  if (form.kind === 'insert') return form.counted === 'all' || want === 'none'
  return form.kind === 'select' ? want === 'each' : distinct(params)
}
