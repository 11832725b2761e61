// How an API hands out long lists, told from the names of its parameters and of the members of its answers. The names are
// those that many APIs share; none belongs to one of them.
import type { Member, Parameter } from './facts.js'

export type Paging =
  | { kind: 'none' }
  | { kind: 'page'; page: string; size: string | null; first: number; pages: string[] | null }
  | { kind: 'offset'; offset: string; size: string | null; total: string[] | null }
  /** `next` is where the next cursor stands; null if it is the id of the last object. */
  | { kind: 'cursor'; cursor: string; size: string | null; next: string[] | null }
  | { kind: 'nextUrl'; next: string[]; size: string | null }
  | { kind: 'link'; size: string | null }

export interface PagingHints {
  parameters: readonly Parameter[]
  members: readonly Member[]
  linkHeader: boolean
  firstPage: number | null
}

const NAMES = {
  cursor: [
    'cursor',
    'pagetoken',
    'nexttoken',
    'continuationtoken',
    'continuation',
    'marker',
    'nextcursor',
    'pagecursor',
  ],
  lastId: ['startingafter', 'after', 'afterid', 'sinceid'],
  page: ['page', 'pagenumber', 'pageno', 'pageindex', 'pagenum', 'p'],
  offset: ['offset', 'skip', 'start', 'startat', 'startindex', 'firstresult'],
  size: [
    'limit',
    'perpage',
    'pagesize',
    'size',
    'pagelimit',
    'maxresults',
    'maxitems',
    'max',
    'top',
    'take',
    'rows',
    'count',
    'first',
  ],
  next: [
    'nextcursor',
    'nextpagetoken',
    'nexttoken',
    'nextpage',
    'next',
    'cursor',
    'continuationtoken',
    'continuation',
    'endcursor',
    'nextmarker',
  ],
  nextUrl: ['nextlink', 'nexturl', 'odatanextlink', 'nextpageurl', 'nexthref'],
  total: ['total', 'totalcount', 'totalitems', 'totalresults', 'totalrecords', 'count', 'recordcount', 'totalsize'],
  pages: ['pages', 'totalpages', 'pagecount', 'lastpage', 'numpages'],
}

const bare = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')

export function pagingOf(hints: PagingHints): Paging {
  const parameter = (names: string[]) => hints.parameters.find(({ name }) => names.includes(bare(name)))
  const member = (names: string[]) => hints.members.find(({ path }) => names.includes(bare(path.at(-1) ?? '')))
  const size = parameter(NAMES.size)?.name ?? null
  const next = member(NAMES.next)
  const cursor = parameter(NAMES.cursor) ?? (next ? parameter(NAMES.lastId) : undefined)
  if (cursor && next && !next.isUrl) return { kind: 'cursor', cursor: cursor.name, size, next: next.path }
  const link = member(NAMES.nextUrl) ?? (next?.isUrl ? next : undefined)
  if (link) return { kind: 'nextUrl', next: link.path, size }
  if (hints.linkHeader) return { kind: 'link', size }
  const page = parameter(NAMES.page)
  if (page) {
    const first = page.first ?? hints.firstPage ?? 1
    return { kind: 'page', page: page.name, size, first, pages: member(NAMES.pages)?.path ?? null }
  }
  const offset = parameter(NAMES.offset)
  if (offset) return { kind: 'offset', offset: offset.name, size, total: member(NAMES.total)?.path ?? null }
  const lastId = parameter(NAMES.lastId)
  if (lastId) return { kind: 'cursor', cursor: lastId.name, size, next: null }
  return { kind: 'none' }
}

/** Whether a parameter has to do with paging at all. */
export function isPagingName(name: string): boolean {
  const { cursor, lastId, page, offset, size } = NAMES
  return [cursor, lastId, page, offset, size].some((names) => names.includes(bare(name)))
}

/** Whether a member of an answer has to do with paging. */
export function isPagingMember(name: string): boolean {
  const { next, nextUrl, total, pages } = NAMES
  return [next, nextUrl, total, pages, ['hasmore', 'hasnext', 'more']].some((names) => names.includes(bare(name)))
}

/** The first page's number, as prose says it. */
export function firstPageOf(text: string): number | null {
  const found =
    /(?:first page (?:is|has (?:the )?number)|pages? (?:are|is) (?:numbered|counted) from|starts? (?:at|with|from)(?: page)?)\s*[`"']?([01])\b/i.exec(
      text,
    )
  if (found) return Number(found[1])
  if (/zero-(?:based|indexed)|0-(?:based|indexed)/i.test(text)) return 0
  return /one-(?:based|indexed)|1-(?:based|indexed)/i.test(text) ? 1 : null
}
