/** A rolling upgrade: programs of two versions on one schema, with jobs in flight, while a migration adds to it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, type JobHandler, type Untildone } from '../../src/index.js'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import { MIGRATIONS, type Migration } from '../../src/stores/sql/migrate.js'
import { asking } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
if (url) describe('a rolling upgrade', () => upgradeTests(url))
else
  describe('a rolling upgrade', () => {
    it('takes a PostgreSQL', (context) => context.skip(POSTGRES_NEEDS))
  })

/** Adds to tables that every program reads with `select *` and writes all the time. */
const added: Migration = {
  sql: `alter table workers add column zone text;
alter table live add column cost bigint;
alter table jobs add column origin text;
create table notes (job_id text primary key, text text not null) {{suffix}};
create index jobs_origin on jobs (origin) where origin is not null;
`,
  worksFrom: MIGRATIONS.length,
}
/** Something that the older program would do wrong. */
const changed: Migration = { sql: 'alter table jobs add column kind text;\n', worksFrom: MIGRATIONS.length + 2 }

const work = defineJob('work', { input: z.object({ n: z.number() }), output: z.string() })

function upgradeTests(url: string): void {
  const apps: Untildone[] = []
  const folder = mkdtempSync(join(tmpdir(), 'untildone-upgrade-'))
  let schemas = 0
  let schema = ''
  const errors: unknown[] = []
  const release = new Map<string, () => void>()

  /** @param by name of the version; its jobs wait in a step until they are let go */
  async function program(by: string, migrations: readonly Migration[], maintenance = true): Promise<Untildone> {
    const handler = work.handler({}, async (job) => {
      const begun = await job.step('begin', async () => {
        if (job.input.n < 0) await new Promise<void>((resolve) => release.set(job.id, resolve))
        return by
      })
      return `${begun} ${await job.step('end', () => by)}`
    }) as unknown as JobHandler
    const app = await createUntildone({
      store: postgresWith(PostgresDriver, url, { schema }, migrations),
      handlers: [handler],
      maintenance,
      filesDir: join(folder, schema),
      onError: (error) => void errors.push(error),
    })
    apps.push(app)
    await app.start()
    return app
  }
  const fresh = () => {
    schema = `upgrade_${process.pid}_${++schemas}`
  }
  const versions = async () =>
    (await asking(url, `select key, value from ${schema}.meta where key like 'schema%' order by key`)).map(
      (row) => row.value,
    )

  afterEach(async () => {
    for (const go of release.values()) go()
    await Promise.all(apps.splice(0).map((app) => app.stop()))
    await asking(url, `drop schema if exists ${schema} cascade`)
    rmSync(folder, { recursive: true, force: true })
    expect(errors.splice(0).map(String)).toEqual([])
  })

  it('adds to the schema while programs of the old version run jobs; both go on, and both may be started again', async () => {
    fresh()
    const old = await program('old', MIGRATIONS)
    const inFlight = await Promise.all([-1, -2, -3].map((n) => old.submit(work, { n })))
    while (release.size < 3) await old.submit(work, { n: 1 }).then((job) => job.result())
    expect(await versions()).toEqual(['1', '1'])

    const next = [...MIGRATIONS, added]
    const opened = await Promise.all([1, 2].map(() => program('new', next, false)))
    expect(await versions()).toEqual(['2', '1'])
    expect(await asking(url, `select count(*)::int as n from ${schema}.notes`)).toEqual([{ n: 0 }])

    // The old one writes to every table that was added to, over statements that it had prepared before.
    const results = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => (await (n % 2 ? old : opened[0]!).submit(work, { n })).result()),
    )
    expect(new Set(results.flatMap((text) => text.split(' ')))).toEqual(new Set(['old', 'new']))
    for (const go of release.values()) go()
    for (const job of inFlight) expect(await job.result()).toMatch(/^old /)

    // An old process that ends and comes back (a crash, a rollback) is let in.
    await old.stop()
    const again = await program('old', MIGRATIONS)
    expect(await (await again.submit(work, { n: 5 })).result()).toMatch(/^(old|new) (old|new)$/)
    expect(await versions()).toEqual(['2', '1'])
  })

  it('that old programs could not work with is refused to them, and to them only', async () => {
    fresh()
    await program('new', [...MIGRATIONS, added, changed])
    expect(await versions()).toEqual(['3', '3'])
    await expect(program('old', MIGRATIONS)).rejects.toMatchObject({
      code: 'store-schema-old',
      message: 'The database is at schema 3; this program knows schema 1.',
    })
  })

  it('that fails half way leaves nothing behind, and the program that tried it does not start', async () => {
    fresh()
    await (await program('old', MIGRATIONS)).stop()
    const broken: Migration = {
      sql: 'create table half (id text primary key);\nalter table nobodys add column x text;\n',
      worksFrom: 1,
    }
    await expect(program('new', [...MIGRATIONS, broken])).rejects.toMatchObject({ code: expect.any(String) })
    expect(await versions()).toEqual(['1', '1'])
    expect(await asking(url, `select to_regclass('${schema}.half')::text as half`)).toEqual([{ half: null }])
    expect(await (await (await program('old', MIGRATIONS)).submit(work, { n: 1 })).result()).toBe('old old')
  })
}
