// Names as people write them and as programs compare them. Knows English plurals and nothing of any one API.

/** `Sales orders`, `sales_order`, `SalesOrder` → the same text; only for comparing, `addresses` becomes `address`, `houses` `hous`. */
export function normal(name: string): string {
  const bare = name.toLowerCase().replace(/[^a-z0-9]+/g, '')
  const single = /(ss|us|is)$/.test(bare) ? bare : bare.replace(/s$/, '')
  return single.replace(/ie$/, 'y').replace(/e$/, '')
}

/** For names that people read. */
function singular(word: string): string {
  if (/(series|species|news|[uis]s)$/i.test(word) || word.length < 4) return word
  if (/[^aeiou]ies$/i.test(word)) return `${word.slice(0, -3)}y`
  if (/(ss|us|x|ch|sh)es$/i.test(word)) return word.slice(0, -2)
  return /s$/i.test(word) ? word.slice(0, -1) : word
}

export function plural(word: string): string {
  if (/(s|x|z|ch|sh)$/i.test(word)) return `${word}es`
  return /[^aeiou]y$/i.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`
}

/** `sales_orders` → `SalesOrder`. */
export function className(name: string): string {
  const parts = partsOf(name)
  const last = parts.pop() ?? ''
  return [...parts, singular(last)].map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join('')
}

/** `SalesOrder`, `sales orders` → `['sales', 'order(s)']`. */
export function partsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
    .map((part) => part.toLowerCase())
}

/** Suffixes of schema names that say what the schema is for, not what it is about. */
const ROLE =
  /(Response|Request|Dto|DTO|Model|Object|Resource|Read|Write|Out|In|View|Details?|Entity|Schema|Record|Payload|Body|Create|Update|New|Input|Output)+$/

export function withoutRole(name: string): string {
  const bare = name.replace(ROLE, '')
  return bare === '' ? name : bare
}

const WRAPPERS = new Set([
  'data',
  'result',
  'record',
  'item',
  'resource',
  'response',
  'payload',
  'body',
  'object',
  'entity',
])

/** Whether a member holds the object rather than being part of it. */
export function isWrapper(member: string, objectClass: string): boolean {
  return WRAPPERS.has(member.toLowerCase()) || normal(member) === normal(objectClass)
}

export function looksLikeId(member: string): boolean {
  return /^_?(id|uuid|guid|key)$|(_id|Id|_uuid)$/.test(member)
}
