/**
 * Turns the statements of plans into PostgreSQL's: numbered parameters, tables with their schema, and, for a statement
 * that is given several parameter lists at once, one statement over all of them (`unnest`). Knows no table and no job.
 */
import type { Value } from '../sql/plan.js'

/** One statement of a plan. Parameter types are those PostgreSQL finds for the form with a single list. */
export interface Form {
  /** Under which connections keep it prepared; null: they do not. */
  name: string | null
  /** For one parameter list. */
  single: string
  /**
   * For several; null where only one list at a time can be right. Parameters in which all lists agree (`same`) are given
   * once, as they are; of the others each is the array of its values.
   */
  many: ((types: readonly string[], same?: Same) => string) | null
  /** Texts of `many` that connections keep prepared, by what their lists agree in. */
  readonly together: Map<string, { name: string | null; text: string }>
  kind: 'insert' | 'update' | 'delete' | 'select'
  /** How the answers of `many` are told apart: an insert without conflicts needs no telling. */
  counted: 'all' | 'by number' | 'not'
  /** Parameters that are read as JSON, counted from 0. */
  json: ReadonlySet<number>
  types: readonly string[] | null
}

/** By parameter, whether all lists have the same value there. */
export type Same = readonly boolean[]

/** Names of prepared statements that a connection keeps; list filters make many texts, and those are not kept. */
const KEPT = 400
/** And of one statement for several lists, by what they agree in. */
const KEPT_TOGETHER = 8

export class Translator {
  private readonly forms = new Map<string, Form>()
  private readonly tables: RegExp

  /**
   * @param schema quoted identifier of the schema the tables are in
   * @param tables their names
   */
  constructor(
    readonly schema: string,
    tables: readonly string[],
  ) {
    this.tables = new RegExp(`\\b(from|join|into|update|using|table|on)\\s+(${tables.join('|')})\\b`, 'g')
  }

  of(sql: string): Form {
    const known = this.forms.get(sql)
    if (known) return known
    // Callers choose how many texts there are, and no connection forgets what it has prepared.
    if (this.forms.size >= KEPT) return this.make(sql, null)
    const form = this.make(sql, `untildone_${this.forms.size + 1}`)
    this.forms.set(sql, form)
    return form
  }

  /** The statement with its tables named in full; `updated on x` and the like are no tables. */
  qualified(sql: string): string {
    return sql.replace(this.tables, (_, word: string, table: string) => `${word} ${this.schema}.${table}`)
  }

  private make(sql: string, name: string | null): Form {
    const text = this.qualified(sql)
    const kind = /^\s*(insert|update|delete)\b/.exec(sql)?.[1] as Form['kind'] | undefined
    const form: Form = {
      name,
      single: text.replace(/\?(\d+)/g, '$$$1'),
      many: null,
      together: new Map(),
      kind: kind ?? 'select',
      counted: 'not',
      json: new Set([...sql.matchAll(/\?(\d+)::json\b/g)].map(([, n]) => Number(n) - 1)),
      types: null,
    }
    const columns = text.replace(/\?(\d+)/g, 'p.a$1')
    if (form.kind === 'insert') return Object.assign(form, insertOf(columns))
    if (form.kind === 'select') {
      form.many = (types, same) =>
        `select p.n_ as n_, q.* from ${lists(types, same)} cross join lateral (select * from (${given(columns, types, same)}) s limit 1) q`
      return form
    }
    // Lists whose first values differ cannot mean the same row, as long as a column must equal that value.
    const condition = sql.slice(Math.max(0, outerWhere(sql)))
    if (!/(?<![<>!])= \?1\b/.test(condition) || /\bor\b/.test(condition)) return form
    const at = outerWhere(columns)
    if (at < 0) return form
    form.counted = 'by number'
    const word = form.kind === 'update' ? 'from' : 'using'
    form.many = (types, same) => {
      const [what, which] = [columns.slice(0, at), columns.slice(at)].map((part) => given(part, types, same))
      return `${what} ${word} ${lists(types, same)}${which} returning p.n_ as n_`
    }
    return form
  }
}

function insertOf(columns: string): Partial<Form> {
  const parts = /^(\s*insert into \S+ \([^)]*\)\s+)values\s+\(([^()]*)\)(\s+on conflict[\s\S]*)?$/.exec(columns)
  if (!parts) return {}
  const [, into, values, conflict = ''] = parts
  // Two lists of the same key cannot be updated by one statement.
  if (/do update/.test(conflict)) return {}
  return {
    counted: conflict ? 'not' : 'all',
    many: (types, same) =>
      `${into}select ${given(values!, types, same)} from ${lists(types, same)} order by p.n_${conflict}`,
  }
}

/** Where the condition of the statement itself begins: the first `where` that stands in no brackets. */
function outerWhere(sql: string): number {
  let depth = 0
  for (let i = 0; i < sql.length; i++) {
    if (sql[i] === '(') depth++
    else if (sql[i] === ')') depth--
    else if (depth === 0 && /^\swhere\s/.test(sql.slice(i, i + 7))) return i
  }
  return -1
}

/** What the parameter lists do not agree in, as rows, numbered from 1. */
function lists(types: readonly string[], same: Same = []): string {
  const varied = types.flatMap((type, i) => (same[i] ? [] : [{ type, n: i + 1 }]))
  const arrays = varied.map(({ type, n }) => `$${n}::${type}[]`).join(', ')
  return `unnest(${arrays}) with ordinality as p(${varied.map(({ n }) => `a${n}, `).join('')}n_)`
}

/** What they agree in is given as it is. */
function given(text: string, types: readonly string[], same: Same = []): string {
  return text.replace(/\bp\.a(\d+)\b/g, (column, n) => (same[n - 1] ? `$${n}::${types[n - 1]}` : column))
}

/** In which parameters all lists agree. The first is always given as an array, which says how many lists there are. */
export function agreement(params: readonly (readonly Value[])[]): Same {
  const [first] = params
  return first!.map((value, column) => column > 0 && params.every((list) => list[column] === value))
}

/** The statement for several lists, and under which name connections keep it. */
export function togetherOf(form: Form, same: Same): { name: string | null; text: string; same: Same } {
  const key = same.map(Number).join('')
  const known = form.together.get(key)
  if (known) return { ...known, same }
  // Callers choose how many ways there are to agree, and no connection forgets what it has prepared.
  if (form.together.size >= KEPT_TOGETHER && same.includes(true))
    return togetherOf(
      form,
      same.map(() => false),
    )
  const made = { name: form.name && `${form.name}_n${form.together.size}`, text: form.many!(form.types!, same) }
  form.together.set(key, made)
  return { ...made, same }
}

/** Whether the first values of all lists differ, as they are kept. */
export function distinct(params: readonly (readonly Value[])[]): boolean {
  const seen = new Set<string>()
  for (const [first] of params) {
    if (first === undefined || first === null) return false
    const kept = typeof first === 'number' ? String(first) : plain(first).replace(HALVES, '\uFFFD')
    if (seen.has(kept)) return false
    seen.add(kept)
  }
  return true
}

/** One column of all lists as the text of an array. */
export function arrayText(params: readonly (readonly Value[])[], column: number): string {
  let text = '{'
  for (let i = 0; i < params.length; i++) {
    const value = params[i]![column]!
    if (i > 0) text += ','
    if (value === null || value === undefined) text += 'NULL'
    else if (typeof value === 'number') text += value
    else text += quoted(value)
  }
  return `${text}}`
}

/** Halves of characters, which no UTF-8 can carry. */
const HALVES = /\p{Surrogate}/gu

const SPECIAL = /["\\\u0000]/
function quoted(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`
  return `"${plain(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** PostgreSQL's text has no NUL; it reads as the character for what cannot be shown. */
function plain(text: string): string {
  return text.includes('\u0000') ? text.replaceAll('\u0000', '\uFFFD') : text
}

const UNREADABLE = /\\u(0000|d[89a-f])/i

/** PostgreSQL reads no JSON text with half a character or a NUL in it; they become what they are kept as. */
export function jsonText(text: string): string {
  if (!UNREADABLE.test(text)) return text
  return JSON.stringify(JSON.parse(text), (_, value) =>
    typeof value === 'string' ? plain(value).replace(HALVES, '\uFFFD') : value,
  )
}

/** One parameter as it is sent. */
export function valueText(value: Value): string | null {
  return value === null || value === undefined ? null : typeof value === 'number' ? String(value) : plain(value)
}

/** One list as it is sent. */
export function valuesOf({ json }: Form, list: readonly Value[]): (string | null)[] {
  const values = list.map(valueText)
  for (const at of json) if (values[at] !== null) values[at] = jsonText(values[at]!)
  return values
}
