/**
 * /openapi.json, /docs and /problems/{slug}: the reference, served from this process. Pages load nothing from elsewhere,
 * run no inline script, and show foreign text only as text.
 */
import { type ErrorCode, PROBLEMS, UntildoneError } from '../../core/index.js'
import { accepts, matches } from '../headers.js'
import { type Asset, DOCS_CSP, DOCS_PAGE, docsAsset, PROBLEM_CSP, problemPage } from '../reference.js'
import { empty, json, jsonText, type Reply } from '../reply.js'
import { type Route, route } from '../route.js'

const HTML = 'text/html; charset=utf-8'

export const referenceRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/openapi.json',
    id: 'getOpenapi',
    tag: 'Server',
    scope: 'none',
    summary: 'This description (OpenAPI 3.1)',
    description: 'Made from the same table as the server itself.',
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'The document.', schema: { type: 'object' }, headers: ['ETag'] },
      304: { description: 'Nothing changed.', headers: ['ETag'] },
    },
    problems: [],
    handler: ({ server, request }) => {
      const { text, etag } = server.openapi()
      const headers = { ETag: etag, 'Cache-Control': 'public, max-age=60' }
      return matches(request.headers.get('if-none-match'), etag) ? empty(304, headers) : jsonText(text, 200, headers)
    },
  }),
  route({
    method: 'GET',
    path: '/docs',
    id: 'getDocs',
    tag: 'Server',
    scope: 'none',
    summary: 'The reference as a page',
    description: 'For people. Works offline.',
    responses: { 200: { description: 'The page.', contentType: HTML, schema: { type: 'string' } } },
    problems: [],
    handler: () => page(DOCS_PAGE, DOCS_CSP),
  }),
  route({
    method: 'GET',
    path: '/docs/{asset}',
    id: 'getDocsAsset',
    tag: 'Server',
    scope: 'none',
    summary: 'Scripts and styles of the reference page',
    description: 'Three files, named in the page.',
    params: { asset: { description: 'Name of the file.', example: 'swagger-ui.css' } },
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'The file.', contentType: 'text/javascript', schema: { type: 'string' }, headers: ['ETag'] },
      304: { description: 'Nothing changed.', headers: ['ETag'] },
    },
    problems: ['not-found'],
    handler: async ({ params, request }) => {
      const found: Asset | null = await docsAsset(params.asset!)
      if (!found) throw new UntildoneError('not-found', 'The reference page has no such file.')
      const headers = { ETag: found.etag, 'Cache-Control': 'public, max-age=3600', 'Content-Type': found.contentType }
      if (matches(request.headers.get('if-none-match'), found.etag)) return empty(304, headers)
      return { status: 200, headers, body: found.bytes }
    },
  }),
  route({
    method: 'GET',
    path: '/problems/{slug}',
    id: 'getProblem',
    tag: 'Server',
    scope: 'none',
    summary: 'What an error code means',
    description: 'As a page for browsers, as JSON for everybody else.',
    params: { slug: { description: 'The `code` of a problem.', example: 'idempotency-key-reused' } },
    responses: {
      200: {
        description: 'The entry of the registry.',
        schema: {
          type: 'object',
          properties: {
            code: { type: 'string' },
            status: { type: 'integer' },
            retryable: { type: 'boolean' },
            title: { type: 'string' },
            fix: { type: 'string' },
          },
          required: ['code', 'status', 'retryable', 'title', 'fix'],
        },
        also: { [HTML]: { type: 'string' } },
      },
    },
    problems: ['not-found'],
    handler: ({ params, request, server }) => {
      const slug = params.slug!
      if (!Object.hasOwn(PROBLEMS, slug)) {
        throw new UntildoneError('not-found', `There is no problem "${slug.slice(0, 100)}".`, {
          fix: 'The codes are listed in /openapi.json.',
        })
      }
      const code = slug as ErrorCode
      const { status, retryable, title, fix } = PROBLEMS[code]
      const headers = { 'Cache-Control': 'public, max-age=60', Vary: 'Accept' }
      if (!accepts(request.headers.get('accept'), 'text/html'))
        return json({ code, status, retryable, title, fix }, 200, headers)
      const shown = page(problemPage(code, server.settings.base), PROBLEM_CSP)
      return { ...shown, headers: { ...shown.headers, ...headers } }
    },
  }),
]

function page(html: string, csp: string): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': HTML, 'Cache-Control': 'public, max-age=60', 'Content-Security-Policy': csp },
    body: html,
  }
}
