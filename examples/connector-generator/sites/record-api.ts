// A small record API of any shape: it keeps objects in memory, asks for credentials, hands out pages and refuses what its
// fields do not allow. The sites of this example and the tests run theirs on it; the generator never sees it.

export interface Field {
  type: 'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array'
  required?: boolean
  readonly?: boolean
  values?: string[]
}

export interface Collection {
  id: string
  fields: Record<string, Field>
  records: Record<string, unknown>[]
}

export interface ApiShape {
  /** `/api/v1` */
  base: string
  auth:
    | { kind: 'header'; name: string; value: string }
    | { kind: 'query'; name: string; value: string }
    | { kind: 'bearer'; value: string }
    | { kind: 'basic'; user: string; password: string }
  paging:
    | { kind: 'page'; page: string; size: string; first: number }
    | { kind: 'offset'; offset: string; size: string }
    | { kind: 'cursor'; cursor: string; size: string }
    | { kind: 'nextUrl'; page: string; size: string }
    | { kind: 'link'; page: string; size: string }
    | { kind: 'none' }
  /** Where things stand in the answer to a list. */
  answer: { items: string[]; total?: string[]; pages?: string[]; next?: string[] }
  /** What a single object is wrapped in. */
  wrapper?: string
  bodyWrapper?: string
  update: 'PUT' | 'PATCH'
  /** The most that one page holds. */
  maxSize: number
  collections: Record<string, Collection>
}

export interface ApiRequest {
  method: string
  url: URL
  headers: Record<string, string | undefined>
  body: string
}

export interface ApiAnswer {
  status: number
  headers?: Record<string, string>
  body: unknown
}

class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

export class RecordApi {
  /** `GET /api/v1/accounts?page=2`, as they came. */
  readonly requests: string[] = []
  /** Statuses to answer with before anything is done, for the next requests. */
  readonly trouble: number[] = []
  private made = 0

  constructor(readonly shape: ApiShape) {}

  records(collection: string): Record<string, unknown>[] {
    return this.shape.collections[collection]!.records
  }

  /** Null if the address is none of this API. */
  answer(request: ApiRequest): ApiAnswer | null {
    const { base, collections } = this.shape
    const [, name, id] = new RegExp(`^${base}/([\\w-]+)(?:/([^/]+))?$`).exec(request.url.pathname) ?? []
    const collection = name === undefined ? undefined : collections[name]
    if (!collection) return null
    this.requests.push(`${request.method} ${request.url.pathname}${request.url.search}`)
    const trouble = this.trouble.shift()
    if (trouble) return { status: trouble, body: { error: `trouble ${trouble}` } }
    try {
      this.authenticate(request)
      return id === undefined
        ? this.whole(collection, request)
        : this.single(collection, decodeURIComponent(id), request)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { status: error.status, body: { error: error.message } }
    }
  }

  private whole(collection: Collection, request: ApiRequest): ApiAnswer {
    if (request.method === 'GET') return this.page(collection, request.url)
    if (request.method !== 'POST') throw new Refusal(405, 'This cannot be done to a list.')
    const sent = this.read(collection, request)
    for (const [name, field] of Object.entries(collection.fields))
      if (field.required && sent[name] === undefined) throw new Refusal(422, `${name} is missing`)
    const record = { [collection.id]: this.nextId(collection), ...sent }
    collection.records.push(record)
    return { status: 201, body: this.wrapped(record) }
  }

  private single(collection: Collection, id: string, request: ApiRequest): ApiAnswer {
    const record = collection.records.find((one) => String(one[collection.id]) === id)
    if (!record) throw new Refusal(404, `There is no ${id}.`)
    if (request.method === 'GET') return { status: 200, body: this.wrapped(record) }
    if (request.method !== this.shape.update) throw new Refusal(405, `Use ${this.shape.update}.`)
    const sent = this.read(collection, request)
    if (request.method === 'PUT')
      for (const name of Object.keys(collection.fields)) if (!collection.fields[name]!.readonly) delete record[name]
    Object.assign(record, sent)
    return { status: 200, body: this.wrapped(record) }
  }

  private page({ records }: Collection, url: URL): ApiAnswer {
    const { paging, answer, maxSize } = this.shape
    const number = (name: string, fallback: number) => Number(url.searchParams.get(name) ?? fallback)
    const size = paging.kind === 'none' ? records.length : Math.min(maxSize, number(paging.size, maxSize))
    const from = {
      page: () => (paging.kind === 'page' ? (number(paging.page, paging.first) - paging.first) * size : 0),
      nextUrl: () => (paging.kind === 'nextUrl' ? (number(paging.page, 1) - 1) * size : 0),
      link: () => (paging.kind === 'link' ? (number(paging.page, 1) - 1) * size : 0),
      offset: () => (paging.kind === 'offset' ? number(paging.offset, 0) : 0),
      cursor: () => (paging.kind === 'cursor' ? fromCursor(url.searchParams.get(paging.cursor)) : 0),
      none: () => 0,
    }[paging.kind]()
    const more = from + size < records.length
    const next = new URL(url)
    if (paging.kind === 'nextUrl' || paging.kind === 'link') next.searchParams.set(paging.page, String(from / size + 2))
    const body = put({}, answer.items, records.slice(from, from + size)) as object
    if (answer.total) put(body, answer.total, records.length)
    if (answer.pages) put(body, answer.pages, Math.ceil(records.length / size))
    if (answer.next)
      put(body, answer.next, !more ? null : paging.kind === 'nextUrl' ? next.href : toCursor(from + size))
    const headers = paging.kind === 'link' && more ? { link: `<${next.href}>; rel="next"` } : undefined
    return { status: 200, headers, body: answer.items.length === 0 ? records.slice(from, from + size) : body }
  }

  /** The object that was sent, as far as its fields allow it. */
  private read(collection: Collection, request: ApiRequest): Record<string, unknown> {
    if (!/\bjson\b/.test(request.headers['content-type'] ?? '')) throw new Refusal(415, 'Send JSON.')
    const { bodyWrapper } = this.shape
    const parsed = JSON.parse(request.body)
    const sent = bodyWrapper ? parsed[bodyWrapper] : parsed
    if (typeof sent !== 'object' || sent === null) throw new Refusal(422, `Send {"${bodyWrapper}": {…}}.`)
    for (const [name, value] of Object.entries(sent)) {
      const field = collection.fields[name]
      if (!field) throw new Refusal(422, `${name} is not known`)
      if (field.readonly) throw new Refusal(422, `${name} is read only`)
      const type = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value
      if (type !== field.type && !(type === 'integer' && field.type === 'number'))
        throw new Refusal(422, `${name} must be ${field.type}`)
      if (field.values && !field.values.includes(String(value))) throw new Refusal(422, `${name} cannot be ${value}`)
    }
    return sent
  }

  private authenticate({ headers, url }: ApiRequest): void {
    const { auth } = this.shape
    const { authorization } = headers
    const holds = {
      header: () => auth.kind === 'header' && headers[auth.name.toLowerCase()] === auth.value,
      query: () => auth.kind === 'query' && url.searchParams.get(auth.name) === auth.value,
      bearer: () => auth.kind === 'bearer' && authorization === `Bearer ${auth.value}`,
      basic: () =>
        auth.kind === 'basic' &&
        authorization === `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString('base64')}`,
    }[auth.kind]()
    if (!holds) throw new Refusal(401, 'Who are you?')
  }

  private wrapped(record: object): unknown {
    const { wrapper } = this.shape
    return wrapper ? { [wrapper]: record } : record
  }

  private nextId({ fields, id }: Collection): unknown {
    this.made++
    return fields[id]?.type === 'integer' ? 9000 + this.made : `new-${this.made}`
  }
}

function put(into: object, path: readonly string[], value: unknown): object {
  let at = into as Record<string, any>
  for (const name of path.slice(0, -1)) at = at[name] ??= {}
  if (path.length > 0) at[path.at(-1)!] = value
  return into
}

const toCursor = (from: number) => btoa(`from ${from}`)

function fromCursor(cursor: string | null): number {
  if (cursor === null) return 0
  const from = /^from (\d+)$/.exec(Buffer.from(cursor, 'base64').toString())?.[1]
  if (from === undefined) throw new Refusal(400, 'This cursor is not one of ours.')
  return Number(from)
}
