import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { UntildoneError } from '../../core/errors.js'
import { Bench, cancel } from '../../testing/store-conformance/bench.js'
import { MIGRATIONS, type Migration } from '../sql/migrate.js'
import { SqliteDriver } from './driver.js'
import { sqlite } from './index.js'
import { sqliteWith } from './open.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-driver-'))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function open(file: string, Driver: typeof SqliteDriver = SqliteDriver): Promise<Bench> {
  const bench = await Bench.open(sqliteWith(Driver, file))
  cleanups.push(() => bench.store.close())
  return bench
}

describe('durability', () => {
  it('runs WAL with synchronous=FULL, read back after the first write', async () => {
    const bench = await open(join(folder(), 'a.db'))
    expect(await bench.store.check()).toMatchObject({ synchronous: 2, journal: 'wal' })
    await bench.submitOne()
    expect(await bench.store.check()).toMatchObject({ synchronous: 2, journal: 'wal' })
    expect(bench.store.info.durability).toBe('SQLite WAL, synchronous=FULL')
  })

  it.each([
    ['synchronous = normal', /synchronous=1/],
    ['journal_mode = delete', /write-ahead log/],
  ])('refuses to open when %s is in force, and lets go of the file', async (pragma, message) => {
    class Unsafe extends SqliteDriver {
      override assertDurable(): void {
        this['db'].exec(`pragma ${pragma}`)
        super.assertDurable()
      }
    }
    const file = join(folder(), 'a.db')
    const opening = Bench.open(sqliteWith(Unsafe, file))
    await expect(opening).rejects.toMatchObject({ code: 'store-unsafe', message: expect.stringMatching(message) })
    await open(file)
  })
})

describe('schema', () => {
  it('a database of a newer program is refused and let go of', async () => {
    class Newer extends SqliteDriver {
      override assertDurable(): void {
        this['db'].exec(
          `update meta set value = '${MIGRATIONS.length + 1}' where key in ('schema', 'schema-works-from')`,
        )
        super.assertDurable()
      }
    }
    const file = join(folder(), 'a.db')
    await (await Bench.open(sqliteWith(Newer, file))).store.close()
    for (let i = 0; i < 2; i++)
      await expect(Bench.open(sqlite(file))).rejects.toMatchObject({ code: 'store-schema-old' })
  })

  it('what a newer program has only added to is worked with, and stays at its schema', async () => {
    const file = join(folder(), 'a.db')
    const added: Migration = { sql: 'alter table meta add column added text;\n', worksFrom: MIGRATIONS.length }
    const newer = () => sqliteWith(SqliteDriver, file, {}, [...MIGRATIONS, added])
    for (const factory of [sqlite(file), newer(), sqlite(file), newer()])
      await (await Bench.open(factory)).store.close()
    const changed: Migration = { ...added, sql: 'create table other (id text primary key);\n', worksFrom: 3 }
    await (await Bench.open(sqliteWith(SqliteDriver, file, {}, [...MIGRATIONS, added, changed]))).store.close()
    await expect(Bench.open(sqlite(file))).rejects.toMatchObject({
      code: 'store-schema-old',
      message: `The database is at schema 3; this program knows schema ${MIGRATIONS.length}.`,
    })
  })

  it('a file that is no database is refused with one of our codes', async () => {
    const file = join(folder(), 'a.db')
    writeFileSync(file, 'this is not a database, and long enough to be sure of it'.repeat(100))
    await expect(Bench.open(sqlite(file))).rejects.toBeInstanceOf(UntildoneError)
  })
})

describe('group commit', () => {
  class Counting extends SqliteDriver {
    static commits = 0
    protected override commit(): void {
      Counting.commits++
      super.commit()
    }
  }

  it('what arrives in one turn shares one commit; what waits for its answer has its own', async () => {
    const bench = await open(':memory:', Counting)
    const { live } = await bench.started()
    Counting.commits = 0
    await Promise.all([
      ...Array.from({ length: 100 }, () => bench.store.submit([bench.job()])),
      bench.store.record({ jobId: live.id, epoch: 1, logs: [] }),
      bench.apply(live.id, cancel()),
      bench.beat(),
      bench.claim(10),
    ])
    expect(Counting.commits).toBe(1)
    for (let i = 0; i < 10; i++) await bench.submitOne()
    expect(Counting.commits).toBe(11)
    await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 5 })
    expect(Counting.commits).toBe(11)
  })

  it('nothing is answered before its commit', async () => {
    const order: string[] = []
    class Told extends SqliteDriver {
      protected override commit(): void {
        super.commit()
        order.push('commit')
      }
    }
    const bench = await open(':memory:', Told)
    order.length = 0
    bench.store.onChange(() => order.push('told'))
    await bench.submitOne().then(() => order.push('answered'))
    expect(order).toEqual(['commit', 'told', 'answered'])
  })
})

describe('a failing disk', () => {
  it('after a failed commit everything is refused until a restart, and nothing unacknowledged shows', async () => {
    let broken = false
    class Failing extends SqliteDriver {
      protected override commit(): void {
        if (broken) throw new Error('disk I/O error')
        super.commit()
      }
    }
    const file = join(folder(), 'a.db')
    const bench = await open(file, Failing)
    const good = await bench.submitOne()
    broken = true
    const refused = { code: 'store-unavailable', params: { reason: 'disk-error' } }
    const bad = [bench.job(), bench.job()]
    // What was in the failed commit may be on disk all the same; what comes after it is certainly not.
    const unknown = { code: 'outcome-unknown', params: { reason: 'disk-error' } }
    for (const answer of await Promise.allSettled(bad.map((job) => bench.store.submit([job])))) {
      expect(answer).toMatchObject({ status: 'rejected', reason: unknown })
    }
    broken = false
    await expect(bench.submitOne()).rejects.toMatchObject(refused)
    await expect(bench.store.find(good)).rejects.toMatchObject(refused)
    await bench.store.close()
    const again = await open(file)
    expect((await again.stored(good)).live).not.toBeNull()
    for (const { record } of bad) expect(await again.store.find(record.id)).toBeNull()
  })

  const root = process.getuid?.() === 0 && process.platform === 'linux'
  if (!root) console.warn('SKIPPED: the full-disk test needs root to mount a small tmpfs.')
  it.skipIf(!root)(
    'a full disk refuses with a reason, keeps what it acknowledged, and recovers by itself',
    async () => {
      const dir = folder()
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', dir])
      cleanups.push(() => execFileSync('umount', ['--lazy', dir]))
      const filler = join(dir, 'filler')
      writeFileSync(filler, Buffer.alloc(1_500_000))
      const bench = await open(join(dir, 'a.db'))
      const stored: string[] = []
      const refusals: unknown[] = []
      for (let i = 0; i < 60 && refusals.length < 3; i++) {
        const jobs = [0, 1].map(() => bench.job({ input: 'x'.repeat(50_000) }))
        for (const [n, answer] of (await Promise.allSettled(jobs.map((job) => bench.store.submit([job])))).entries()) {
          if (answer.status === 'fulfilled') stored.push(jobs[n]!.record.id)
          else refusals.push(answer.reason)
        }
      }
      expect(stored.length).toBeGreaterThan(2)
      expect(refusals.length).toBeGreaterThan(2)
      for (const reason of refusals) {
        expect(reason).toMatchObject({ code: 'store-unavailable', params: { reason: 'disk-full' }, retryAfterMs: 5000 })
      }
      const listed = await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 200 })
      expect(listed.map(({ record }) => record.id)).toEqual(stored)
      rmSync(filler)
      const after = await bench.submitOne({ input: 'y'.repeat(50_000) })
      await bench.store.close()
      const again = await open(join(dir, 'a.db'))
      for (const id of [...stored, after]) expect((await again.stored(id)).record.input.length).toBe(50_002)
    },
  )
})

describe('one owner', () => {
  interface Child {
    process: ChildProcess
    lines: AsyncIterator<string>
  }

  async function child(file: string, mode: 'before' | 'after'): Promise<Child> {
    const script = new URL('../../testing/fixtures/store-child.ts', import.meta.url).pathname
    const args = ['--import', 'jiti/register', script, file, mode]
    const process_ = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    cleanups.push(() => process_.kill('SIGKILL'))
    return { process: process_, lines: createInterface({ input: process_.stdout! })[Symbol.asyncIterator]() }
  }

  /** Lets the child go on to its second commit, in which it dies, and opens what it left. */
  async function afterItsDeath(owner: Child, file: string): Promise<Bench> {
    owner.process.stdin!.end('go')
    expect((await owner.lines.next()).done).toBe(true)
    if (owner.process.signalCode === null) await once(owner.process, 'exit')
    expect(owner.process.signalCode).toBe('SIGKILL')
    const bench = await open(file)
    await bench.clock.advance(1000)
    return bench
  }

  it('a second store on the same file is refused, in this process too; memory is nobody’s', async () => {
    const file = join(folder(), 'a.db')
    const bench = await open(file)
    await expect(Bench.open(sqlite(file))).rejects.toMatchObject({ code: 'store-in-use' })
    await bench.store.close()
    await (await open(file)).store.close()
    await open(':memory:')
    await open(':memory:')
  })

  it('another process is refused while the owner lives; kill -9 after a commit: the file is free, the job is there, leases are void', async () => {
    const file = join(folder(), 'a.db')
    const owner = await child(file, 'after')
    const { first, second } = JSON.parse((await owner.lines.next()).value)
    await expect(Bench.open(sqlite(file))).rejects.toMatchObject({
      code: 'store-in-use',
      message: expect.stringContaining(file),
    })
    const bench = await afterItsDeath(owner, file)
    expect(await bench.store.submit([bench.job({ key: 'second' })])).toEqual([{ outcome: 'replayed', jobId: second }])
    expect((await bench.store.history(second, 0, 5)).entries).toHaveLength(1)
    expect((await bench.stored(first)).live!.state).toBe('running')
    expect((await bench.store.orphans(10)).map(({ id }) => id)).toEqual([first])
    expect((await bench.store.workers.list()).map(({ state }) => state)).toEqual(['gone'])
  })

  it('kill -9 before a commit: nothing of it is there, everything before it is', async () => {
    const file = join(folder(), 'a.db')
    const owner = await child(file, 'before')
    const { first, second } = JSON.parse((await owner.lines.next()).value)
    const bench = await afterItsDeath(owner, file)
    expect(await bench.store.submit([bench.job({ key: 'second' })])).toMatchObject([{ outcome: 'created' }])
    expect(await bench.store.find(second)).toBeNull()
    expect(await bench.store.submit([bench.job({ key: 'first' })])).toEqual([{ outcome: 'replayed', jobId: first }])
    expect((await bench.stored(first)).live).toMatchObject({ state: 'running', version: 2 })
  })
})
