/**
 * SQLite as a driver: one connection, one writer, WAL with synchronous=FULL (asserted, because drivers reopen a WAL
 * database at NORMAL), prepared statements kept. A plan runs to its end in one turn of the loop. It knows no job.
 */
import { statSync } from 'node:fs'
import type { Clock } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { Asked, type Driver, type Plan, type Statement as PlanStatement, type Row } from '../sql/plan.js'
import { type Database, databaseClass, type Statement } from './database.js'
import { sqliteDialect } from './dialect.js'

export interface SqliteOptions {
  /** What a commit waits for. `full` is the promise; the others lose acknowledged jobs with the power and exist for the test that shows it. @default 'full' */
  synchronous?: 'full' | 'normal' | 'off'
}

export class SqliteDriver implements Driver {
  readonly flights = 1
  readonly dialect = sqliteDialect
  private readonly db: Database
  private readonly statements = new Map<string, Statement>()
  private broken: UntildoneError | null = null
  /** Which files were opened; null while that is not known. */
  private files: string | null = null

  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    private readonly options: SqliteOptions = {},
  ) {
    this.db = new (databaseClass().Database)(path)
    try {
      this.db.exec(
        // The timeout first: after a crash the first access recovers the log, while somebody else may be looking at the file.
        `pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = ${options.synchronous ?? 'full'}; pragma foreign_keys = on; pragma wal_autocheckpoint = 4000; pragma cache_size = -65536; pragma temp_store = memory`,
      )
    } catch (error) {
      this.db.close()
      throw this.explain(error)
    }
  }

  /** Called after the first write: only then does the setting in force show. */
  assertDurable(): void {
    const level = Number(this.pragma('synchronous'))
    if ((this.options.synchronous ?? 'full') === 'full' && level !== 2) {
      throw new UntildoneError(
        'store-unsafe',
        `SQLite runs with synchronous=${level} instead of FULL (2), so a commit would not wait for the disk.`,
      )
    }
    if (this.path !== ':memory:' && this.pragma('journal_mode') !== 'wal') {
      throw new UntildoneError(
        'store-unsafe',
        `SQLite cannot use a write-ahead log at ${this.path}; is it on a network file system?`,
      )
    }
    if (this.path !== ':memory:') this.files = this.filesNow()
  }

  private filesNow(): string {
    return [this.path, `${this.path}-wal`]
      .map((path) => statSync(path, { throwIfNoEntry: false }))
      .map((found) => (found ? `${found.dev}:${found.ino}` : 'gone'))
      .join(' ')
  }

  private pragma(name: string): unknown {
    return Object.values(this.db.prepare(`pragma ${name}`).get() ?? {})[0]
  }

  now(): number {
    return this.clock.now()
  }

  defer(fn: () => void): void {
    setImmediate(fn)
  }

  transact<T>(plan: () => Plan<T>, write: boolean): Promise<T> {
    try {
      return Promise.resolve(this.transactNow(plan, write))
    } catch (error) {
      return Promise.reject(write ? error : this.explain(error))
    }
  }

  private transactNow<T>(plan: () => Plan<T>, write: boolean): T {
    if (this.broken) throw this.broken
    // A read needs no transaction: nothing else can run before the plan has ended.
    if (!write) return this.drive(plan())
    this.db.exec('begin immediate')
    let answer: T
    try {
      answer = this.drive(plan())
    } catch (error) {
      this.rollback()
      throw error
    }
    try {
      this.commit()
    } catch (error) {
      this.rollback()
      // After a failed fsync the page cache cannot be trusted; what was written before it failed may be in the log.
      if (isIoError(error)) throw this.unfit(`The disk failed while committing (${message(error)})`, error)
      throw error
    }
    // Deleted files still take writes, and lose them with the process.
    if (this.files !== null && this.files !== this.filesNow()) {
      throw this.unfit(`The database file or its log was moved, deleted or replaced while in use (${this.path})`)
    }
    return answer
  }

  /** The moment from which the work is on disk. A seam: the torture harness kills the process on either side of it. */
  protected commit(): void {
    this.db.exec('commit')
  }

  /** Refuses everything until a restart has read the disk anew. @returns what to say of the commit that found it out */
  private unfit(what: string, cause?: unknown): UntildoneError {
    const params = { reason: 'disk-error' }
    this.broken = new UntildoneError('store-unavailable', `${what}. Check it, then restart.`, { params, cause })
    return new UntildoneError('outcome-unknown', `${what}, so what was asked may or may not be stored.`, {
      params,
      cause,
    })
  }

  private rollback(): void {
    try {
      this.db.exec('rollback')
    } catch {
      // SQLite has already rolled back by itself (disk full, I/O error).
    }
  }

  private drive<T>(plan: Plan<T>): T {
    let step = plan.next()
    while (!step.done) {
      let answer: unknown
      try {
        const asked = step.value
        answer = asked instanceof Asked ? asked.rows : this.execute(asked)
      } catch (error) {
        step = plan.throw(error)
        continue
      }
      step = plan.next(answer)
    }
    return step.value
  }

  private execute({ sql, params, want }: PlanStatement): unknown {
    const statement = this.prepared(sql)
    if (want === 'rows') return statement.all(...params[0]!)
    if (want === 'later') return new Asked(statement.all(...params[0]!) as Row[])
    const answers = new Array(params.length)
    if (want === 'each') for (let i = 0; i < params.length; i++) answers[i] = statement.get(...params[i]!)
    else for (let i = 0; i < params.length; i++) answers[i] = Number(statement.run(...params[i]!).changes)
    return answers
  }

  private prepared(sql: string): Statement {
    let statement = this.statements.get(sql)
    if (!statement) {
      statement = this.db.prepare(sql)
      if (this.statements.size > 500) this.statements.clear() // list filters make many texts
      this.statements.set(sql, statement)
    }
    return statement
  }

  explain(error: unknown): Error {
    if (error instanceof UntildoneError) return error
    const text = message(error)
    if (/disk is full|SQLITE_FULL/i.test(text)) {
      return new UntildoneError(
        'store-unavailable',
        'The disk is full, so nothing more can be stored safely. Jobs stored before are kept.',
        {
          params: { reason: 'disk-full' },
          fix: 'Free space on the disk of the database; it goes on by itself.',
          retryAfterMs: 5000,
          cause: error,
        },
      )
    }
    if (/locked|busy/i.test(text))
      return new UntildoneError('store-unavailable', `The database is locked by another process (${text}).`, {
        params: { reason: 'busy' },
        retryAfterMs: 1000,
        cause: error,
      })
    if (isIoError(error))
      return new UntildoneError('store-unavailable', `The database file cannot be used (${text}).`, {
        params: { reason: 'disk-error' },
        cause: error,
      })
    return new UntildoneError('internal', `The store failed: ${text}`, { cause: error })
  }

  async check(): Promise<Record<string, string | number>> {
    const size = (path: string) => {
      try {
        return statSync(path).size
      } catch {
        return 0
      }
    }
    return {
      driver: databaseClass().name,
      path: this.path,
      synchronous: Number(this.pragma('synchronous')),
      journal: String(this.pragma('journal_mode')),
      bytes: size(this.path),
      walBytes: size(`${this.path}-wal`),
      freePages: Number(this.pragma('freelist_count')),
    }
  }

  async tidy(): Promise<void> {
    this.db.exec('pragma wal_checkpoint(truncate)')
  }

  async close(): Promise<void> {
    this.statements.clear()
    this.db.close()
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function isIoError(error: unknown): boolean {
  return /disk I\/O error|SQLITE_IOERR|malformed|not a database/i.test(message(error))
}
