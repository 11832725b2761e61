/**
 * The reference page and its files: Swagger UI from the package (copied at build to `dist/reference/`, taken from
 * node_modules in development), one small script of ours, and the pages of single problems. Nothing leaves the machine.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type ErrorCode, PROBLEMS } from '../core/index.js'

export interface Asset {
  bytes: Uint8Array
  contentType: string
  etag: string
}

/** Addresses are relative, so that the page works under any prefix. */
export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Untildone: API reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="reference"><noscript>The reference needs JavaScript. The description itself: <a href="openapi.json">openapi.json</a></noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`

/** Swagger UI sets style attributes from scripts, which needs no exception; icons in its style sheet are data: URLs. */
export const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** `validatorUrl: null` keeps Swagger UI from asking a public service about this server. */
const START = `window.ui = SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
})
`

const SCRIPT = 'text/javascript; charset=utf-8'
const STYLE = 'text/css; charset=utf-8'

const SOURCES: Record<string, { contentType: string; read: () => Promise<Uint8Array> }> = {
  'start.js': { contentType: SCRIPT, read: async () => Buffer.from(START) },
  'swagger-ui-bundle.js': { contentType: SCRIPT, read: () => swaggerFile('swagger-ui-bundle.js') },
  'swagger-ui.css': { contentType: STYLE, read: () => swaggerFile('swagger-ui.css') },
}

const loaded = new Map<string, Promise<Asset>>()

/** One file of the reference page, or null. Read once and kept. */
export function docsAsset(name: string): Promise<Asset | null> {
  if (!Object.hasOwn(SOURCES, name)) return Promise.resolve(null)
  const known = loaded.get(name)
  if (known) return known
  const asset = load(name)
  loaded.set(name, asset)
  // A file that could not be read may be there next time.
  asset.catch(() => loaded.delete(name))
  return asset
}

async function load(name: string): Promise<Asset> {
  const { contentType, read } = SOURCES[name]!
  const bytes = await read()
  return { bytes, contentType, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` }
}

async function swaggerFile(name: string): Promise<Uint8Array> {
  try {
    return await readFile(new URL(`../reference/${name}`, import.meta.url))
  } catch {
    // Not built: in the repository the development dependency has it.
    return readFile(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`))
  }
}

export const PROBLEM_CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The page of one problem; without styles, so that its policy can forbid everything. */
export function problemPage(code: ErrorCode, base: string): string {
  const { status, title, fix, retryable } = PROBLEMS[code]
  const again = retryable
    ? 'Yes: send the same request again after Retry-After.'
    : 'No: the same request gets the same answer.'
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(code)}</title></head>
<body>
<h1>${escapeHtml(code)}</h1>
<p>${escapeHtml(title)}</p>
<dl>
<dt>What to do</dt><dd>${escapeHtml(fix)}</dd>
<dt>Does repeating help</dt><dd>${escapeHtml(again)}</dd>
<dt>HTTP status</dt><dd>${status}</dd>
</dl>
<p><a href="${escapeHtml(base)}/docs">API reference</a></p>
</body>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}
