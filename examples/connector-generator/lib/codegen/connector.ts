// A connector as files: the runtime, which is the same for all, one file for each object class, and the entry that puts
// them together. A pure function of the digested object classes.
import { readFileSync } from 'node:fs'
import type { ObjectClass } from '../digest/object-class.js'
import { classFile } from './class-file.js'
import { literal, type Names, namesFor } from './names.js'

export interface SourceFile {
  path: string
  content: string
}

const RUNTIME = ['http.ts', 'paging.ts']
const PACKAGE = { name: 'connector', private: true, type: 'module', exports: './index.ts' }

/** @param sources addresses of the documentation, for whoever reads the connector */
export function connectorFiles(classes: readonly ObjectClass[], sources: readonly string[]): SourceFile[] {
  const names = namesFor(classes.map(({ name }) => name))
  const runtime = RUNTIME.map((path) => ({
    path,
    content: readFileSync(new URL(`./runtime/${path}`, import.meta.url), 'utf8'),
  }))
  const own = classes.map((one, index) => ({
    path: `${names[index]!.file}.ts`,
    content: classFile(one, names[index]!),
  }))
  return [
    ...runtime,
    ...own,
    { path: 'index.ts', content: head(sources) + entry(classes, names) },
    { path: 'package.json', content: `${JSON.stringify(PACKAGE, null, 2)}\n` },
  ]
}

function head(sources: readonly string[]): string {
  const lines = sources.map((url) => `//   ${url.replace(/\s/g, ' ')}\n`)
  return `// Made from documentation:\n${lines.join('')}`
}

/** What the caller must bring, and what is made of it. */
const CREDENTIALS = {
  header: {
    fields: 'apiKey: string',
    headers: (name: string) => `{ ${literal(name)}: options.apiKey }`,
    query: () => '{}',
  },
  query: {
    fields: 'apiKey: string',
    headers: () => '{}',
    query: (name: string) => `{ ${literal(name)}: options.apiKey }`,
  },
  bearer: { fields: 'token: string', headers: () => "{ authorization: 'Bearer ' + options.token }", query: () => '{}' },
  basic: {
    fields: 'username: string\n  password: string',
    headers: () => "{ authorization: 'Basic ' + basic(options.username + ':' + options.password) }",
    query: () => '{}',
  },
  none: { fields: '', headers: () => '{}', query: () => '{}' },
}

const BASIC = `
/** Also for names and passwords beyond Latin letters. */
function basic(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
}
`

function entry(classes: readonly ObjectClass[], names: readonly Names[]): string {
  const { auth, baseUrl } = classes[0]!
  const { fields, headers, query } = CREDENTIALS[auth.kind]
  const name = 'name' in auth ? auth.name : ''
  const imports = names.map(({ api, file }) => `import { ${api} } from './${file}.js'`)
  const exports = names.map(({ file }) => `export * from './${file}.js'`)
  const schemas = Object.fromEntries(
    classes.map(({ name, idAttribute, attributes }) => [name, { idAttribute, attributes }]),
  )
  const base = baseUrl
    ? `  /** @default ${literal(baseUrl).replaceAll('*/', '')} */\n  baseUrl?: string`
    : '  /** Where the API is; its documentation does not say. */\n  baseUrl: string'
  return `${[...imports, "import { Http, type HttpOptions } from './http.js'"].join('\n')}

${[...exports, "export { ConnectorError } from './http.js'"].join('\n')}

export interface ConnectorOptions extends Omit<HttpOptions, 'baseUrl' | 'headers' | 'query'> {
${[fields && `  ${fields}`, base].filter(Boolean).join('\n')}
}

export function createConnector(options: ConnectorOptions) {
  const http = new Http({
    ...options,
    baseUrl: ${baseUrl ? `options.baseUrl ?? ${literal(baseUrl)}` : 'options.baseUrl'},
    headers: ${headers(name)},
    query: ${query(name)},
  })
  return {
${names.map(({ member, api }) => `    ${member}: new ${api}(http),`).join('\n')}
  }
}
${auth.kind === 'basic' ? BASIC : ''}
/** The object classes as they were found in the documentation. */
export const objectClasses = ${JSON.stringify(schemas, null, 2)} as const
`
}
