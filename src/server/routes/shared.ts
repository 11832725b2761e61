/** What several routes share: parameters, who may read, includes, links to the next page. */
import type { Caller, Include } from '../../engine/api.js'
import { READERS, requireScope } from '../auth.js'
import { accepts } from '../headers.js'
import { int, text } from '../query.js'
import { json, jsonText, NO_STORE, type Reply } from '../reply.js'
import type { Call } from '../route.js'

export { READERS }
export const INCLUDES = ['input', 'ops', 'steps', 'approvals'] as const satisfies readonly Include[]
export const JOB_ID = { id: { description: 'Id of the job.', example: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10' } }
export const LIMIT = int('Items per page. Larger than 200 counts as 200. Default 50.', 1, { example: 50 })

/** @throws UntildoneError forbidden */
export function checkInclude(caller: Caller, include: readonly Include[] = []): void {
  if (include.includes('ops')) requireScope(caller, ['jobs:operate'])
  if (include.includes('approvals')) requireScope(caller, ['approvals:read'])
  if (include.includes('input') || include.includes('steps')) requireScope(caller, ['jobs:read', 'jobs:operate'])
}

export const streamQuery = {
  after: text('Id of the last frame you have; for clients that cannot set headers.', 600),
  ticket: text('A ticket in place of a key: POST /v1/stream-tickets.', 8000),
}

/** What all streams say of their ends. */
export const STREAM_END =
  'after `age` (every 30 min), `drain`, `slow` and `error`, connect again; after `credential` with another key or ticket.'

/** Where the reader of a stream goes on. A browser that reconnects repeats the URL; its header is the newer one. */
export function lastSeen(call: Call<typeof streamQuery>): string | null {
  const last = call.request.headers.get('last-event-id') ?? call.query.after ?? ''
  return last === '' ? null : last
}

/** `Link: rel="next"` of a page, or nothing when it was the last. */
export function nextLink(call: Call<any>, parameter: string, cursor: string | null): Record<string, string> {
  if (cursor === null) return {}
  const url = new URL(call.request.url)
  url.searchParams.set(parameter, cursor)
  const { base } = call.server.settings
  const path = base !== '' && !url.pathname.startsWith(`${base}/`) ? base + url.pathname : url.pathname
  return { Link: `<${path}${url.search}>; rel="next"` }
}

const JSON_LINES = ['application/jsonl', 'application/x-ndjson', 'application/x-jsonlines']

/** A page as JSON, or with `Accept: application/jsonl` one item per line. */
export function pageReply(
  call: Call<any>,
  page: { items: readonly unknown[]; nextCursor: string | null },
  more: Record<string, string>,
): Reply {
  const headers = { 'Cache-Control': NO_STORE, Vary: 'Authorization, Accept', ...more }
  const accept = call.request.headers.get('accept')
  if (!JSON_LINES.some((type) => accepts(accept, type))) return json(page, 200, headers)
  const lines = page.items.map((item) => `${JSON.stringify(item)}\n`).join('')
  return { ...jsonText(lines, 200, headers), headers: { ...headers, 'Content-Type': 'application/jsonl' } }
}
