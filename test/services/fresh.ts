/**
 * Empty stores on one PostgreSQL, quickly: the tables of a schema are made once and emptied for the next test, because
 * making them anew costs more than most tests do. What a factory keeps, it finds again however often it is opened.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { Clock } from '../../src/core/clock.js'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { type PostgresOptions, postgres } from '../../src/stores/postgres/index.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import { type Pools, poolsOf } from '../../src/stores/postgres/pools.js'
import type { Translator } from '../../src/stores/postgres/translate.js'
import { TABLES } from '../../src/stores/sql/migrate.js'
import type { SqlStoreOptions } from '../../src/stores/sql/store.js'
import type { StoreFactory } from '../../src/stores/store.js'

/** The name of a schema that nobody has. */
export const ownSchema = (): string => `t_${randomBytes(6).toString('hex')}`

/**
 * @returns what makes the factory of an empty database; stores of the one before must be closed by its first opening.
 * `open` turns the name of a schema into the factory that is tested
 */
export function freshStores(
  url: string,
  open: (schema: string) => StoreFactory = (schema) => postgresWith(Warm, url, { schema }),
): () => StoreFactory {
  const schema = ownSchema()
  let made = false
  return () => {
    const factory = open(schema)
    let empty: Promise<void> | null = null
    return {
      async open(with_) {
        empty ??= made ? emptied(url, schema) : Promise.resolve()
        await empty
        made = true
        return factory.open(with_)
      },
    }
  }
}

/** What one open store uses; when it is closed the next one has it. */
interface Seat {
  translator: Translator
  pools: Pools
}
const seats = new Map<string, Seat[]>()

/**
 * A driver that leaves its connections to the next one: what a connection has learned of tables and statements costs
 * more than most tests. Stores that are open at the same time share none.
 */
class Warm extends PostgresDriver {
  private readonly leave: () => void

  constructor(url: string, clock: Clock, translator: Translator, options: PostgresOptions = {}) {
    const free = seats.get(translator.schema) ?? []
    seats.set(translator.schema, free)
    const seat = free.pop() ?? { translator, pools: poolsOf(url, options) }
    super(url, clock, seat.translator, options, { ...seat.pools, end: async () => {} })
    this.leave = () => free.push(seat)
  }

  override async close(): Promise<void> {
    await super.close()
    this.leave()
  }
}

export const freshPostgres = (url: string, options: PostgresOptions & SqlStoreOptions = {}): StoreFactory =>
  postgres(url, { schema: ownSchema(), ...options })

/** By schema: the connection that empties. It is kept, and with it what it knows of the tables. */
const cleaners = new Map<string, Promise<pg.Client>>()

/** As it was right after the migrations: no rows but the number of the schema, and counters from 1. */
async function emptied(url: string, schema: string): Promise<void> {
  if (!cleaners.has(schema)) cleaners.set(schema, cleaner(url, schema))
  await (await cleaners.get(schema))!.query(`select ${schema}.emptied()`)
}

async function cleaner(url: string, schema: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  const full = TABLES.filter((table) => table !== 'meta').map(
    (table) => `if exists (select 1 from ${schema}.${table}) then delete from ${schema}.${table}; end if;`,
  )
  await client.query(`create function ${schema}.emptied() returns void language plpgsql as $$ begin ${full.join('\n')}
    delete from ${schema}.meta where key <> 'schema' and key not like 'line/%';
    perform setval(pg_get_serial_sequence('${schema}.logs', 'id'), 1, false);
  end $$`)
  return client
}
