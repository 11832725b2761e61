/**
 * PostgreSQL as a driver: transactions at READ COMMITTED, in which a plan's statements go out without waiting where the
 * plan needs no answer. A transaction that met another one is run again; one whose commit was not answered is looked up
 * (lines.ts). It knows no job.
 */
import type { PoolClient } from 'pg'
import type { Clock } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { Asked, type Dialect, type Driver, type Plan, type Statement } from '../sql/plan.js'
import type { Told } from '../sql/shared.js'
import type { SqlTransaction } from '../store.js'
import { ServerClock } from './clock.js'
import {
  causeOf,
  explain,
  isAnswer,
  isLost,
  isRace,
  isSlow,
  isStale,
  localSettings,
  type PostgresOptions,
} from './connections.js'
import { dialectOf } from './dialect.js'
import { channelOf, RING } from './doorbell.js'
import { runWithin } from './foreign.js'
import { healthOf } from './health.js'
import { type Line, Lines, sweepMarks } from './lines.js'
import { type Pools, poolsOf, WRITERS } from './pools.js'
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
import { type Answer, type Wire, wireOf } from './wire.js'

/** A transaction that loses so many races in a row is wrong by itself. */
const RACES = 8

export class PostgresDriver implements Driver {
  /** While one waits for the disk, another is made ready. */
  readonly flights = WRITERS
  readonly dialect: Dialect
  private readonly settings: readonly string[]
  private readonly lines: Lines
  private readonly clock: ServerClock

  constructor(
    url: string,
    clock: Clock,
    private readonly translator: Translator,
    private readonly options: PostgresOptions = {},
    private readonly pools: Pools = poolsOf(url, options),
  ) {
    this.clock = new ServerClock(clock, pools.readers)
    this.dialect = dialectOf(translator.schema)
    this.lines = new Lines(pools, this.clock, `${translator.schema}.meta`, options)
    this.settings = localSettings(options)
  }

  now(): number {
    return this.clock.now()
  }

  defer(fn: () => void): void {
    setImmediate(fn)
  }

  async transact<T>(plan: () => Plan<T>, write: boolean, behind?: () => Told | null): Promise<T> {
    if (!write) return this.read(plan)
    const patience = this.lines.patience()
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

  private async write<T>(plan: () => Plan<T>, behind?: () => Told | null): Promise<T> {
    const client = await this.lines.writer()
    const sent = new Sent()
    let begun = false
    let answer: T | undefined
    let committing = false
    try {
      const line = await this.lines.marked(client)
      const beginning = this.begin(client, 'begin').then(() => {
        begun = true
      })
      sent.add(beginning)
      if (line.mark !== null) sent.add(this.lines.count(client, line))
      // At once: the server is awake while the rest is made ready.
      wireOf(client).push()
      answer = await this.drive(plan(), wireOf(client), sent)
      const told = line.mark === null ? null : (behind?.() ?? null)
      committing = true
      const committed = this.commit(client)
      this.tellBehind(client, line, told)
      const { command } = await committed
      await sent.settled()
      // So it answers where a statement that nobody waited for had failed.
      if (command !== 'COMMIT' || !begun) throw sent.failure ?? new Error('PostgreSQL rolled the transaction back.')
      this.lines.written(client)
      return answer
    } catch (error) {
      const cause = isLost(error) ? error : causeOf(sent.failure, error)
      const back = isLost(cause) ? cause : await this.rollback(client).catch((failed: Error) => failed)
      // Whatever it was: a connection that cannot roll back says nothing of what has become of its transaction.
      if (!(back instanceof Error)) {
        // Without a beginning each statement may have been a transaction of its own.
        client.release(isStale(cause) || !begun)
        throw cause
      }
      client.release(true)
      if (committing && (await this.lines.committed(client, cause))) return answer as T
      // It may hold rows for as long as its server takes to notice that nobody is there.
      if (!committing) await this.lines.endOf(client)
      throw isAnswer(cause) ? cause : back
    }
  }

  /** The moment from which the work is on disk. A seam: the torture harness stops the process on either side of it. */
  protected commit(client: PoolClient): Promise<Answer> {
    return this.end(client)
  }

  private end(client: PoolClient): Promise<Answer> {
    return wireOf(client).ask({ name: this.lines.kept('untildone_commit'), text: 'commit' })
  }

  private begin(client: PoolClient, text: string): Promise<unknown> {
    const wire = wireOf(client)
    const beginning = wire.ask({ name: this.lines.kept(`untildone_${text.replaceAll(' ', '_')}`), text })
    return Promise.all([beginning, ...this.settings.map((text) => wire.ask({ name: null, text }))])
  }

  private rollback(client: PoolClient): Promise<unknown> {
    return wireOf(client).askAlone({ name: null, text: 'rollback' })
  }

  /**
   * Follows a commit in its packet: only where it was one, others are told. They are before the caller is answered, whose
   * process may be given the processor that the server needs.
   */
  private tellBehind(client: PoolClient, { mark, kept }: Line, told: Told | null): void {
    if (told === null) return
    const text = `${RING} where exists (select 1 from ${this.lines.marks} where key = $3 and value = $4)`
    const texts = arrayText(
      told.texts.map((text) => [text]),
      0,
    )
    const values = [channelOf(this.options, told.toAll), texts, mark, kept]
    wireOf(client)
      .ask({ name: this.lines.kept('untildone_behind'), text, values })
      .catch(() => {})
  }

  private async drive<T>(plan: Plan<T>, wire: Wire, sent: Sent): Promise<T> {
    let step = plan.next()
    while (!step.done) {
      const asked = step.value
      if (asked instanceof Asked) {
        step = plan.next(await asked.rows)
        continue
      }
      const form = this.translator.of(asked.sql)
      if (asked.want === 'later') {
        const answer = this.single(form, asked.params[0]!, wire).then(({ rows }) => rows)
        sent.add(answer)
        step = plan.next(new Asked(answer))
        continue
      }
      const together = isTogether(form, asked)
      // Before anything is sent: statements arrive in the order of the plan.
      if (together && form.types === null) form.types = await this.typesOf(form, wire)
      const answers = together
        ? [this.together(form, asked, wire)]
        : asked.params.map((list) => this.single(form, list, wire))
      if (asked.want === 'none') {
        for (const answer of answers) sent.add(answer)
        step = plan.next([])
      } else {
        const found = await Promise.all(answers)
        step = plan.next(together ? apart(form, asked, found[0]!) : each(asked, found))
      }
    }
    return step.value
  }

  /** One statement for all lists. */
  private together(form: Form, { params }: Statement, wire: Wire): Promise<Answer> {
    const { name, text, same } = togetherOf(form, agreement(params))
    const [first] = params
    const values = same.map((agreed, column) => (agreed ? valueText(first![column]!) : arrayText(params, column)))
    return wire.ask({ name: this.lines.kept(name), text, values })
  }

  private single(form: Form, list: Statement['params'][number], wire: Wire): Promise<Answer> {
    return wire.ask({ name: this.lines.kept(form.name), text: form.single, values: valuesOf(form, list) })
  }

  /** What PostgreSQL takes the parameters for. Asked once per statement. */
  private async typesOf(form: Form, wire: Wire): Promise<string[]> {
    const name = `${form.name ?? 'untildone'}_probe`
    const types =
      'select array_to_json(parameter_types::text[])::text as types from pg_prepared_statements where name ='
    const texts = [`prepare ${name} as ${form.single}`, `${types} '${name}'`, `deallocate ${name}`]
    const [, asked] = await Promise.all(texts.map((text) => wire.ask({ name: null, text })))
    return JSON.parse(asked!.rows[0].types)
  }

  private async read<T>(plan: () => Plan<T>): Promise<T> {
    const patience = this.lines.patience()
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
    const client = await this.lines.lease(this.pools.readers)
    let begun = false
    // Nothing depends on the end of a read but its connection.
    const release = (answer: Promise<unknown>) =>
      answer.then(
        () => client.release(!begun),
        () => client.release(true),
      )
    try {
      const beginning = this.begin(client, 'begin isolation level repeatable read read only').then(() => {
        begun = true
      })
      const [answer] = await Promise.all([this.drive(plan(), wireOf(client), new Sent()), beginning])
      void release(this.end(client))
      return answer
    } catch (error) {
      if (isLost(error) || isStale(error)) client.release(true)
      else void release(this.rollback(client))
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
    await this.transact(() => sweepMarks(this.now()), true).catch((error) => {
      throw explain(error)
    })
  }

  async close(): Promise<void> {
    this.lines.close()
    this.clock.close()
    await this.pools.end()
  }
}

/** What was asked for, of the answers to each list. */
function each({ want }: Statement, answers: readonly Answer[]): unknown {
  if (want === 'rows') return answers[0]!.rows
  return answers.map(({ rows, rowCount }) => (want === 'each' ? rows[0] : rowCount))
}

/** The same for each list, of the answer to all. */
function apart(form: Form, { params, want }: Statement, { rows }: Answer): unknown[] {
  if (want === 'each') {
    const found = new Array(params.length)
    for (const { n_, ...row } of rows) found[n_ - 1] = row
    return found
  }
  if (form.counted === 'all') return new Array(params.length).fill(1)
  const changes = new Array(params.length).fill(0)
  if (form.counted === 'by number') for (const { n_ } of rows) changes[n_ - 1]++
  return changes
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
