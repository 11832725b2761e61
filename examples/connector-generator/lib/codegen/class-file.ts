// The file of one object class: its types, and what can be done with it. Has only what the documentation has.
import type { ObjectClass, OperationOf } from '../digest/object-class.js'
import type { Attribute, AttributeType } from '../extract/facts.js'
import { comment, literal, member, type Names } from './names.js'

export function classFile(one: ObjectClass, names: Names): string {
  const { operations } = one
  const methods = [
    operations.list ? list(one, names, operations.list) : '',
    operations.get ? get(names, operations.get) : '',
    operations.create ? create(names, operations.create) : '',
    operations.update ? update(one, names, operations.update) : '',
    operations.delete ? remove(operations.delete) : '',
  ].filter(Boolean)
  return `${[imports(one), types(one, names), api(one, names, methods)].join('\n\n')}\n`
}

function imports({ operations: { list, get, create, update } }: ObjectClass): string {
  const wraps = [create, update].some((one) => one && one.bodyPath.length > 0)
  const http = ['type Http', ...(get || create || update ? ['objectAt'] : []), ...(wraps ? ['within'] : [])]
  const paging = list ? `\nimport { type ListOptions, pages, type Paging } from './paging.js'` : ''
  return `import { ${http.join(', ')} } from './http.js'${paging}`
}

function types({ attributes, idAttribute, description }: ObjectClass, { type }: Names): string {
  const read = attributes.map((one) => {
    const isSure = one.required || one.name === idAttribute
    const value = isSure ? typeOf(one) : `${typeOf(one)} | null`
    return `${comment(about(one), '  ')}  ${one.readonly ? 'readonly ' : ''}${member(one.name)}${isSure ? '' : '?'}: ${value}\n`
  })
  const id = attributes.some(({ name }) => name === idAttribute)
    ? ''
    : `  readonly ${member(idAttribute)}: string | number\n`
  const written = attributes
    .filter(({ readonly }) => !readonly)
    .map((one) => `  ${member(one.name)}${one.required ? '' : '?'}: ${typeOf(one)}${one.required ? '' : ' | null'}\n`)
  return [
    `${comment(description)}export interface ${type} {\n${id}${read.join('')}}`,
    `/** What can be sent to make one. */\nexport interface ${type}Create {\n${written.join('')}}`,
    `/** What can be changed. */\nexport type ${type}Update = Partial<${type}Create>`,
  ].join('\n\n')
}

const TYPES: Record<AttributeType, string> = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  date: 'string',
  datetime: 'string',
  object: '{ [member: string]: unknown }',
  array: 'unknown[]',
  unknown: 'unknown',
}

function typeOf({ type, items, values }: Attribute): string {
  if (values && values.length > 0 && (type === 'string' || type === 'unknown')) return values.map(literal).join(' | ')
  if (type !== 'array' || !items || items === 'array' || items === 'unknown') return TYPES[type]
  return items === 'object' ? `Array<${TYPES.object}>` : `${TYPES[items]}[]`
}

function about({ description, type }: Attribute): string {
  const format =
    type === 'date' ? 'A date, like 2026-11-22.' : type === 'datetime' ? 'An instant, like 2026-11-22T09:00:00Z.' : ''
  return [description, format].filter(Boolean).join(' ')
}

function api({ name, paging, operations }: ObjectClass, { api }: Names, methods: string[]): string {
  const plan = operations.list ? `const PAGING: Paging = ${literal(paging)}\n\n` : ''
  return `${plan}${comment(`What can be done with ${name}.`)}export class ${api} {
  constructor(private readonly http: Http) {}

${methods.join('\n\n')}
}`
}

function list({ idAttribute }: ObjectClass, { type }: Names, { path, answerPath }: OperationOf): string {
  const plan = `{ path: ${literal(path)}, itemsPath: ${literal(answerPath)}, idAttribute: ${literal(idAttribute)}, paging: PAGING }`
  return `  /** All of them, page after page. */
  async *list(options: ListOptions = {}): AsyncGenerator<${type}> {
    for await (const page of pages<${type}>(this.http, ${plan}, options)) yield* page
  }`
}

function get({ type }: Names, { path, answerPath }: OperationOf): string {
  return `  async get(id: string | number): Promise<${type}> {
    return objectAt<${type}>(await this.http.request('GET', ${address(path)}), ${literal(answerPath)})
  }`
}

function create({ type }: Names, how: OperationOf): string {
  return `  async create(object: ${type}Create): Promise<${type}> {
    ${send(type, 'object', how)}
  }`
}

function update({ attributes, operations }: ObjectClass, { type }: Names, how: OperationOf): string {
  if (how.method !== 'PUT' || !operations.get)
    return `  async update(id: string | number, changes: ${type}Update): Promise<${type}> {
    ${send(type, 'changes', how)}
  }`
  const writable = attributes.filter(({ readonly }) => !readonly).map(({ name }) => name)
  return `  /** The API replaces the whole object, so what is not changed is read before and sent along. */
  async update(id: string | number, changes: ${type}Update): Promise<${type}> {
    const now: { [member: string]: unknown } = { ...(await this.get(id)) }
    const kept: { [member: string]: unknown } = {}
    for (const name of ${literal(writable)}) if (now[name] !== undefined && now[name] !== null) kept[name] = now[name]
    ${send(type, '{ ...kept, ...changes }', how)}
  }`
}

function send(type: string, value: string, { method, path, answerPath, bodyPath }: OperationOf): string {
  const body = bodyPath.length > 0 ? `within(${literal(bodyPath)}, ${value})` : value
  return `return objectAt<${type}>(await this.http.request(${literal(method)}, ${address(path)}, { body: ${body} }), ${literal(answerPath)})`
}

function remove({ path }: OperationOf): string {
  return `  async delete(id: string | number): Promise<void> {
    await this.http.request('DELETE', ${address(path)})
  }`
}

/** A path as an expression: `{id}` is filled in, everything else is text. */
function address(path: string): string {
  return path
    .split('{id}')
    .map(literal)
    .join(' + encodeURIComponent(id) + ')
    .replace(/ \+ ""$/, '')
}
