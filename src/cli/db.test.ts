import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, type JobHandler, sqlite, type Untildone } from '../index.js'
import { MIGRATIONS } from '../stores/sql/migrate.js'
import { databaseClass } from '../stores/sqlite/database.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const note = defineJob('note', { input: z.object({ n: z.number() }) })
const handler = note.handler({}, () => null as never) as unknown as JobHandler

let folder: string
let app: Untildone | null
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'untildone-db-'))
  app = null
})
afterEach(async () => {
  await app?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function ud(line: string, env: Record<string, string> = {}, terminal = false) {
  const io = fakeIo({ cwd: folder, env, ...(terminal ? { columns: 100 } : {}) })
  const exit = await run(line.split(' '), io)
  return { exit, out: io.stdout, err: io.stderr }
}
const json = async (line: string) => JSON.parse((await ud(`${line} --json`)).out)

/** A server's database with finished jobs in it; its process goes on unless it is stopped. */
async function serving(jobs = 3): Promise<Untildone> {
  app = await createUntildone({
    store: sqlite(join(folder, 'data', 'untildone.db')),
    handlers: [handler],
    onError() {},
  })
  await app.start()
  for (let n = 0; n < jobs; n++) await (await app.submit(note, { n })).result()
  return app
}
async function stopped(jobs = 3): Promise<void> {
  await (await serving(jobs)).stop()
  app = null
}

describe('db status', () => {
  it('counts while the server works on it, and does not disturb it', async () => {
    const { submit } = await serving()
    const waiting = await submit(note, { n: 9 }, { runAt: new Date(Date.now() + 3_600_000) })
    const { exit, out } = await ud('db status --data data')
    expect(exit).toBe(0)
    expect(out).toMatch(/^SQLite {2}.*untildone\.db\n {2}schema +1, the one this program knows/)
    expect(out).toMatch(/unfinished +1 job, 0 running/)
    expect(out).toMatch(new RegExp(`oldest of them +${waiting.id}, note, submitted `))
    expect(out).toMatch(/finished +3 jobs, 0 past their retention/)
    expect(out).toMatch(/TABLE +ROWS\n/)
    expect(await json('db status --data data')).toMatchObject({
      ...{ kind: 'sqlite', schema: { version: MIGRATIONS.length }, knows: MIGRATIONS.length },
      counts: { unfinished: 1, running: 0, finished: 3, expired: 0, oldest: { id: waiting.id, type: 'note' } },
      settings: { journal: 'wal' },
    })
    expect(await (await submit(note, { n: 4 })).result()).toBeNull()
  })

  it('takes the file itself, and says so when there is none, or when it is something else', async () => {
    await stopped(1)
    expect(await json('db status --data data/untildone.db')).toMatchObject({ counts: { finished: 1 } })
    const none = await ud('db status')
    expect([none.exit, none.err]).toEqual([5, expect.stringContaining('There is no database at')])
    expect(none.err).toContain('--data')
    writeFileSync(join(folder, 'other.db'), 'this is no database, and long enough to be sure of that'.repeat(99))
    const other = await ud('db status --data other.db')
    expect(other.exit).not.toBe(0)
    expect(other.err).toContain('cannot be read')
  })

  it('says what a newer schema means', async () => {
    await stopped(1)
    const set = (version: number, worksFrom: number) => {
      const db = new (databaseClass().Database)(join(folder, 'data', 'untildone.db'))
      db.exec(`update meta set value = '${version}' where key = 'schema'`)
      db.exec(`update meta set value = '${worksFrom}' where key = 'schema-works-from'`)
      db.close()
    }
    set(9, 1)
    expect((await ud('db status --data data')).out).toContain('newer than this program')
    set(9, 9)
    expect((await ud('db status --data data')).out).toContain('too new for this program')
    expect((await ud('db migrate --data data')).err).toContain('The database is at schema 9')
  })

  it('an address that is none of PostgreSQL is refused; a data folder on the line counts more than the environment', async () => {
    expect((await ud('db status --database mysql://x')).exit).toBe(2)
    expect((await ud('db status --schema Not-One --database postgres://x')).err).toContain('no name of a schema')
    const pooler = await ud('db status --database postgres://127.0.0.1:1/none --pooler session')
    expect([pooler.exit, pooler.err]).toEqual([2, expect.stringContaining('no pooler "session"')])
    const named = await ud('db status --database postgres://127.0.0.1:1/none', { UNTILDONE_POOLER: 'transaction' })
    expect(named.err).toContain('PostgreSQL cannot be reached')
    await stopped(1)
    const env = { UNTILDONE_DATABASE: 'postgres://127.0.0.1:1/none' }
    expect((await ud('db status --data data', env)).exit).toBe(0)
    const { exit, err } = await ud('db status', env)
    expect([exit, err]).toEqual([expect.any(Number), expect.stringContaining('PostgreSQL cannot be reached')])
    expect(exit).not.toBe(0)
  })
})

it('an address that cannot be read is a mistake in its use, whatever is asked, and its password is not printed', async () => {
  for (const address of [
    'postgres://me:se/cret@127.0.0.1/jobs',
    'postgres://me:12#cret@h/jobs',
    'postgres://me:cret@h:99999/jobs',
  ])
    for (const command of ['db status', 'db migrate', 'db backup copy.dump', 'db prune --dry-run', 'doctor', 'serve']) {
      const { exit, out, err } = await ud(`${command} --database ${address}`)
      expect([exit, out], `${command} ${address}`).toEqual([2, ''])
      expect(err).toContain('The address of the database cannot be read.')
      expect(err).toContain('are written %2F %23 %3F')
      expect(err).not.toContain('cret')
    }
})

it('serve says which store it has', async () => {
  mkdirSync(join(folder, 'jobs'))
  const define = join(process.cwd(), 'src/define/index.ts')
  const source = `import { defineJob, jsonSchema } from '${define}'
export const open = defineJob('open', { input: jsonSchema({ type: 'object' }) }).handler(async () => null)`
  writeFileSync(join(folder, 'jobs', 'open.ts'), source)
  for (const more of [[], ['--json']]) {
    const io = fakeIo({ cwd: folder, env: {} })
    const ended = run(['serve', '--port', '0', '--data', 'data', ...more], io)
    await io.saw(/ready.*\n/)
    io.interrupt()
    expect(await ended).toBe(0)
    expect(io.stdout + io.stderr).toMatch(/ready.*store"?:?"? ?"?SQLite .*data\/untildone\.db/)
  }
})

describe('db migrate', () => {
  it('prints what it would do, does it, and has nothing to do then', async () => {
    const dry = await ud('db migrate --data fresh.db --dry-run')
    expect(dry.out).toMatch(/^-- schema 1\ncreate table meta \(.*\) without rowid;\n/)
    expect(existsSync(join(folder, 'fresh.db'))).toBe(false)
    expect((await ud('db migrate --data fresh.db')).err).toBe(
      `SQLite ${join(folder, 'fresh.db')}: the schema is 1 now; 1 migration applied.\n`,
    )
    expect((await ud('db migrate --data fresh.db --dry-run')).err).toContain('there is nothing to do')
    const which = { kind: 'sqlite', location: join(folder, 'fresh.db') }
    const schema = { version: 1, worksFrom: 1 }
    expect(await json('db migrate --data fresh.db')).toEqual({ ...which, applied: [], schema })
    expect(await json('db migrate --data fresh.db --dry-run')).toEqual({ ...which, dryRun: true, pending: [] })
  })

  it('says which database it means, where the environment names another', async () => {
    const env = { UNTILDONE_DATABASE: 'postgres://127.0.0.1:1/none' }
    const { exit, err } = await ud('db migrate --data fresh.db', env)
    expect([exit, err]).toEqual([0, expect.stringContaining(`SQLite ${join(folder, 'fresh.db')}: `)])
    expect((await ud('db migrate --data fresh.db --dry-run', env)).err).toContain(`SQLite ${join(folder, 'fresh.db')}`)
  })

  it('is refused while a server owns the file', async () => {
    await serving(0)
    const { exit, err } = await ud('db migrate --data data')
    expect(exit).not.toBe(0)
    expect(err).toContain('Another process owns')
  })
})

describe('db backup', () => {
  it('copies while jobs are stored; the copy is a database with what was there', async () => {
    const { submit } = await serving()
    const { exit, out, err } = await ud('db backup copy.db --data data')
    expect([exit, out]).toEqual([0, `${join(folder, 'copy.db')}\n`])
    expect(err).toContain('checked and synced')
    expect(err).toContain('untildone.db-files')
    await (await submit(note, { n: 4 })).result()
    expect((await json('db status --data copy.db')).counts.finished).toBe(3)
    expect((await json('db status --data data')).counts.finished).toBe(4)
    expect(readdirSync(folder).sort()).toEqual(['copy.db', 'data'])
    const restored = await createUntildone({ store: sqlite(join(folder, 'copy.db')), handlers: [handler] })
    expect((await restored.engine.check({ ...OPERATOR })).finished).toBe(3)
    await restored.stop()
  })

  it('never writes over a file, and leaves nothing where there is nothing to copy', async () => {
    await stopped(1)
    writeFileSync(join(folder, 'there.db'), 'x')
    const there = await ud('db backup there.db --data data')
    expect([there.exit, there.err]).toEqual([6, expect.stringContaining('is there already')])
    expect((await ud('db backup no/such/folder.db --data data')).err).toContain('There is no folder')
    expect((await ud('db backup copy.db')).exit).toBe(5)
    expect(readdirSync(folder).sort()).toEqual(['data', 'there.db'])
  })

  it('of a database that is broken is refused, and no copy stays', async () => {
    await stopped(1)
    const file = join(folder, 'data', 'untildone.db')
    const db = new (databaseClass().Database)(file)
    const root = Number(
      db.prepare(`select rootpage from sqlite_master where name = 'outcomes_finished'`).get()!.rootpage,
    )
    db.prepare('pragma wal_checkpoint(truncate)').all()
    const { id } = db.prepare('select id from jobs').get()!
    const size = Number(db.prepare('pragma page_size').get()!.page_size)
    db.close()
    // An index that names another job than its table: every page can be read, and the whole is wrong all the same.
    const bytes = readFileSync(file)
    const at = bytes.indexOf(String(id), (root - 1) * size)
    expect(at).toBeLessThan(root * size)
    bytes.write('x', at)
    writeFileSync(file, bytes)
    const { exit, err } = await ud('db backup copy.db --data data')
    expect(exit).not.toBe(0)
    expect(err).toContain('The copy is not sound')
    expect(readdirSync(folder)).toEqual(['data'])
  })
})

describe('db backup of PostgreSQL', () => {
  it.each([
    [
      'postgres://me:s3%2Fcret@h:5432/jobs?sslmode=verify-full',
      'postgres://me@h:5432/jobs?sslmode=verify-full',
      's3/cret',
    ],
    ['postgres://me:s3cret@/jobs?host=/tmp', 'postgres://me@/jobs?host=/tmp', 's3cret'],
    ['postgres://h/jobs?user=me&password=s3cret', 'postgres://h/jobs?user=me', 's3cret'],
    ['postgres://me@h/jobs', 'postgres://me@h/jobs', 'of the environment'],
    ['postgres://me:x@h/jobs?sslmode=no-verify', 'postgres://me@h/jobs?sslmode=require', 'x'],
    ['postgres://me:x@h/jobs?sslmode=require&uselibpqcompat=true', 'postgres://me@h/jobs?sslmode=require', 'x'],
    ['postgres://me:x@h/jobs?uselibpqcompat=true&sslmode=require', 'postgres://me@h/jobs?sslmode=require', 'x'],
  ])('%s: the password is on no command line, and pg_dump knows the rest', async (address, shown, password) => {
    const said = join(folder, 'said')
    const programs = join(folder, 'bin')
    mkdirSync(programs)
    const pgDump = `#!/bin/sh\nprintf '%s\\n' "$@" "$PGPASSWORD" >${said}\nexit 1\n`
    writeFileSync(join(programs, 'pg_dump'), pgDump, { mode: 0o755 })
    vi.stubEnv('PATH', `${programs}:${process.env.PATH}`)
    vi.stubEnv('PGPASSWORD', 'of the environment')
    try {
      expect((await ud(`db backup copy.dump --database ${address}`)).err).toContain('pg_dump ended with 1')
    } finally {
      vi.unstubAllEnvs()
    }
    expect(readFileSync(said, 'utf8').split('\n').slice(-3)).toEqual([`--dbname=${shown}`, password, ''])
  })
})

const OPERATOR = {
  tenant: 'default',
  actor: { kind: 'system' as const, id: 't' },
  scopes: ['admin' as const],
  types: null,
}

describe('db prune', () => {
  it('counts, asks, and removes what is older than it is told', async () => {
    await stopped()
    const later = Date.now() + 1
    while (Date.now() <= later);
    expect((await ud('db prune --data data --dry-run')).err).toContain('0 finished jobs would be removed')
    expect(await json('db prune --data data --older-than 1ms --dry-run')).toEqual({ dryRun: true, jobs: 3 })
    const refused = await ud('db prune --data data --older-than 1ms')
    expect([refused.exit, refused.err]).toEqual([2, expect.stringContaining('--yes')])
    expect((await json('db status --data data')).counts.finished).toBe(3)
    expect((await ud('db prune --data data')).err).toBe('0 jobs and tombstones and 0 files removed.\n')
    expect(await json('db prune --data data --older-than 1ms --yes')).toEqual({ records: 3, files: 0 })
    expect((await json('db status --data data')).counts).toMatchObject({ finished: 0, tombstones: 3 })
  })

  it('refuses where there are no tables, and makes none', async () => {
    writeFileSync(join(folder, 'empty.db'), '')
    for (const line of ['db prune --data empty.db', 'db prune --data empty.db --dry-run']) {
      const { exit, err } = await ud(line)
      expect([exit, err]).toEqual([5, expect.stringContaining('has no tables of Untildone. Nothing was done.')])
      expect(err).toContain('--data')
    }
    expect(readdirSync(folder)).toEqual(['empty.db'])
    expect((await json('db status --data empty.db')).schema).toBeNull()
  })

  it('refuses a folder of files that is none, before anything is removed', async () => {
    await stopped()
    writeFileSync(join(folder, 'file'), '')
    for (const files of ['nowhere', 'file']) {
      const { exit, err } = await ud(`db prune --data data --older-than 1ms --yes --files ${files}`)
      expect([exit, err]).toEqual([5, expect.stringContaining(`There is no folder ${join(folder, files)}.`)])
    }
    expect(existsSync(join(folder, 'nowhere'))).toBe(false)
    expect((await json('db status --data data')).counts.finished).toBe(3)
  })

  it('leaves it to the server while one runs', async () => {
    await serving(1)
    const { exit, err } = await ud('db prune --data data')
    expect(exit).not.toBe(0)
    expect(err).toContain('Another process owns')
  })
})
