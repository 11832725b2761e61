// Facts of many chunks as those of one documentation. What was said first about a thing holds; what is missing there is
// filled in from the others. The caller puts the more certain facts in front.
import { type Attribute, type Endpoint, type Facts, noFacts } from '../extract/facts.js'
import { normal } from '../extract/words.js'

export function mergeFacts(all: readonly Facts[]): Facts {
  const merged = noFacts()
  const classes = new Map<string, Facts['objectClasses'][number]>()
  const endpoints = new Map<string, Endpoint>()
  for (const facts of all) {
    merged.baseUrls = unique([...merged.baseUrls, ...facts.baseUrls])
    merged.auth = uniqueBy([...merged.auth, ...facts.auth], ({ kind, name }) => `${kind} ${name ?? ''}`)
    mergePaging(merged.paging, facts.paging)
    for (const one of facts.objectClasses) mergeClass(classes, one)
    for (const one of facts.endpoints) {
      const known = endpoints.get(`${one.method} ${one.path}`)
      endpoints.set(`${one.method} ${one.path}`, known ? mergeEndpoint(known, one) : one)
    }
  }
  merged.objectClasses = [...new Set(classes.values())]
  merged.endpoints = [...endpoints.values()]
  return merged
}

function mergePaging(into: Facts['paging'], from: Facts['paging']): void {
  into.parameters = uniqueBy([...into.parameters, ...from.parameters], ({ name }) => name)
  into.members = uniqueBy([...into.members, ...from.members], ({ path }) => path.join('.'))
  into.linkHeader ||= from.linkHeader
  into.firstPage ??= from.firstPage
}

function mergeClass(classes: Map<string, Facts['objectClasses'][number]>, one: Facts['objectClasses'][number]): void {
  const names = [one.name, ...one.aliases].map(normal)
  const known = names.map((name) => classes.get(name)).find(Boolean)
  const merged = known ?? { ...one, attributes: [] }
  merged.aliases = unique([...merged.aliases, ...one.aliases, ...(one.name === merged.name ? [] : [one.name])])
  merged.description ??= one.description
  merged.bodyKnown ||= one.bodyKnown
  merged.attributes = mergeAttributes([...merged.attributes, ...one.attributes])
  for (const name of names) classes.set(name, merged)
}

function mergeAttributes(all: readonly Attribute[]): Attribute[] {
  const merged = new Map<string, Attribute>()
  for (const one of all) {
    const known = merged.get(one.name)
    merged.set(one.name, known ? mergeAttribute(known, one) : { ...one })
  }
  return [...merged.values()]
}

function mergeAttribute(first: Attribute, then: Attribute): Attribute {
  return {
    name: first.name,
    type: first.type === 'unknown' ? then.type : first.type,
    items: first.items ?? then.items,
    required: first.required ?? then.required,
    readonly: first.readonly ?? then.readonly,
    values: first.values ?? then.values,
    description: first.description ?? then.description,
  }
}

function mergeEndpoint(first: Endpoint, then: Endpoint): Endpoint {
  return {
    ...first,
    objectClass: first.objectClass ?? then.objectClass,
    operation: first.operation ?? then.operation,
    parameters: uniqueBy([...first.parameters, ...then.parameters], ({ name }) => name),
    answerPath: first.answerPath ?? then.answerPath,
    bodyPath: first.bodyPath ?? then.bodyPath,
    members: uniqueBy([...first.members, ...then.members], ({ path }) => path.join('.')),
  }
}

const unique = (all: string[]) => [...new Set(all)]

function uniqueBy<T>(all: readonly T[], key: (one: T) => string): T[] {
  return [...new Map(all.toReversed().map((one) => [key(one), one])).values()].toReversed()
}
