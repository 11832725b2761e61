// Facts of one path of an OpenAPI document. Everything here was said by the document; nothing is guessed from prose.
import type { Chunk } from '../docs/chunks.js'
import { type Endpoint, type Facts, noFacts, type Operation, type Parameter } from './facts.js'
import { purposeOf, tidyPath } from './paths.js'
import { attributesOf, kindOf, listIn, pagingMembers, shapeOf, unwrap } from './schema.js'
import { withoutRole } from './words.js'

type OpenApiChunk = Extract<Chunk, { kind: 'openapi' }>
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

export function factsOfOpenApi(chunk: OpenApiChunk): Facts {
  const facts = noFacts()
  facts.baseUrls = chunk.servers.flatMap((server) => serverUrl(server, chunk.url))
  for (const method of METHODS) {
    const operation = chunk.item[method]
    if (!operation) continue
    facts.auth.push(...authOf(chunk, operation))
    addEndpoint(facts, chunk, method.toUpperCase() as Endpoint['method'], operation)
  }
  return facts
}

function addEndpoint(facts: Facts, chunk: OpenApiChunk, method: Endpoint['method'], operation: any): void {
  const path = tidyPath(chunk.path)
  const { objectClass, operation: purpose } = purposeOf(method, path)
  const response = Object.entries<any>(operation.responses ?? {}).find(([status]) => /^2/.test(status))?.[1]
  const answer = jsonOf(response)
  const body = jsonOf(operation.requestBody)
  const list = purpose === 'list' ? listIn(answer) : null
  // A GET that lists nothing is no list, and what is sent or answered in another form than JSON is no object: a status
  // page, an upload, a download.
  const isOther = holdsOther(operation.requestBody) || holdsOther(response)
  const known = isOther || (purpose === 'list' && !list) ? null : purpose
  const single = known && known !== 'list' && answer ? unwrap(answer, objectClass ?? '') : null
  const sent = body && (known === 'create' || known === 'update') ? unwrap(body, objectClass ?? '') : null
  facts.endpoints.push({
    method,
    path,
    objectClass: known ? objectClass : null,
    operation: known,
    parameters: parametersOf([...(chunk.item.parameters ?? []), ...(operation.parameters ?? [])]),
    answerPath: list?.path ?? single?.path ?? null,
    bodyPath: sent?.path ?? null,
    members: list ? pagingMembers(answer) : [],
  })
  if (known && objectClass) addClass(facts, objectClass, known, list?.item ?? single?.schema, sent?.schema)
}

function addClass(facts: Facts, name: string, operation: Operation, answer: any, body: any): void {
  const back = answer && kindOf(answer) === 'object' ? shapeOf(answer) : null
  const sent = body ? shapeOf(body) : null
  const schemaName = back?.name ? withoutRole(back.name) : null
  facts.objectClasses.push({
    name,
    aliases: schemaName && schemaName !== name ? [schemaName] : [],
    description: back?.description?.slice(0, 2000) ?? null,
    attributes: [
      ...(back ? attributesOf(back, 'answer') : []),
      ...(sent ? attributesOf(sent, operation === 'create' ? 'create' : 'update') : []),
    ],
    bodyKnown: sent !== null && Object.keys(sent.properties).length > 0,
  })
}

function parametersOf(parameters: any[]): Parameter[] {
  return parameters
    .filter((parameter) => parameter?.in === 'query' && typeof parameter.name === 'string')
    .map(({ name, description, schema }) => {
      const first = schema?.default ?? schema?.minimum
      return {
        name,
        description: String(description ?? '').slice(0, 2000),
        first: Number.isInteger(first) ? first : null,
      }
    })
}

/** The schema of the JSON in an answer or a request body. */
function jsonOf(part: any): any {
  const content = Object.entries<any>(part?.content ?? {})
  return content.find(([type]) => /\bjson\b/.test(type))?.[1]?.schema
}

/** Content, but none of it JSON. */
function holdsOther(part: any): boolean {
  const types = Object.keys(part?.content ?? {})
  return types.length > 0 && !types.some((type) => /\bjson\b/.test(type))
}

function authOf({ security, schemes }: OpenApiChunk, operation: any): Facts['auth'] {
  const wanted: Record<string, unknown>[] = operation.security ?? security
  const names = wanted.length > 0 ? wanted.flatMap((one) => Object.keys(one)) : Object.keys(schemes)
  return names.flatMap((name): Facts['auth'] => {
    const scheme = schemes[name]
    if (scheme?.type === 'apiKey' && (scheme.in === 'header' || scheme.in === 'query'))
      return [{ kind: scheme.in, name: String(scheme.name) }]
    if (scheme?.type === 'http' && /^basic$/i.test(scheme.scheme)) return [{ kind: 'basic', name: null }]
    // With OAuth and OpenID Connect the caller brings an access token.
    if (scheme?.type === 'http' || scheme?.type === 'oauth2' || scheme?.type === 'openIdConnect')
      return [{ kind: 'bearer', name: null }]
    return []
  })
}

function serverUrl(server: any, documentUrl: string): string[] {
  const filled = String(server?.url ?? '').replace(/\{([^}]+)\}/g, (_, name) => server.variables?.[name]?.default ?? '')
  if (filled === '' || !URL.canParse(filled, documentUrl)) return []
  return [new URL(filled, documentUrl).href.replace(/\/+$/, '')]
}
