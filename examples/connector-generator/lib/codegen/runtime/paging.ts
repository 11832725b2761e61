// Long lists, page after page, until the API says that there is no more. A short page is no end: servers cap their pages,
// and filters thin them out.
import { type Answer, at, ConnectorError, type Http, listAt } from './http.js'

type Path = readonly string[]

export type Paging =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'page'
      readonly page: string
      readonly size: string | null
      readonly first: number
      readonly pages: Path | null
    }
  | { readonly kind: 'offset'; readonly offset: string; readonly size: string | null; readonly total: Path | null }
  | { readonly kind: 'cursor'; readonly cursor: string; readonly size: string | null; readonly next: Path | null }
  | { readonly kind: 'nextUrl'; readonly next: Path; readonly size: string | null }
  | { readonly kind: 'link'; readonly size: string | null }

export interface ListOptions {
  /** Objects per page, as far as the API lets one choose. @default what the API thinks right */
  pageSize?: number
  signal?: AbortSignal
}

interface Plan {
  path: string
  itemsPath: Path
  idAttribute: string
  paging: Paging
}

/** Where the next page is: more parameters, or an address; null at the end. */
type Next = { query: Record<string, string | number> } | { url: string } | null

export async function* pages<T>(http: Http, plan: Plan, options: ListOptions = {}): AsyncGenerator<T[]> {
  const { paging, path, itemsPath } = plan
  const sizeName = paging.kind === 'none' ? null : paging.size
  const size: Record<string, number> = sizeName && options.pageSize ? { [sizeName]: options.pageSize } : {}
  let next: Next = { query: { ...size, ...start(paging) } }
  let seen = 0
  const asked = new Set<string>()
  for (let number = 0; next !== null; number++) {
    // An API that sends its reader in circles would be read for ever.
    const address = JSON.stringify(next)
    if (asked.has(address)) throw new ConnectorError(`${path} gives the same page again`)
    asked.add(address)
    const answer = await get(http, path, next, options.signal, number)
    if (answer === null) return
    const items: T[] = listAt<T>(answer, itemsPath)
    if (items.length > 0) yield items
    seen += items.length
    const more = follow(plan, answer, items, { number, seen })
    next = more && 'query' in more ? { query: { ...size, ...more.query } } : more
  }
}

/** Null where a numbered page is not there any more: some APIs answer 404 behind the last one. */
async function get(
  http: Http,
  path: string,
  next: Exclude<Next, null>,
  signal: AbortSignal | undefined,
  number: number,
): Promise<Answer | null> {
  try {
    if ('url' in next) return await http.request('GET', next.url, { signal })
    return await http.request('GET', path, { query: next.query, signal })
  } catch (error) {
    if (number > 0 && error instanceof ConnectorError && error.status === 404) return null
    throw error
  }
}

function start(paging: Paging): Record<string, number> {
  if (paging.kind === 'page') return { [paging.page]: paging.first }
  return paging.kind === 'offset' ? { [paging.offset]: 0 } : {}
}

function follow(
  { paging, idAttribute }: Plan,
  answer: Answer,
  items: unknown[],
  so: { number: number; seen: number },
): Next {
  switch (paging.kind) {
    case 'none':
      return null
    case 'page': {
      const all = paging.pages && at(answer.body, paging.pages)
      const isLast = typeof all === 'number' ? so.number + 1 >= all : items.length === 0
      return isLast ? null : { query: { [paging.page]: paging.first + so.number + 1 } }
    }
    case 'offset': {
      const all = paging.total && at(answer.body, paging.total)
      const isLast = items.length === 0 || (typeof all === 'number' && so.seen >= all)
      return isLast ? null : { query: { [paging.offset]: so.seen } }
    }
    case 'cursor': {
      const cursor = paging.next ? at(answer.body, paging.next) : at(items.at(-1), [idAttribute])
      const isToken = (typeof cursor === 'string' && cursor !== '') || typeof cursor === 'number'
      return isToken ? { query: { [paging.cursor]: cursor } } : null
    }
    case 'nextUrl': {
      const url = at(answer.body, paging.next)
      return typeof url === 'string' && url !== '' ? { url: new URL(url, answer.url).href } : null
    }
    case 'link': {
      const url = /<([^>]+)>\s*;[^,]*\brel="?next"?/i.exec(answer.headers.get('link') ?? '')?.[1]
      return url ? { url: new URL(url, answer.url).href } : null
    }
  }
}
