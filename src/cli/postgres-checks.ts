/** What `doctor` says of a PostgreSQL database: one sentence per fact, and what to do where it is not as it should be. */
import { type PostgresFacts, postgresFacts, whoOf } from '../stores/postgres/admin.js'
import { systemClock } from '../system/index.js'
import { bad, type Check, note, ok } from './checks.js'
import type { Pooler } from './database-option.js'
import { bytes, count, oneUnit } from './text.js'

const OLDEST = 140_000
/** A shorter one is somebody at work, and gone by the time this is read. */
const KEEPS_S = 5
const LONG_TRANSACTION_S = 60
const VERY_LONG_TRANSACTION_S = 3600
const CLOCKS_APART_MS = 2000
const SLOW_ROUND_TRIP_MS = 5
const SLOW_COMMIT_MS = 50
/** Below this a share says nothing. */
const FEW_ROWS = 10_000

export async function postgresChecks(url: string, schema: string, pooler: Pooler): Promise<Check[]> {
  try {
    return judge(await postgresFacts(url, schema, systemClock, pooler), schema, systemClock.now())
  } catch (error) {
    const { message, fix = 'Check that it runs, and its address.' } = error as { message: string; fix?: string }
    return [bad('database', message, fix)]
  }
}

export function judge(facts: PostgresFacts, schema: string, now: number): Check[] {
  return [
    versionOf(facts),
    ...durability(facts),
    schemaOf(facts),
    ...vacuum(facts, schema, now),
    transaction(facts),
    clock(facts),
    ...speed(facts),
    connections(facts),
  ]
}

function versionOf({ version, versionText, readOnly }: PostgresFacts): Check {
  if (version < OLDEST) return bad('PostgreSQL', `${versionText} is too old`, 'Use PostgreSQL 14 or newer.')
  if (readOnly === 'setting')
    return bad(
      'PostgreSQL',
      `${versionText}, and this role only reads: default_transaction_read_only is on`,
      'Turn it off for this role, its database or in postgresql.conf; a server that starts names which.',
    )
  if (readOnly === 'replica')
    return bad(
      'PostgreSQL',
      `${versionText}, a server that only reads`,
      'Give the address of the primary, or a name that leads to it.',
    )
  return ok('PostgreSQL', versionText)
}

function durability({ settings }: PostgresFacts): Check[] {
  const what = 'durability'
  const wrong: Check[] = []
  const conf = (name: string) => `Set ${name} = on in postgresql.conf and reload PostgreSQL.`
  if (settings.fsync !== 'on')
    wrong.push(bad(what, 'fsync is off: a crash of its machine loses or ruins what was committed', conf('fsync')))
  if (settings.full_page_writes !== 'on')
    wrong.push(bad(what, 'full_page_writes is off: a crash can leave half a page', conf('full_page_writes')))
  if (settings.synchronous_commit === 'off')
    wrong.push(
      bad(
        what,
        'synchronous_commit is off: a commit does not wait for the disk',
        'Set it for this role: alter role … set synchronous_commit = on.',
      ),
    )
  return wrong.length > 0 ? wrong : [ok(what, `fsync on, synchronous_commit ${settings.synchronous_commit}`)]
}

function schemaOf({ schema, knows }: PostgresFacts): Check {
  if (schema === null) return note('schema', 'not made yet', 'The first server makes it, or: untildone db migrate')
  if (schema.version === knows) return ok('schema', `${schema.version}, the one this program knows`)
  if (schema.version < knows)
    return note('schema', `${schema.version}, this program needs ${knows}`, 'Bring it up to date: untildone db migrate')
  return schema.worksFrom <= knows
    ? note('schema', `${schema.version}, newer than this program, which may work with it`)
    : bad('schema', `${schema.version}, too new for this program`, 'Install the version that made it, or a newer one.')
}

function vacuum(
  { settings, unvacuumed, tables, oldestTransaction }: PostgresFacts,
  schema: string,
  now: number,
): Check[] {
  const checks: Check[] = []
  if (settings.autovacuum !== 'on' || settings.track_counts !== 'on')
    checks.push(
      bad(
        'autovacuum',
        'is off: rows that were replaced stay, and claims get slower from day to day',
        'Set autovacuum = on and track_counts = on in postgresql.conf and reload PostgreSQL.',
      ),
    )
  else if (unvacuumed.length > 0)
    checks.push(
      bad(
        'autovacuum',
        `is turned off for ${unvacuumed.join(', ')}`,
        `alter table ${schema}.${unvacuumed[0]} reset (autovacuum_enabled); the same for each of them.`,
      ),
    )
  else checks.push(ok('autovacuum', tables === null ? 'on' : `on, for all ${tables.length} tables of ours`))
  if (tables === null) return checks
  const left = tables.reduce((sum, { deadRows }) => sum + deadRows, 0)
  const worst = tables
    .filter(({ rows, deadRows }) => deadRows > FEW_ROWS && deadRows > rows)
    .sort((a, b) => b.deadRows - a.deadRows)[0]
  const size = bytes(tables.reduce((sum, one) => sum + one.bytes, 0))
  if (!worst) return [...checks, ok('rows to clean', `${left}, in ${size}`)]
  const last = worst.cleanedAt === null ? 'never cleaned' : `cleaned ${oneUnit(Math.max(0, now - worst.cleanedAt))} ago`
  checks.push(
    bad(
      'rows to clean',
      `${left}, in ${size}; ${worst.table} has ${worst.deadRows} beside ${worst.rows} that count, and was ${last}`,
      `${keeperOf(oldestTransaction)}vacuum (verbose) ${schema}.${worst.table}. If it comes back, give autovacuum more workers.`,
    ),
  )
  return checks
}

/** Who is in the way first; nothing where nobody is. */
function keeperOf(oldest: PostgresFacts['oldestTransaction']): string {
  if (oldest === null || oldest.seconds < KEEPS_S) return ''
  const who = whoOf(oldest).replace(/^p/, 'P')
  return `${who} has a transaction open for ${oneUnit(oldest.seconds * 1000)}, which keeps what was replaced since. Let it end, or: select pg_terminate_backend(${oldest.pid}). Then: `
}

function transaction({ oldestTransaction: oldest, seesAll }: PostgresFacts): Check {
  const what = 'old transactions'
  const blind = seesAll ? '' : ' among those that this role may see'
  const grant = seesAll ? null : 'To see those of other roles: grant pg_read_all_stats to this one.'
  if (oldest === null || oldest.seconds < LONG_TRANSACTION_S) {
    const text = `none is older than ${oneUnit(LONG_TRANSACTION_S * 1000)}${blind}`
    return grant === null ? ok(what, text) : note(what, text, grant)
  }
  const text = `one is open for ${oneUnit(oldest.seconds * 1000)}${blind}: ${whoOf(oldest)}${oldest.query ? `: ${oldest.query.replace(/\s+/g, ' ').slice(0, 80)}` : ''}`
  const fix = `While it lasts nothing that was replaced since can be cleaned. Let it end, or: select pg_terminate_backend(${oldest.pid})`
  return oldest.seconds < VERY_LONG_TRANSACTION_S ? note(what, text, fix) : bad(what, text, fix)
}

function clock({ clockOffsetMs }: PostgresFacts): Check {
  const apart = Math.abs(clockOffsetMs)
  if (apart < CLOCKS_APART_MS) return ok('database clock', `${apart} ms from this machine; all processes go by it`)
  const side = clockOffsetMs > 0 ? 'ahead of' : 'behind'
  return note(
    'database clock',
    `${Math.round(apart / 1000)} s ${side} this machine; all processes go by that of the database`,
    'Nothing breaks by it. Synchronise both machines with NTP, so that logs can be compared.',
  )
}

function speed({ roundTripMs, commitMs }: PostgresFacts): Check[] {
  const ms = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
  const checks = [
    roundTripMs > SLOW_ROUND_TRIP_MS
      ? note(
          'round trip',
          `${ms(roundTripMs)} (median)`,
          'A claim and a step need a few of them one after the other: put workers near the database.',
        )
      : ok('round trip', `${ms(roundTripMs)} (median)`),
  ]
  if (commitMs === null)
    checks.push(note('commit', 'not measured: this role may not write here', 'Use the role of the servers.'))
  else
    checks.push(
      commitMs > SLOW_COMMIT_MS
        ? note('commit', `${ms(commitMs)} (median)`, 'Every accepted job waits for one: put the WAL on a faster disk.')
        : ok('commit', `${ms(commitMs)} (median)`),
    )
  return checks
}

function connections({ connections: { used, ours, most }, settings }: PostgresFacts): Check {
  const free = most - Number(settings.superuser_reserved_connections ?? 0) - used
  const text = `${used} of ${most}, ${ours} by Untildone`
  const fix =
    'Each process takes up to 11. Raise max_connections, lower `connections` of the store, or put a pooler before it (--pooler).'
  if (free < 11) return bad('connections', `${text}: ${count(Math.max(0, free), 'is', 'are')} left`, fix)
  return free < most / 5 ? note('connections', text, fix) : ok('connections', text)
}
