/** What `untildone db` does, over either database. Loaded on demand; every change goes through the store. */
import { existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Engine } from '../engine/api.js'
import type { EngineInside } from '../engine/engine.js'
import { createUntildone, sqlite } from '../index.js'
import { postgresPending, postgresStatus } from '../stores/postgres/admin.js'
import { postgres } from '../stores/postgres/index.js'
import { type DatabaseStatus, sqliteBackup, sqlitePending, sqliteStatus } from '../stores/sqlite/admin.js'
import type { StoreFactory } from '../stores/store.js'
import { systemClock, systemEntropy } from '../system/index.js'
import { confirmed } from './confirm.js'
import type { Context } from './context.js'
import { placeOf, placeText, type Target, targetOf } from './database-option.js'
import { CliError, EXIT, type Exit } from './failure.js'
import { dump } from './pg-dump.js'
import { table } from './table.js'
import { ago, bytes, clean, count, oneUnit, padTo } from './text.js'

/** One transaction removes so many; the next one lets others in between. */
const CHUNK = 100

type Options = Record<string, any>

export async function status(context: Context, options: Options): Promise<void> {
  const found = await statusOf(targetOf(context, options), context.now())
  if (context.options.json || context.options.ndjson) return context.printJson(found)
  context.print(`${found.kind === 'sqlite' ? 'SQLite' : 'PostgreSQL'}  ${clean(found.location)}`)
  context.print(
    linesOf(found, context.now())
      .map(([what, text]) => `  ${padTo(what, 18)}  ${text}`)
      .join('\n'),
  )
  const rows = found.tables.filter(({ rows }) => rows > 0).slice(0, 12)
  if (rows.length === 0) return
  const postgres = found.kind === 'postgres'
  const columns = [
    { title: 'TABLE', key: true },
    { title: postgres ? 'ROWS (ABOUT)' : 'ROWS', align: 'right' as const },
    ...(postgres
      ? [
          { title: 'SIZE', align: 'right' as const },
          { title: 'TO CLEAN', align: 'right' as const },
        ]
      : []),
  ]
  const cells = rows.map((row) => [
    row.table,
    `${row.rows}`,
    ...(postgres ? [bytes(row.bytes ?? 0), `${row.deadRows}`] : []),
  ])
  context.print(`\n${table(columns, cells, context.io.outIsTerminal ? context.io.columns() : null)}`)
}

function linesOf(found: DatabaseStatus, now: number): [string, string][] {
  const { schema, knows, counts, deadRows, oldestTransaction, settings } = found
  const lines: [string, string][] = [['schema', schemaText(schema, knows)]]
  lines.push(['size', bytes(found.bytes)])
  if (counts) {
    lines.push(
      ['unfinished', `${count(counts.unfinished, 'job')}, ${counts.running} running`],
      [
        'oldest of them',
        counts.oldest
          ? `${counts.oldest.id}, ${clean(counts.oldest.type)}, submitted ${ago(counts.oldest.createdAt, now)}`
          : 'there is none',
      ],
      ['finished', `${count(counts.finished, 'job')}, ${counts.expired} past their retention`],
      [
        'besides',
        `${count(counts.tombstones, 'tombstone')}, ${counts.outbox} in the outbox, ${count(counts.files, 'file')} (${bytes(counts.fileBytes)})`,
      ],
    )
  }
  if (deadRows !== null)
    lines.push(['rows to clean', `${deadRows} were replaced or removed and take space until autovacuum comes`])
  if (found.kind === 'postgres')
    lines.push([
      'oldest transaction',
      oldestTransaction
        ? `open for ${oneUnit(oldestTransaction.seconds * 1000)}, ${clean(oldestTransaction.who)}`
        : 'none is open, as far as this role sees',
    ])
  lines.push([
    'settings',
    Object.entries(settings)
      .map(([name, value]) => `${name} ${clean(value)}`)
      .join(', '),
  ])
  return lines
}

function schemaText(schema: DatabaseStatus['schema'], knows: number): string {
  if (schema === null) return `none yet; untildone db migrate makes schema ${knows}`
  if (schema.version === knows) return `${schema.version}, the one this program knows`
  if (schema.version < knows) return `${schema.version}; this program brings it to ${knows}: untildone db migrate`
  return schema.worksFrom <= knows
    ? `${schema.version}, newer than this program (${knows}), which may work with it`
    : `${schema.version}, too new for this program (${knows}): install the version that made it, or a newer one`
}

export async function migrateNow(context: Context, options: Options): Promise<void> {
  const target = targetOf(context, options)
  const pending = await (target.kind === 'sqlite'
    ? sqlitePending(target.file)
    : postgresPending(target.url, target.schema, target.pooler))
  const json = context.options.json || context.options.ndjson
  const place = placeOf(target)
  const which = clean(placeText(place))
  if (options.dryRun) {
    if (json) return context.printJson({ ...place, dryRun: true, pending })
    if (pending.length === 0) return context.say(`${which}: the schema is up to date: there is nothing to do.`)
    context.say(`${which}:`)
    for (const { version, statements } of pending)
      context.print(`-- schema ${version}\n${statements.map((text) => `${text};`).join('\n')}`)
    return
  }
  const store = await factoryOf(target).open({ clock: systemClock, entropy: systemEntropy })
  await store.close()
  const { schema } = await statusOf(target, context.now())
  if (json) return context.printJson({ ...place, applied: pending.map(({ version }) => version), schema })
  context.say(
    pending.length === 0
      ? `${which}: the schema is up to date (${schema?.version}): nothing was to do.`
      : `${which}: the schema is ${schema?.version} now; ${count(pending.length, 'migration')} applied.`,
  )
}

export async function backup(context: Context, to: string, options: Options): Promise<void> {
  const target = targetOf(context, options)
  const file = resolve(context.io.cwd, to)
  if (existsSync(file))
    throw new CliError('usage', `${file} is there already. Nothing was done.`, {
      fix: 'Name a file that does not exist yet, for example with the date in its name.',
      exit: EXIT.conflict,
    })
  if (!existsSync(dirname(file)))
    throw new CliError('usage', `There is no folder ${dirname(file)}.`, { fix: 'Make it first, or name another one.' })
  const done =
    target.kind === 'sqlite' ? sqliteBackup(target.file, file) : await dump(target, file, context.interrupted)
  if (context.options.json || context.options.ndjson) return context.printJson(done)
  context.print(done.file)
  const files = target.kind === 'sqlite' ? filesBeside(target.file) : null
  context.say(
    `${bytes(done.bytes)}, checked and synced.${files ? ` Uploaded files are in ${files}: copy that folder now.` : ' Uploaded files are in the folder that filesDir names: copy it now.'}`,
  )
}

export async function prune(context: Context, options: Options): Promise<Exit | void> {
  const target = targetOf(context, options)
  const { olderThan } = options as { olderThan?: number }
  const now = context.now()
  const finishedBy = olderThan === undefined ? undefined : now - olderThan
  const found = await statusOf(target, now, finishedBy)
  // Before the store is opened, which would make them, and before rows go whose bytes are elsewhere.
  if (found.schema === null) throw noTables(target)
  if (options.files !== undefined) refuseNoFolder(resolve(context.io.cwd, options.files))
  const due = found.counts?.expired ?? 0
  const json = context.options.json || context.options.ndjson
  if (options.dryRun) {
    if (json) return context.printJson({ dryRun: true, jobs: due })
    return context.say(`${count(due, 'finished job')} would be removed, unless something unfinished refers to them.`)
  }
  if (olderThan !== undefined && options.yes !== true) {
    if (!context.io.inIsTerminal)
      throw new CliError('usage', `This removes ${count(due, 'finished job')} before their time. Nothing was done.`, {
        fix: 'Add --yes if that is what you want, or look first: --dry-run.',
      })
    const question = `Remove ${count(due, 'finished job')} that ended more than ${oneUnit(olderThan)} ago?`
    if (!(await confirmed(context, question))) return context.say('Nothing was done.')
  }
  const app = await createUntildone({
    store: factoryOf(target),
    handlers: [],
    worker: false,
    maintenance: false,
    ...filesOf(target, context, options),
    onError: () => {},
  })
  const removed = { records: 0, files: 0 }
  try {
    const { parts, files } = app.engine as Engine & EngineInside
    const expire = async (by?: number) => {
      for (let n = CHUNK; n >= CHUNK && !context.interrupted.aborted; removed.records += n)
        n = await parts.store.expire(CHUNK, by)
    }
    if (finishedBy !== undefined) await expire(finishedBy)
    await expire()
    for (let n = CHUNK; n === CHUNK && !context.interrupted.aborted; removed.files += n) n = await files.sweep(CHUNK)
  } finally {
    await app.stop()
  }
  if (context.interrupted.aborted) throw context.interrupted.reason
  if (json) return context.printJson(removed)
  context.say(
    `${count(removed.records, 'job or tombstone', 'jobs and tombstones')} and ${count(removed.files, 'file')} removed.`,
  )
}

function noTables(target: Target): CliError {
  const where = target.kind === 'sqlite' ? target.file : `The schema ${target.schema}`
  return new CliError('not-found', `${where} has no tables of Untildone. Nothing was done.`, {
    fix:
      target.kind === 'sqlite'
        ? 'Name the data folder or the file with --data; untildone db status says what is in it.'
        : 'Name the schema with --schema, and the database with --database; untildone db status says what is there.',
    exit: EXIT.notFound,
  })
}

function refuseNoFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return
  throw new CliError('not-found', `There is no folder ${dir}. Nothing was done.`, {
    fix: 'Name the one that --files or filesDir of the servers says; where nothing was ever uploaded, leave it out.',
    exit: EXIT.notFound,
  })
}

async function statusOf(target: Target, now: number, finishedBy?: number): Promise<DatabaseStatus> {
  return target.kind === 'sqlite'
    ? sqliteStatus(target.file, now, finishedBy)
    : postgresStatus(target.url, target.schema, finishedBy, target.pooler)
}

function factoryOf(target: Target): StoreFactory {
  return target.kind === 'sqlite'
    ? sqlite(target.file)
    : postgres(target.url, { schema: target.schema, pooler: target.pooler })
}

/** `serve` keeps them in `files` of its data folder; a program of one's own beside the database, unless it says otherwise. */
function filesBeside(file: string): string {
  const served = resolve(dirname(file), 'files')
  return existsSync(served) ? served : `${file}-files`
}

function filesOf(target: Target, context: Context, options: Options): { filesDir?: string } {
  if (options.files !== undefined) return { filesDir: resolve(context.io.cwd, options.files) }
  return target.kind === 'sqlite' ? { filesDir: filesBeside(target.file) } : {}
}
