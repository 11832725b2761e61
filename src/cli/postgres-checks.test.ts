import { describe, expect, it } from 'vitest'
import type { PostgresFacts } from '../stores/postgres/admin.js'
import { judge } from './postgres-checks.js'

const NOW = Date.UTC(2026, 10, 22, 9)
const fine: PostgresFacts = {
  version: 170_004,
  versionText: '17.4',
  settings: {
    ...{ fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', autovacuum: 'on', track_counts: 'on' },
    superuser_reserved_connections: '3',
  },
  readOnly: null,
  unvacuumed: [],
  tables: [{ table: 'live', rows: 10, deadRows: 40, bytes: 9000, cleanedAt: NOW - 60_000 }],
  oldestTransaction: null,
  seesAll: true,
  clockOffsetMs: 12,
  roundTripMs: 0.3,
  commitMs: 2.25,
  connections: { used: 20, ours: 18, most: 100 },
  schema: { version: 1, worksFrom: 1 },
  knows: 1,
}
const transaction = {
  ...{ seconds: 7200, pid: 812, user: 'report', application: 'psql', state: 'idle in transaction' },
  query: 'select  *\n from jobs',
}
const odd = (more: Partial<PostgresFacts>) =>
  judge({ ...fine, ...more }, 'jobs_of_us', NOW)
    .filter(({ state }) => state !== 'ok')
    .map(({ state, what, text, fix }) => `${state} ${what}: ${text}${fix ? ` → ${fix}` : ''}`)
const settings = (more: Record<string, string>) => ({ settings: { ...fine.settings, ...more } })

describe('doctor about PostgreSQL', () => {
  it('has nothing to say against one that is as it should be', () => {
    expect(odd({})).toEqual([])
    expect(judge(fine, 'untildone', NOW).map(({ what, text }) => `${what}: ${text}`)).toEqual([
      'PostgreSQL: 17.4',
      'durability: fsync on, synchronous_commit on',
      'schema: 1, the one this program knows',
      'autovacuum: on, for all 1 tables of ours',
      'rows to clean: 40, in 9.0 kB',
      'old transactions: none is older than 1 m',
      'database clock: 12 ms from this machine; all processes go by it',
      'round trip: 0.3 ms (median)',
      'commit: 2.3 ms (median)',
      'connections: 20 of 100, 18 by Untildone',
    ])
  })

  it.each<[string, Partial<PostgresFacts>, RegExp]>([
    ['too old', { version: 130_009, versionText: '13.9' }, /^bad PostgreSQL: 13.9 is too old → Use PostgreSQL 14/],
    ['a replica', { readOnly: 'replica' }, /^bad PostgreSQL: .* only reads → Give the address of the primary/],
    [
      'a role',
      { readOnly: 'setting' },
      /^bad PostgreSQL: .*this role only reads: default_transaction_.* → Turn it off/,
    ],
    ['fsync', settings({ fsync: 'off' }), /^bad durability: fsync is off.* → Set fsync = on/],
    ['pages', settings({ full_page_writes: 'off' }), /^bad durability: full_page_writes is off/],
    ['commit', settings({ synchronous_commit: 'off' }), /^bad durability: .* → .*alter role … set synchronous_commit/],
    ['no schema', { schema: null }, /^note schema: not made yet → .*untildone db migrate/],
    ['older', { knows: 2 }, /^note schema: 1, this program needs 2 → .*untildone db migrate/],
    ['newer', { schema: { version: 2, worksFrom: 1 } }, /^note schema: 2, newer than this program, which may/],
    ['too new', { schema: { version: 2, worksFrom: 2 } }, /^bad schema: 2, too new .* → Install the version/],
    ['no vacuum', settings({ autovacuum: 'off' }), /^bad autovacuum: is off.* → Set autovacuum = on/],
    ['a table', { unvacuumed: ['live', 'jobs'] }, /^bad autovacuum: .*live, jobs → alter table jobs_of_us\.live reset/],
    [
      'much to clean',
      { tables: [{ ...fine.tables![0]!, deadRows: 20_000 }] },
      /^bad rows to clean: 20000, in 9.0 kB; live has 20000 beside 10 that count, and was cleaned 1 m ago → vacuum \(verbose\) jobs_of_us\.live\. If it comes back/,
    ],
    [
      'a transaction',
      { oldestTransaction: transaction },
      /^bad old transactions: one is open for 2 h: process 812 \(psql of user report, idle in transaction\): select \* from jobs → .*pg_terminate_backend\(812\)/,
    ],
    ['a shorter one', { oldestTransaction: { ...transaction, seconds: 90 } }, /^note old transactions/],
    ['clock', { clockOffsetMs: -61_000 }, /^note database clock: 61 s behind this machine/],
    ['far away', { roundTripMs: 40 }, /^note round trip: 40 ms .* → .*near the database/],
    ['slow disk', { commitMs: 80 }, /^note commit: 80 ms/],
    ['no right to write', { commitMs: null }, /^note commit: not measured: this role may not write here/],
    ['few connections', { connections: { used: 85, ours: 60, most: 100 } }, /^note connections: 85 of 100/],
    ['no connections', { connections: { used: 95, ours: 60, most: 100 } }, /^bad connections: .*: 2 are left → Each/],
  ])('%s: says what, and what to do', (_, more, words) => {
    expect(odd(more)).toEqual([expect.stringMatching(words)])
  })

  it('names the transaction that keeps what is to be cleaned, also one that is not old', () => {
    const much = { tables: [{ ...fine.tables![0]!, deadRows: 20_000 }] }
    expect(odd({ ...much, oldestTransaction: { ...transaction, seconds: 18 } })).toEqual([
      expect.stringMatching(
        /→ Process 812 \(psql of user report, idle in transaction\) has a transaction open for 18 s, which keeps what was replaced since\. Let it end, or: select pg_terminate_backend\(812\)\. Then: vacuum \(verbose\) jobs_of_us\.live\. If/,
      ),
    ])
    expect(odd({ ...much, oldestTransaction: { ...transaction, seconds: 1 } })[0]).not.toContain('812')
  })

  it('says where this role may not see everything, instead of calling it fine', () => {
    expect(odd({ seesAll: false })).toEqual([
      'note old transactions: none is older than 1 m among those that this role may see → To see those of other roles: grant pg_read_all_stats to this one.',
    ])
  })
})
