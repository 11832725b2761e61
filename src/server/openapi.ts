/**
 * The OpenAPI 3.1 document, made from the table of routes and the named schemas, so that it cannot say anything else
 * than what is served. Made once, when it is first asked for.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type ErrorCode, PROBLEMS } from '../core/index.js'
import { COMMON_RESPONSE_HEADERS, DESCRIPTION, REQUEST_HEADERS, RESPONSE_HEADERS, TAGS } from './openapi-text.js'
import { webhookDocs } from './openapi-webhooks.js'
import type { Settings } from './options.js'
import type { QueryParam } from './query.js'
import type { ResponseDoc, Route } from './route.js'
import { type ComponentName, components } from './schemas/index.js'

type Doc = Record<string, unknown>

const PREFIX = '#/components/schemas/'
/** Given by every route that asks for credentials. */
const ALWAYS: ErrorCode[] = [
  'malformed-request',
  'unauthenticated',
  'forbidden',
  'host-not-allowed',
  'internal',
  'store-unavailable',
  'draining',
]
/** Given by every route, credentials or not. */
const EVEN_OPEN: ErrorCode[] = ['malformed-request', 'internal']
/** Given by every route that takes JSON. */
const WITH_BODY: ErrorCode[] = ['payload-too-large', 'unsupported-media-type', 'validation-failed']

export function openapiDocument(
  routes: readonly Route[],
  settings: Pick<Settings, 'base' | 'version' | 'info'>,
): { text: string; etag: string } {
  const text = JSON.stringify(buildOpenapi(routes, settings))
  return { text, etag: `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"` }
}

export function buildOpenapi(routes: readonly Route[], settings: Pick<Settings, 'base' | 'version' | 'info'>): Doc {
  const paths: Record<string, Doc> = {}
  for (const route of routes) {
    const item = (paths[route.path] ??= {})
    item[route.method.toLowerCase()] = operation(route)
  }
  return {
    openapi: '3.1.1',
    info: {
      ...(settings.info ?? { title: 'Untildone', version: settings.version }),
      summary: 'Long-running jobs that end in one true state.',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: settings.base === '' ? '/' : settings.base, description: 'This server' }],
    security: [{ bearer: [] }],
    tags: [...TAGS, ...facadeTags(routes)],
    paths,
    webhooks: webhookDocs(ref('WebhookEvent')),
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key. Not needed while the server has none; it answers its own machine only then.',
        },
      },
      schemas: schemas(),
      responses: problemResponses(routes),
      // Every problem is written once; operations refer to it.
      examples: Object.fromEntries([...codesOf(routes)].sort().map((code) => [code, { value: problemExample(code) }])),
      parameters: Object.fromEntries(
        Object.entries(REQUEST_HEADERS).map(([name, header]) => [
          component(name),
          {
            name,
            in: 'header',
            required: false,
            description: header.description,
            schema: { type: 'string' },
            example: header.example,
          },
        ]),
      ),
      headers: Object.fromEntries(
        Object.entries(RESPONSE_HEADERS).map(([name, header]) => [
          component(name),
          { description: header.description, schema: { type: 'string' }, example: header.example },
        ]),
      ),
    },
  }
}

const KEPT = 'An API that is kept for its clients, over the same jobs.'

/** Facades come with the configuration, so their tags are known only by their routes. */
function facadeTags(routes: readonly Route[]): { name: string; description: string }[] {
  const known = new Set<string>(TAGS.map(({ name }) => name))
  const more = new Map(
    routes.filter(({ tag }) => !known.has(tag)).map(({ tag, tagDescription }) => [tag, tagDescription]),
  )
  return Array.from(more, ([name, description = KEPT]) => ({ name, description }))
}

function operation(route: Route): Doc {
  const open = route.scope === 'none'
  const scopes = Array.isArray(route.scope) ? (route.scope as readonly string[]) : []
  const needs = open
    ? ''
    : scopes.length === 0
      ? '\n\nAny valid key.'
      : `\n\nNeeds the scope ${scopes.map((s) => `\`${s}\``).join(' or ')}.`
  const doc: Doc = {
    operationId: route.id,
    summary: route.summary,
    description: route.description + needs,
    tags: [route.tag],
    parameters: [
      ...pathParameters(route),
      ...queryParameters(route),
      ...(route.headers ?? []).map((name) => ({ $ref: `#/components/parameters/${component(name)}` })),
    ],
    responses: merged(answers(route), problems(route)),
  }
  if (open) doc.security = []
  else doc['x-required-scopes'] = scopes
  if (route.body) {
    const { component: name, required, examples } = route.body
    const media: Doc = { schema: schemaOf(name) }
    if (examples) media.examples = Object.fromEntries(Object.entries(examples).map(([key, value]) => [key, { value }]))
    doc.requestBody = {
      required: required !== false,
      content: { 'application/json': media },
    }
  }
  if (route.rawBody) {
    doc.requestBody = {
      required: true,
      description: route.rawBody.description,
      content: { 'application/octet-stream': {} },
    }
  }
  return doc
}

function pathParameters(route: Route): Doc[] {
  return Object.entries(route.params ?? {}).map(([name, param]) => ({
    name,
    in: 'path',
    required: true,
    description: param.description,
    schema: { type: 'string' },
    example: param.example,
  }))
}

function queryParameters(route: Route): Doc[] {
  return Object.entries(route.query ?? {}).map(([name, given]) => {
    const param = given as QueryParam
    const schema = param.reading === 'instant' ? { type: 'string', format: 'date-time' } : toSchema(param.schema)
    const doc: Doc = { name, in: 'query', required: false, description: param.description, schema }
    if (param.reading === 'list') Object.assign(doc, { style: 'form', explode: false })
    if (param.example !== undefined) doc.example = param.example
    return doc
  })
}

function answers(route: Route): Doc {
  return Object.fromEntries(
    Object.entries(route.responses).map(([status, response]) => [status, answer(response as ResponseDoc)]),
  )
}

function answer(response: ResponseDoc): Doc {
  const doc: Doc = { description: response.description, headers: headerRefs(response.headers ?? []) }
  const content: Doc = {}
  if (response.schema !== undefined) {
    const media: Doc = { schema: schemaOf(response.schema) }
    if (response.example !== undefined) media.example = response.example
    content[response.contentType ?? 'application/json'] = media
  }
  for (const [type, schema] of Object.entries(response.also ?? {})) content[type] = { schema }
  if (Object.keys(content).length > 0) doc.content = content
  return doc
}

function headerRefs(names: readonly string[]): Doc {
  return Object.fromEntries(
    [...COMMON_RESPONSE_HEADERS, ...names].map((name) => [name, { $ref: `#/components/headers/${component(name)}` }]),
  )
}

/** What a route can refuse with: its own codes and those of every route like it. */
export function problemsOf(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>([...route.problems, ...(route.scope === 'none' ? EVEN_OPEN : ALWAYS)])
  if (route.body) for (const code of WITH_BODY) codes.add(code)
  return [...codes].filter((code) => !route.reshaped?.has(code))
}

function codesOf(routes: readonly Route[]): Set<ErrorCode> {
  return new Set(routes.flatMap(problemsOf))
}

/** One response per status, named by the codes that lead to it: most routes share them. */
function problems(route: Route): Doc {
  return Object.fromEntries(
    problemGroups(route).map(([status, codes]) => [
      status,
      // Beside an answer of the same status it is written out.
      status in route.responses ? refusal(codes) : { $ref: `#/components/responses/${groupName(codes)}` },
    ]),
  )
}

function problemGroups(route: Route): [number, ErrorCode[]][] {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of problemsOf(route).sort()) {
    const { status } = PROBLEMS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return [...byStatus].sort(([a], [b]) => a - b)
}

const groupName = (codes: readonly ErrorCode[]) => codes.join('.')

function problemResponses(routes: readonly Route[]): Doc {
  const groups = new Map<string, ErrorCode[]>()
  for (const route of routes)
    for (const [status, codes] of problemGroups(route))
      if (!(status in route.responses)) groups.set(groupName(codes), codes)
  return Object.fromEntries(
    [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, codes]) => [name, refusal(codes)]),
  )
}

function refusal(codes: readonly ErrorCode[]): Doc {
  return {
    description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('\n\n'),
    headers: headerRefs(codes.some((code) => PROBLEMS[code].retryable) ? ['Retry-After'] : []),
    content: {
      'application/problem+json': {
        schema: ref('Problem'),
        examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
      },
    },
  }
}

function problemExample(code: ErrorCode): Doc {
  const { status, title, fix, retryable } = PROBLEMS[code]
  return {
    type: `urn:untildone:problem:${code}`,
    title,
    status,
    detail: title,
    instance: 'urn:untildone:request:req_4f1c7ad09b1',
    code,
    retryable,
    retryAfterMs: retryable ? 1000 : null,
    fix,
    docs: `/problems/${code}`,
    errors: [],
    params: {},
  }
}

/** Where an answer and a problem share a status, both are shown. */
function merged(answers: Doc, problems: Doc): Doc {
  const both = { ...answers, ...problems }
  for (const status of Object.keys(answers)) {
    const [one, other] = [answers[status] as Doc, problems[status] as Doc | undefined]
    if (!other) continue
    both[status] = {
      description: `${one.description}\n\n${other.description}`,
      headers: { ...(one.headers as Doc), ...(other.headers as Doc) },
      content: sideBySide((one.content ?? {}) as Record<string, Media>, other.content as Record<string, Media>),
    }
  }
  return both
}

type Media = { schema: Doc; examples?: unknown }

/** An answer of its own may be a problem too, of another form. */
function sideBySide(one: Record<string, Media>, other: Record<string, Media>): Doc {
  const both: Record<string, Media> = { ...one, ...other }
  for (const [type, media] of Object.entries(one)) {
    const more = other[type]
    if (more) both[type] = { ...more, schema: { anyOf: [media.schema, more.schema] } }
  }
  return both
}

function schemaOf(schema: ComponentName | Doc): Doc {
  return typeof schema === 'string' ? ref(schema) : schema
}

function ref(name: ComponentName): Doc {
  return { $ref: PREFIX + name }
}

/** Names of components hold no other characters than letters. */
function component(name: string): string {
  return name.replaceAll('-', '')
}

function schemas(): Record<string, unknown> {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(components)) registry.add(schema, { id })
  const all = z.toJSONSchema(registry, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    uri: (id) => PREFIX + id,
    override: tidy,
  }).schemas as Record<string, Doc>
  for (const schema of Object.values(all)) {
    delete schema.$id
    delete schema.$schema
  }
  return all
}

/** The JSON Schema of a schema that is no component, everything in place. */
export function toSchema(schema: z.ZodType): Doc {
  const json = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    override: tidy,
  }) as Doc
  delete json.$schema
  return json
}

/** Takes out what zod adds for itself and no reader needs: the bounds of a double. */
function tidy({ jsonSchema }: { jsonSchema: Record<string, any> }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}
