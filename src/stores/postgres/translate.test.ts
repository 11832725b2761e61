// Which statements may be carried out for several parameter lists at once, and how texts and arrays are written.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TABLES } from '../sql/migrate.js'
import { agreement, arrayText, distinct, jsonText, Translator, togetherOf, valueText } from './translate.js'

const of = (sql: string) => new Translator('s', TABLES).of(sql)
const many = (sql: string, types = ['text', 'bigint', 'text']) => of(sql).many?.(types) ?? null

describe('tables', () => {
  it('stand with their schema, whatever word comes before them, and nothing else does', () => {
    const { qualified } = { qualified: (sql: string) => new Translator('s', TABLES).qualified(sql) }
    expect(qualified('select 1 from live l join jobs j on j.id = l.id where l.held is null')).toBe(
      'select 1 from s.live l join s.jobs j on j.id = l.id where l.held is null',
    )
    expect(qualified('insert into held (name) values (?1)')).toBe('insert into s.held (name) values (?1)')
    expect(qualified('create table live (id text)')).toBe('create table s.live (id text)')
    expect(qualified('create index x on live (id)')).toBe('create index x on s.live (id)')
    expect(qualified('with recursive found(lane) as (select lane from live)')).toContain('from s.live)')
  })
})

describe('one statement for several lists', () => {
  it('an insert of plain values, with conflicts left alone; in the order of the lists', () => {
    expect(many('insert into tags (tenant, tag) values (?1, ?2) on conflict do nothing', ['text', 'text'])).toBe(
      'insert into s.tags (tenant, tag) select p.a1, p.a2 from unnest($1::text[], $2::text[]) with ordinality as p(a1, a2, n_) order by p.n_ on conflict do nothing',
    )
    expect(of('insert into tags (tenant) values (?1)').counted).toBe('all')
    expect(of('insert into tags (tenant) values (?1) on conflict do nothing').counted).toBe('not')
  })

  it('no insert that updates what is there: two lists may have one key', () => {
    expect(
      many('insert into buckets (name, due) values (?1, ?2) on conflict (name) do update set due = excluded.due'),
    ).toBeNull()
  })

  it('no insert from a query: the second list may depend on the first', () => {
    expect(many('insert into mailbox (job_id, seq) select ?1, max(seq) + 1 from mailbox where job_id = ?1')).toBeNull()
  })

  it('an update or delete of rows that equal the first value', () => {
    expect(many('update buckets set due = ?2 where name = ?1', ['text', 'bigint'])).toBe(
      'update s.buckets set due = p.a2 from unnest($1::text[], $2::bigint[]) with ordinality as p(a1, a2, n_) where name = p.a1 returning p.n_ as n_',
    )
    expect(many('delete from turns where name = ?1 and job_id = ?2', ['text', 'text'])).toContain(
      'delete from s.turns using unnest(',
    )
    const nested = many(
      'update files set expires_at = ?2 where id = ?1 and not exists (select 1 from file_refs f where f.file_id = files.id)',
    )
    expect(nested).toMatch(
      /set expires_at = p\.a2 from unnest\(.*\) where id = p\.a1 and not exists \(select 1 from s\.file_refs/,
    )
  })

  it('none whose lists might mean one row: no equality, another sign, an alternative', () => {
    for (const sql of [
      'delete from outbox where at < ?1',
      'delete from uniques where name in (select name from uniques where expires_at <= ?1 limit ?2)',
      'delete from uniques where expires_at >= ?1',
      'update files set expires_at = ?2 where id = ?1 or tenant = ?2',
      'update live set held = ?1',
      'delete from turns where job_id = ?2 and has = 1',
    ])
      expect(many(sql), sql).toBeNull()
  })

  it('a query, of which each list has the first row', () => {
    const text = many('select due from buckets where name = ?1', ['text'])!
    expect(text).toContain(
      'cross join lateral (select * from (select due from s.buckets where name = p.a1) s limit 1) q',
    )
  })

  it('what all lists agree in is given once, as it is; the first tells how many lists there are', () => {
    expect(
      agreement([
        ['x', 1, null, 'a'],
        ['x', 1, null, 'b'],
      ]),
    ).toEqual([false, true, true, false])
    const form = of('update buckets set due = ?2 where name = ?1')
    form.types = ['text', 'bigint']
    expect(togetherOf(form, [false, true]).text).toBe(
      'update s.buckets set due = $2::bigint from unnest($1::text[]) with ordinality as p(a1, n_) where name = p.a1 returning p.n_ as n_',
    )
    const insert = of('insert into tags (tenant, tag) values (?1, ?2)')
    insert.types = ['text', 'text']
    expect(togetherOf(insert, [false, true]).text).toBe(
      'insert into s.tags (tenant, tag) select p.a1, $2::text from unnest($1::text[]) with ordinality as p(a1, n_) order by p.n_',
    )
  })

  it('connections keep a few ways to agree; of more, the lists are given in full', () => {
    const form = of(`update live set ${'abcdef'.split('').map((c, i) => `${c} = ?${i + 2}`)} where id = ?1`)
    form.types = Array(7).fill('text')
    const ways = Array.from({ length: 64 }, (_, n) => [false, ...'abcdef'.split('').map((_, i) => (n >> i) % 2 === 1)])
    const made = ways.map((same) => togetherOf(form, same))
    expect(new Set(made.map(({ name }) => name)).size).toBeLessThanOrEqual(9)
    for (const { text, same } of made) expect(text.match(/::text\[\]/g)).toHaveLength(same.filter((x) => !x).length)
    expect(togetherOf(form, ways[0]!).name).toBe(made[0]!.name)
  })

  it('lists are told apart by their first values', () => {
    expect(distinct([['a'], ['b']])).toBe(true)
    expect(
      distinct([
        ['a', 1],
        ['a', 2],
      ]),
    ).toBe(false)
    expect(distinct([[null], ['b']])).toBe(false)
    expect(distinct([[], []])).toBe(false)
    // Two texts that PostgreSQL keeps as one.
    expect(distinct([['a\0'], ['a\ufffd']])).toBe(false)
    expect(distinct([['a\ud800'], ['a\ufffd']])).toBe(false)
    expect(distinct([['1'], [1]])).toBe(false)
  })
})

describe('texts', () => {
  /** As PostgreSQL reads an array of one dimension. */
  function read(text: string): (string | null)[] {
    expect(text).toMatch(/^\{.*\}$/s)
    const values: (string | null)[] = []
    for (const [, quoted, bare] of text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,"]+)/gs))
      values.push(bare === undefined ? quoted!.replace(/\\(.)/gs, '$1') : bare === 'NULL' ? null : bare)
    return values
  }

  it('an array gives back what each list holds', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('NULL', '', '{}', '"', '\\', ',', '\n'),
      fc.constant(null),
    )
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const kept = values.map((one) => one?.replaceAll('\0', '\ufffd') ?? null)
        expect(
          read(
            arrayText(
              values.map((one) => [one]),
              0,
            ),
          ),
        ).toEqual(kept)
      }),
    )
    expect(arrayText([[1], [null], [2.5]], 0)).toBe('{1,NULL,2.5}')
  })

  it('a text without NUL stays as it is', () => {
    expect(valueText('a\0b')).toBe('a\ufffdb')
    expect(valueText(0.1)).toBe('0.1')
    expect(valueText(null)).toBeNull()
  })

  it('JSON that PostgreSQL would not read holds what it keeps; all other is not touched', () => {
    expect(jsonText('["a", "\\u00e9"]')).toBe('["a", "\\u00e9"]')
    expect(JSON.parse(jsonText(JSON.stringify(['a\0', '\ud800x', '😀', '\\u0000'])))).toEqual([
      ...['a\ufffd', '\ufffdx', '😀', '\\u0000'],
    ])
    expect([...of('select 1 from steps where job_id = ?2 and key = any (?1::json)').json]).toEqual([0])
    expect([...of('select 1 from steps where job_id = ?1').json]).toEqual([])
  })
})

it('as many texts as anybody asks for: those that were first keep their names, the rest have none', () => {
  const translator = new Translator('s', TABLES)
  const first = translator.of('select 0 from live where id = ?1')
  const names = Array.from({ length: 1000 }, (_, i) => translator.of(`select ${i + 1} from live where id = ?1`).name)
  expect(translator.of('select 0 from live where id = ?1')).toBe(first)
  expect(names.slice(0, 100)).not.toContain(null)
  expect(new Set([first.name, ...names]).size).toBe(401)
  expect(names.at(-1)).toBeNull()
  expect(translator.of('select 1000 from live where id = ?1').single).toBe('select 1000 from s.live where id = $1')
})
