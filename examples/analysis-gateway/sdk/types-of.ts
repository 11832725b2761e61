// TypeScript types of the gateway's own addresses, made from the document that it serves. Not a part of the SDK.
import openapiTS, { astToString } from 'openapi-typescript'
import { sqlite } from 'untildone'
import { start } from '../start.js'

type Doc = Record<string, any>

export async function servedTypes(): Promise<string> {
  const running = await start({ store: sqlite(':memory:'), roles: ['api'] })
  try {
    const document = await (await fetch(`${running.url}/openapi.json`)).json()
    const header = '// Made by sdk/generate.mjs from /openapi.json of the gateway. Not written by hand.\n'
    return header + astToString(await openapiTS(ownPart(document)))
  } finally {
    await running.stop()
  }
}

/** The document without the native part, and without components that nothing of the rest refers to. */
function ownPart({ paths, components, webhooks: _webhooks, ...rest }: Doc): any {
  const own = Object.fromEntries(Object.entries<Doc>(paths).filter(([path]) => path.startsWith('/api/')))
  const kept: Record<string, Doc> = {}
  const take = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const member of Object.values(value)) take(member)
    const [, kind, name] = /^#\/components\/(\w+)\/(.+)$/.exec((value as { $ref?: string }).$ref ?? '') ?? []
    if (!kind || !name || kept[kind]?.[name]) return
    kept[kind] = { ...kept[kind], [name]: components[kind][name] }
    take(components[kind][name])
  }
  take(own)
  return { ...rest, paths: own, components: { ...kept, securitySchemes: components.securitySchemes } }
}
