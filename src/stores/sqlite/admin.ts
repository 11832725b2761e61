/**
 * Looking at a SQLite file and copying it while another process may own it: over a connection that only reads, which the
 * owner does not notice. Nothing here writes to the file.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { UntildoneError } from '../../core/errors.js'
import { countsPlan, type DatabaseStatus, pendingOf } from '../sql/admin.js'
import { EMPTY, MIGRATIONS, type SchemaState, schemaState } from '../sql/migrate.js'
import type { Plan, Statement } from '../sql/plan.js'
import { type Database, databaseClass } from './database.js'
import { sqliteDialect } from './dialect.js'

export type { DatabaseStatus } from '../sql/admin.js'

/** @throws UntildoneError `not-found` when there is no such file, `store-unavailable` when it is no database */
export function sqliteStatus(path: string, now: number, finishedBy?: number): DatabaseStatus {
  return reading(path, (db, file) => {
    const found = stateOf(db)
    const tables = db
      .prepare(`select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name`)
      .all()
      .map(({ name }) => ({
        table: String(name),
        rows: Number(db.prepare(`select count(*) as n from "${name}"`).get()!.n),
        ...{ bytes: null, deadRows: null },
      }))
    const pragma = (name: string) => String(Object.values(db.prepare(`pragma ${name}`).get() ?? { '': '' })[0])
    return {
      kind: 'sqlite',
      location: file,
      schema: found.version === 0 ? null : found,
      knows: MIGRATIONS.length,
      bytes: sizeOf(file) + sizeOf(`${file}-wal`),
      counts: found.version === 0 ? null : drive(db, countsPlan(now, finishedBy)),
      deadRows: null,
      tables: tables.sort((a, b) => b.rows - a.rows),
      oldestTransaction: null,
      settings: {
        driver: databaseClass().name,
        journal: pragma('journal_mode'),
        walBytes: String(sizeOf(`${file}-wal`)),
        freeBytes: String(Number(pragma('freelist_count')) * Number(pragma('page_size'))),
      },
    }
  })
}

/** What an opening would do to it; all of it where there is no file yet. */
export function sqlitePending(path: string): { version: number; statements: string[] }[] {
  return pendingOf(existsSync(resolve(path)) ? reading(path, stateOf) : EMPTY, sqliteDialect)
}

/**
 * Copies the database as it is at one instant, checks the copy page by page, and syncs it. `to` exists only when all of
 * that is done.
 * @throws UntildoneError `not-found`, `store-unavailable`, `store-unsafe` when the copy is not sound
 */
export function sqliteBackup(path: string, to: string): { file: string; bytes: number; finished: number } {
  const file = resolve(to)
  const part = `${file}.part`
  rmSync(part, { force: true })
  try {
    reading(path, (db) => db.prepare('vacuum into ?').run(part))
    const finished = reading(part, (copy) => {
      const [found] = copy.prepare('pragma integrity_check(1)').all()
      const said = String(Object.values(found ?? {})[0])
      if (said !== 'ok')
        throw new UntildoneError('store-unsafe', `The copy is not sound: ${said}`, {
          fix: 'Check the disks of both files. The database itself was not touched.',
        })
      return stateOf(copy).version === 0 ? 0 : drive(copy, countsPlan(0)).finished
    })
    sync(part)
    renameSync(part, file)
    sync(dirname(file))
    return { file, bytes: sizeOf(file), finished }
  } catch (error) {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${part}${suffix}`, { force: true })
    throw error
  }
}

function reading<T>(path: string, look: (db: Database, file: string) => T): T {
  const file = resolve(path)
  if (!existsSync(file))
    throw new UntildoneError('not-found', `There is no database at ${file}.`, {
      fix: 'Name its folder (or the file itself) with --data, or start a server there first.',
    })
  let db: Database | null = null
  try {
    db = new (databaseClass().Database)(file, { readOnly: true })
    db.exec('pragma busy_timeout = 5000')
    return look(db, file)
  } catch (error) {
    if (error instanceof UntildoneError) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw new UntildoneError('store-unavailable', `${file} cannot be read (${text}).`, {
      fix: /no such|unable to open|permission|denied/i.test(text)
        ? 'Check that this user may read the file and write to the folder of the copy.'
        : 'Check that it is a database of Untildone, and the disk that it is on.',
      cause: error,
    })
  } finally {
    db?.close()
  }
}

function stateOf(db: Database): SchemaState {
  const meta = db.prepare(`select 1 as found from sqlite_master where name = 'meta'`).get()
  return meta ? drive(db, schemaState()) : EMPTY
}

function drive<T>(db: Database, plan: Plan<T>): T {
  const answer = ({ sql, params }: Statement) => db.prepare(sql).all(...params[0]!)
  let step = plan.next()
  while (!step.done) {
    step = plan.next(answer(step.value as Statement))
  }
  return step.value
}

function sync(path: string): void {
  const handle = openSync(path, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
