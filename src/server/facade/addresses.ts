/**
 * Where a facade answers: paths that can be, that nobody else has, and that lead to one route each. Also the address of a
 * job in its facade, for `Location`.
 */
import type { WireJob } from '../../core/index.js'
import type { Route } from '../route.js'
import { routeName, wrong } from './check.js'
import { paramNames } from './compile.js'
import type { Facade, FacadeRoute, GetRoute, SubmitRoute } from './facade.js'
import { own } from './template.js'

const PATH = /^(\/([A-Za-z0-9._~-]+|\{[A-Za-z]\w*\}))+$/

/** @throws UntildoneError bad-definition */
export function checkPaths(facades: readonly Facade[], native: readonly Route[]): void {
  const taken = new Map<string, { path: string; methods: Map<string, string> }>()
  for (const facade of facades) {
    for (const route of facade.routes) {
      const where = routeName(facade, route)
      const { path } = route
      if (!PATH.test(path) || /\/\.{1,2}(\/|$)/.test(path)) {
        wrong(
          where,
          '`path` must be like /jobs/{jobId}: a leading slash, none at the end, a parameter is a whole segment',
        )
      }
      if (/^\/v1(\/|$)/i.test(path))
        wrong(where, '`path` is under /v1, where the native API is; move the native one with `basePath`, or this one')
      const other = native.find((one) => meet(one.path, path))
      if (other) wrong(where, `\`path\` is an address of the server itself (${other.path})`)
      const names = paramNames(path)
      if (new Set(names).size < names.length) wrong(where, '`path` has two parameters of one name')
      const shape = path.replace(/\{\w+\}/g, '{}')
      const known = taken.get(shape) ?? { path, methods: new Map<string, string>() }
      if (known.path !== path)
        wrong(where, `\`path\` is the same as ${known.path} with other names; call the parameters the same`)
      const before = known.methods.get(route.method)
      if (before !== undefined) wrong(where, `this method and path are taken already, by facade "${before}"`)
      known.methods.set(route.method, facade.name)
      taken.set(shape, known)
    }
  }
}

/** True when one address can be of both. */
function meet(one: string, other: string): boolean {
  const [a, b] = [one.split('/'), other.split('/')]
  return a.length === b.length && a.every((segment, i) => segment === b[i] || segment[0] === '{' || b[i]![0] === '{')
}

/** Fixed segments before parameters: /jobs/latest wins over /jobs/{jobId}, in whatever order they were written. */
export function bySpecificity(a: { path: string }, b: { path: string }): number {
  const key = (path: string) =>
    path
      .split('/')
      .map((segment) => (segment.startsWith('{') ? '1' : '0'))
      .join('')
  return key(a.path) < key(b.path) ? -1 : key(a.path) > key(b.path) ? 1 : 0
}

/**
 * Where, below the mount prefix, the facade shows the status of a job that was submitted by `submit`: its `get` route for that type whose other
 * parameters the submit has as well, the one with the same path first. Null when it has none.
 */
export function locator(
  facade: Facade,
  submit: SubmitRoute,
): (job: WireJob, params: Record<string, string>) => string | null {
  const has = paramNames(submit.path)
  const fits = facade.routes.filter(
    (route): route is GetRoute =>
      route.op === 'get' &&
      route.method === 'GET' &&
      idPlace(route) !== null &&
      paramNames(route.path).every((name) => has.includes(name) || name === idPlace(route)!.param) &&
      sameType(route, submit),
  )
  const get = fits.find(({ path }) => path === submit.path) ?? fits[0]
  if (!get) return () => null
  const { param, query } = idPlace(get)!
  return (job, params) => {
    const values: Record<string, string> = param === undefined ? params : { ...params, [param]: job.id }
    const path = get.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(own(values, [name]))))
    return `${path}${query === undefined ? '' : `?${query}=${job.id}`}`
  }
}

function idPlace({ jobId }: GetRoute): { param?: string; query?: string } | null {
  const match = /^\$req\.(params|query)\.([\w-]+)$/.exec(jobId ?? '')
  return match ? { [match[1] === 'params' ? 'param' : 'query']: match[2]! } : null
}

/** A route for another type would not find the job. */
function sameType({ latestOf }: FacadeRoute & { op: 'get' }, { map }: SubmitRoute): boolean {
  return latestOf === undefined || latestOf.type.startsWith('$') || latestOf.type === map.type
}
