// Endpoints by their shape: what `GET /v2/customers/{id}` is for, and of which object class.
import type { Endpoint, Operation } from './facts.js'
import { className } from './words.js'

const PARAMETER = /^(\{[^}]+\}|:[\w-]+|<[^>]+>)$/

/** One way to write parameters: `/customers/{id}`; without a query and a slash at the end. */
export function tidyPath(path: string): string {
  const bare = path.replace(/[?#].*$/, '').replace(/\/+$/, '')
  return bare.replace(/\/(?::([\w-]+)|<([^>]+)>)/g, (_, colon, angle) => `/{${colon ?? angle}}`) || '/'
}

/** Class and operation of an endpoint; null where it is none of the five or belongs to another object. */
export function purposeOf(
  method: Endpoint['method'],
  path: string,
): { objectClass: string | null; operation: Operation | null } {
  const segments = tidyPath(path).split('/').filter(Boolean)
  const parameters = segments.filter((segment) => PARAMETER.test(segment)).length
  const last = segments.at(-1) ?? ''
  const single = PARAMETER.test(last)
  const noun = segments.filter((segment) => !PARAMETER.test(segment)).at(-1)
  // `/customers/{id}/invoices` lists the invoices of one customer, not the invoices.
  if (!noun || parameters > 1 || (parameters === 1 && !single) || /\.\w+$/.test(noun))
    return { objectClass: null, operation: null }
  return { objectClass: className(noun), operation: operationOf(method, single) }
}

function operationOf(method: Endpoint['method'], single: boolean): Operation | null {
  if (!single) return method === 'GET' ? 'list' : method === 'POST' ? 'create' : null
  const ofOne = { GET: 'get', PUT: 'update', PATCH: 'update', POST: 'update', DELETE: 'delete' } as const
  return ofOne[method]
}
