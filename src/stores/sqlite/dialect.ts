/** The words in which SQLite differs from PostgreSQL: one writer, so that nothing has to be held. */
import type { Dialect } from '../sql/plan.js'

export const sqliteDialect: Dialect = {
  inList: (column, n) => `${column} in (select value from json_each(?${n}))`,
  tuple: (columns) => `json_array(${columns})`,
  anyOf: (columns) => `coalesce(${columns}) is not null`,
  contains: (text, part) => `instr(${text}, ${part}) > 0`,
  serial: 'integer primary key',
  tableSuffix: () => 'without rowid',
  textType: 'text',
  held: '',
  heldRow: '',
  shared: '',
  skipHeld: '',
  keepsEntries: false,
  name: null,
  nameShared: null,
}
