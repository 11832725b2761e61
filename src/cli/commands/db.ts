/** `untildone db`: the database itself: its state, its schema, copies of it, and what has had its time. */
import { type CommandSpec, duration } from '../command.js'
import { DATA, DATABASE, POOLER, SCHEMA } from '../database-option.js'

const WHERE = [DATABASE, SCHEMA, POOLER, DATA]
// ../db.js is loaded on demand: the other commands need neither store nor engine.

export const dbStatus: CommandSpec = {
  usage: 'db status',
  summary: 'schema, sizes, counts, and what holds it up',
  details:
    'Reads only, also while servers work on it. With SQLite it counts every row, which takes a while when there are millions.',
  options: WHERE,
  examples: [
    ['untildone db status', 'of the data folder here'],
    ['untildone db status --database postgres://db/jobs --json', 'of PostgreSQL, for a program'],
  ],
  async run(context, _args, options) {
    const { status } = await import('../db.js')
    return status(context, options)
  },
}

export const dbMigrate: CommandSpec = {
  usage: 'db migrate',
  summary: 'bring the schema up to date before servers do',
  details: `Every server does the same when it starts, once however many start together. Doing it first
shows trouble before the first of them is replaced. SQLite: stop its server, which owns the file.`,
  options: [...WHERE, { flags: '--dry-run', text: 'print the statements; change nothing' }],
  examples: [
    ['untildone db migrate --dry-run', 'what it would do'],
    ['untildone db migrate --database postgres://db/jobs', 'safe while older programs work, unless it says so'],
  ],
  async run(context, _args, options) {
    const { migrateNow } = await import('../db.js')
    return migrateNow(context, options)
  },
}

export const dbBackup: CommandSpec = {
  usage: 'db backup <file>',
  summary: 'copy the database while it is in use, and check the copy',
  details: `SQLite: as it is at one instant, checked page by page and synced. PostgreSQL: by pg_dump in its
own format, which pg_restore reads. Uploaded files are a folder of their own: copy it afterwards,
so that every file that the copy names is there.`,
  options: WHERE,
  examples: [
    ['untildone db backup /backup/jobs.db', 'the file must not exist yet'],
    ['untildone db backup /backup/jobs.dump --database postgres://db/jobs', 'needs pg_dump'],
  ],
  async run(context, [file], options) {
    const { backup } = await import('../db.js')
    return backup(context, file, options)
  },
}

export const dbPrune: CommandSpec = {
  usage: 'db prune',
  summary: 'remove finished jobs whose retention has ended, now',
  details: `Servers do it once a minute by themselves. --older-than removes finished jobs before their time;
unfinished jobs, and what they refer to, are never removed. Each leaves a tombstone, so that its
idempotency key still makes no second job. SQLite: stop its server, which owns the file.`,
  options: [
    ...WHERE,
    { flags: '--older-than <duration>', text: 'finished jobs of this age too, e.g. 7d', parse: duration },
    { flags: '--files <dir>', text: 'folder of the uploaded files (default: the one that belongs to the database)' },
    { flags: '--dry-run', text: 'count; remove nothing' },
    { flags: '--yes', text: 'do not ask before --older-than' },
  ],
  examples: [
    ['untildone db prune --dry-run', 'how many are due'],
    ['untildone db prune --older-than 7d --yes', 'history older than a week goes'],
  ],
  async run(context, _args, options) {
    const { prune } = await import('../db.js')
    return prune(context, options)
  },
}
