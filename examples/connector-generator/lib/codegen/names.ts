// Names and texts from documentation as parts of a program. Documentation is foreign text: nothing of it may end a comment
// or a string, or stand where an identifier is expected.
import { partsOf, plural } from '../extract/words.js'

/** Type names that the generated files use themselves, and words that cannot be names. */
const TAKEN = new Set(
  'Http HttpOptions Answer ConnectorError Paging ListOptions ConnectorOptions Array AsyncGenerator Awaited Boolean Date Error Function Map Number Object Omit Partial Pick Promise Record Required Set String Symbol'.split(
    ' ',
  ),
)

export interface Names {
  /** `SalesOrder` */
  type: string
  /** `SalesOrderApi` */
  api: string
  /** `salesOrders` */
  member: string
  /** `sales-order` */
  file: string
}

/** Names for each class, all different. */
export function namesFor(classes: readonly string[]): Names[] {
  const used = new Set<string>(TAKEN)
  const files = new Set(['http', 'paging', 'index'])
  return classes.map((name) => {
    const parts = partsOf(name).filter((part) => /^[a-z0-9]+$/.test(part))
    if (parts.length === 0 || /^\d/.test(parts[0]!)) parts.unshift('object')
    const type = freeType(parts.map(capital).join(''), used)
    const [first, ...rest] = partsOf(plural(type))
    const file = freeFile(parts.join('-'), files)
    return { type, api: `${type}Api`, member: [first, ...rest.map(capital)].join(''), file }
  })
}

/** A type brings others along, which must be free as well. */
function freeType(name: string, used: Set<string>): string {
  const family = (type: string) => [type, `${type}Api`, `${type}Create`, `${type}Update`]
  const isFree = (type: string) => family(type).every((one) => !used.has(one))
  const made = firstFree([name, `${name}Object`], name, isFree)
  for (const one of family(made)) used.add(one)
  return made
}

function freeFile(name: string, used: Set<string>): string {
  const made = firstFree([name], `${name}-`, (file) => !used.has(file))
  used.add(made)
  return made
}

function firstFree(wanted: string[], stem: string, isFree: (name: string) => boolean): string {
  const found = wanted.find(isFree)
  if (found) return found
  for (let n = 2; ; n++) if (isFree(`${stem}${n}`)) return `${stem}${n}`
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)

/** A member of an interface or an object literal. */
export function member(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) && name !== '__proto__' ? name : JSON.stringify(name)
}

/** A string literal. JSON's are TypeScript's. */
export function literal(value: unknown): string {
  return JSON.stringify(value)
}

/** A comment of one line, or nothing. */
export function comment(text: string | null, indent = ''): string {
  const line = (text ?? '')
    .replace(/[\s\p{C}]+/gu, ' ')
    .replaceAll('*/', '* /')
    .trim()
  return line === '' ? '' : `${indent}/** ${line.length > 200 ? `${line.slice(0, 199)}…` : line} */\n`
}
