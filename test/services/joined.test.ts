// One statement over several parameter lists does what one for each list does: the same rows, the same answers.
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { Translator } from '../../src/stores/postgres/translate.js'
import { TABLES } from '../../src/stores/sql/migrate.js'
import type { Plan, Statement, Value } from '../../src/stores/sql/plan.js'
import { TestClock } from '../../src/testing/clock.js'
import { ownSchema } from './fresh.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e\0', '"', '\\')
const number = fc.integer({ min: -3, max: 3 })
const maybe = fc.option(number, { nil: null })
/** Statements of plans, with parameters that meet each other. */
const KINDS: [sql: string, list: fc.Arbitrary<Value[]>, wants: Statement['want'][]][] = [
  [
    'insert into tags (tenant, tag, job_id) values (?1, ?2, ?3) on conflict do nothing',
    fc.tuple(name, name, name),
    ['none', 'changes'],
  ],
  ['insert into links (job_id, kind, other_id) values (?1, ?2, ?3)', fc.tuple(name, name, name), ['none', 'changes']],
  [
    'insert into buckets (name, due) values (?1, ?2) on conflict (name) do update set due = excluded.due',
    fc.tuple(name, number),
    ['none', 'changes'],
  ],
  [
    'insert into uniques (name, job_id, expires_at) values (?1, ?2, ?3) on conflict do nothing',
    fc.tuple(name, name, maybe),
    ['none', 'changes'],
  ],
  [
    'update buckets set due = due + ?2 where name = ?1 and due < ?3',
    fc.tuple(name, number, number),
    ['none', 'changes'],
  ],
  [
    'update uniques set expires_at = ?2 where job_id = ?1 and expires_at is null',
    fc.tuple(name, maybe),
    ['none', 'changes'],
  ],
  ['delete from tags where tenant = ?1 and tag = ?2', fc.tuple(name, name), ['none', 'changes']],
  [
    'delete from uniques where name = ?1 and not exists (select 1 from buckets b where b.name = uniques.job_id)',
    fc.tuple(name),
    ['none', 'changes'],
  ],
  ['select due, name from buckets where name = ?1', fc.tuple(name), ['each']],
  ['select count(*) as n, max(tag) as tag from tags where tenant = ?1 and job_id = ?2', fc.tuple(name, name), ['each']],
  [
    'select u.job_id, u.expires_at, b.due from uniques u left join buckets b on b.name = u.job_id where u.name = ?1',
    fc.tuple(name),
    ['each'],
  ],
]
const statement = fc.nat(KINDS.length - 1).chain((i) => {
  const [sql, list, wants] = KINDS[i]!
  return fc.record({
    sql: fc.constant(sql),
    params: fc.array(list, { minLength: 1, maxLength: 6 }),
    want: fc.constantFrom(...wants),
  })
})

function* together(statements: readonly Statement[]): Plan<unknown[]> {
  const answers: unknown[] = []
  for (const one of statements) answers.push(yield one)
  return answers
}
function* alone(statements: readonly Statement[]): Plan<unknown[]> {
  const answers: unknown[] = []
  for (const { sql, params, want } of statements) {
    const each: unknown[] = []
    for (const list of params) each.push(...((yield { sql, params: [list], want }) as unknown[]))
    answers.push(each)
  }
  return answers
}
const TOUCHED = ['tags', 'links', 'buckets', 'uniques']

if (url)
  describe('joined statements', () => {
    const schemas = [ownSchema(), ownSchema()]
    let client: pg.Client
    let drivers: PostgresDriver[]
    beforeAll(async () => {
      client = new pg.Client(url!)
      await client.connect()
      for (const schema of schemas)
        await client.query(`create schema ${schema};
        create table ${schema}.tags (tenant text, tag text, job_id text, primary key (tenant, tag, job_id));
        create table ${schema}.links (job_id text, kind text, other_id text, primary key (job_id, kind, other_id));
        create table ${schema}.buckets (name text primary key, due bigint not null);
        create table ${schema}.uniques (name text primary key, job_id text not null, expires_at bigint)`)
      drivers = schemas.map((schema) => new PostgresDriver(url!, new TestClock(), new Translator(schema, TABLES)))
    })
    afterAll(async () => {
      await Promise.all(drivers.map((driver) => driver.close()))
      await client.end()
    })
    const rows = async (schema: string) => {
      const found = []
      for (const table of TOUCHED)
        found.push((await client.query(`select * from ${schema}.${table} t order by t`)).rows)
      return found
    }

    it('leave the same rows and give the same answers as one for each list', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 8 }), async (statements) => {
          await client.query(schemas.flatMap((s) => TOUCHED.map((table) => `delete from ${s}.${table}`)).join(';'))
          const [many, one] = await Promise.all(
            [together, alone].map((plan, i) =>
              drivers[i]!.transact(() => plan(statements), true).catch((error) => error.code as string),
            ),
          )
          // Nobody asked what came of it.
          const asked = (answers: typeof many) =>
            Array.isArray(answers) ? answers.filter((_, i) => statements[i]!.want !== 'none') : answers
          expect(asked(many)).toEqual(asked(one))
          expect(await rows(schemas[0]!)).toEqual(await rows(schemas[1]!))
        }),
        { numRuns: 150 },
      )
    }, 60_000)
  })

if (!url)
  describe('joined statements', () => {
    it('do what single ones do', (context) => context.skip(POSTGRES_NEEDS))
  })
