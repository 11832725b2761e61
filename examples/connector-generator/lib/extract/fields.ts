// Fields of an object as tables and prose describe them.
import type { Block } from '../docs/blocks.js'
import { type Attribute, attributeSchema, type Parameter } from './facts.js'
import { firstPageOf } from './paging.js'
import { itemsOf, typeOf, valuesOf } from './types.js'

type Table = Extract<Block, { kind: 'table' }>

const COLUMNS = {
  name: /^(field|field name|name|attribute|property|column|key|parameter|argument|param|member)$/i,
  type: /^(type|data ?type|format|kind|value type)$/i,
  required: /^(required\??|mandatory|req\.?|needed|on create|presence|optional\??)$/i,
  access: /^(access|read[- ]?only\??|writable\??|editable\??|mode|permissions?|changeable\??)$/i,
  notes: /^(description|notes?|details|meaning|comment|remarks?|what it is|explanation|about)$/i,
}
const YES = /^(yes|y|true|✓|✔|x|always|required|mandatory)$/i
const NO = /^(no|n|false|✗|✘|-|–|—|never|optional|)$/i
const READ_ONLY =
  /\bread[- ]only\b|\b(?:assigned|set|generated|computed|calculated|maintained|chosen|filled in) (?:automatically )?by (?:the |our )?(?:server|system|service|api|us)\b|\bcannot be (?:changed|set|written)\b|\bserver-(?:generated|assigned)\b|\bgenerated automatically\b/i

interface Columns {
  name: number
  type: number
  required: number
  access: number
  notes: number
  head: string[]
}

/** The columns of a table that describes fields, or null for any other table. */
export function columnsOf({ rows: [header = []] }: Table): Columns | null {
  const at = (pattern: RegExp) => header.findIndex((cell) => pattern.test(cell.replace(/`/g, '').trim()))
  const { name, type, required, access, notes } = COLUMNS
  const columns = {
    name: at(name),
    type: at(type),
    required: at(required),
    access: at(access),
    notes: at(notes),
    head: header,
  }
  return columns.name >= 0 && (columns.type >= 0 || columns.notes >= 0) ? columns : null
}

export function attributesIn(table: Table): Attribute[] {
  const columns = columnsOf(table)
  if (!columns) return []
  return table.rows.slice(1).flatMap((row) => {
    const cell = (column: number) => (column < 0 ? '' : (row[column] ?? ''))
    const { name, rest } = nameIn(cell(columns.name))
    if (!name) return []
    const notes = [rest, cell(columns.notes)].filter(Boolean).join(' ')
    const type = columns.type < 0 ? notes.split(/[.;]/)[0]! : cell(columns.type)
    return [attribute(name, type, [cell(columns.type), notes].join(' '), notes, said(columns, cell))]
  })
}

function said(
  columns: Columns,
  cell: (column: number) => string,
): { required: boolean | null; readonly: boolean | null } {
  const needed = cell(columns.required)
  const access = cell(columns.access)
  const turned = (column: number, pattern: RegExp) => column >= 0 && pattern.test(columns.head[column] ?? '')
  const required = columns.required < 0 ? null : yesNo(needed)
  const writable = columns.access < 0 ? null : yesNo(access)
  const readonly = /read[- ]?only|^r$|^read$/i.test(access) ? true : /write|^rw$/i.test(access) ? false : writable
  return {
    required: required !== null && turned(columns.required, /optional/i) ? !required : required,
    readonly:
      readonly !== null && turned(columns.access, /writ|edit|chang/i) && writable !== null ? !readonly : readonly,
  }
}

function yesNo(text: string): boolean | null {
  const word = text.replace(/[`.*]/g, '').trim()
  return YES.test(word) ? true : NO.test(word) ? false : null
}

/** Parameters of a request, from a table of them. */
export function parametersIn(table: Table): Parameter[] {
  const columns = columnsOf(table)
  if (!columns) return []
  return table.rows.slice(1).flatMap((row) => {
    const { name } = nameIn(row[columns.name] ?? '')
    const notes = row.filter((_, column) => column !== columns.name).join(' ')
    return name ? [parameter(name, notes)] : []
  })
}

export function parameter(name: string, description: string): Parameter {
  const start = /\bdefaults? (?:is |to )?[`"']?([01])\b(?!\d)/i.exec(description)?.[1]
  return { name, description: description.slice(0, 2000), first: start ? Number(start) : firstPageOf(description) }
}

/** `` `email` (string, required) — where to write to`` and `` `email` — string, required. Where to write to``. */
export function attributesOfProse(text: string, isItem: boolean): Attribute[] {
  const inBrackets = [...text.matchAll(/`([A-Za-z_@$][\w.$-]*)`\s*\(([^)]{2,160})\)/g)]
  if (inBrackets.length > 0)
    return inBrackets.flatMap(([whole, name, words], index) => {
      if (!describesField(words!)) return []
      const from = inBrackets[index]!.index + whole.length
      const rest = text.slice(from, inBrackets[index + 1]?.index).replace(/^[\s—–:,-]+/, '')
      return [attribute(name!, words!, `${words} ${isItem ? rest : ''}`, isItem ? rest : '', NOT_SAID)]
    })
  const [, quoted, bare, words] =
    (isItem && /^(?:`([A-Za-z_@$][\w.$-]*)`|([A-Za-z_@$][\w.$-]*))\s*(?:—|–|-|:)\s+(.+)$/.exec(text)) || []
  const name = quoted ?? bare
  const type = words?.split(/[.;]/)[0]
  if (!name || !words || !type || !describesField(type)) return []
  // Without marks anything may stand before a colon; then the type has to follow at once.
  if (bare && typeOf(type.split(/[\s,]/)[0]!) === 'unknown') return []
  return [attribute(name, type, words, words, NOT_SAID)]
}

const NOT_SAID = { required: null, readonly: null }

function describesField(words: string): boolean {
  return typeOf(words) !== 'unknown' && words.split(/\s+/).length <= 16
}

function attribute(
  name: string,
  type: string,
  all: string,
  description: string,
  { required, readonly }: { required: boolean | null; readonly: boolean | null },
): Attribute {
  // `address.city` is a member of the object `address`.
  const [own, ...inner] = name.split('.')
  const isReadonly = readonly ?? (READ_ONLY.test(all) ? true : null)
  const isRequired =
    required ??
    (/\b(?:required|mandatory)\b/i.test(all) && !/\bnot required\b/i.test(all)
      ? true
      : /\boptional\b/i.test(all)
        ? false
        : null)
  const values = valuesOf(all)
  const known = typeOf(type)
  return attributeSchema.parse({
    name: own,
    type: inner.length > 0 ? 'object' : known === 'unknown' && values ? 'string' : known,
    items: inner.length > 0 ? null : itemsOf(type),
    required: isReadonly === true ? false : isRequired,
    readonly: isReadonly,
    values,
    description: description.slice(0, 2000) || null,
  })
}

/** The name in a cell, and what else stands there: `` `email` required``. */
function nameIn(cell: string): { name: string | null; rest: string } {
  const found = /^`([A-Za-z_@$][\w.$[\]-]*)`(.*)$/.exec(cell) ?? /^([A-Za-z_@$][\w.$[\]-]*)(?:\s+(.*))?$/.exec(cell)
  return { name: found?.[1]?.replace(/\[\]/g, '') ?? null, rest: (found?.[2] ?? '').trim() }
}
