/**
 * Who may import whom. Reads every import of src/ and names the forbidden edge together with the rule that it breaks.
 * To allow an edge, change the table below and say why; there are no exceptions elsewhere.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

type Sources = Map<string, string>
interface Rule {
  /** Areas of src/ that it may import. */
  uses: string[]
  /** Areas of which it may import types only. */
  types?: string[]
  /** Node modules: 'all', 'none', or these. */
  node: 'all' | string[]
  /** npm packages. */
  npm?: string[]
  why: string
}

const CONTRACTS = [
  ...['stores/store.ts', 'stores/jobs.ts', 'stores/resources.ts', 'stores/waits.ts', 'stores/failures.ts'],
  'stores/files.ts',
]
const TRANSPORT = 'transports/transport.ts'
const EVERYTHING = [
  ...[
    'core',
    'define',
    'engine',
    'stores/store.ts',
    'stores/jobs.ts',
    'stores/resources.ts',
    'stores/waits.ts',
    'stores/failures.ts',
    'stores/files.ts',
    'stores/sqlite',
    'stores/postgres',
    TRANSPORT,
  ],
  ...['process', 'worker', 'webhooks', 'server', 'client', 'system', 'testing', 'index.ts'],
]

const RULES: Record<string, Rule> = {
  core: { uses: [], node: [], why: 'core is pure: it imports nothing at all' },
  define: { uses: ['core'], node: [], npm: ['zod'], why: 'define is what users write and runs in a browser too' },
  'stores/failures.ts': { uses: ['core'], node: [], why: 'the store contract knows the core only' },
  'stores/jobs.ts': {
    uses: ['core', 'stores/waits.ts', 'stores/failures.ts'],
    node: [],
    why: 'the store contract knows the core only',
  },
  'stores/resources.ts': {
    uses: ['core', 'stores/jobs.ts'],
    node: [],
    why: 'the store contract knows the core only',
  },
  'stores/waits.ts': { uses: ['core'], node: [], why: 'the store contract knows the core only' },
  'stores/store.ts': {
    uses: ['core', 'stores/jobs.ts', 'stores/resources.ts', 'stores/waits.ts', 'stores/failures.ts'],
    node: [],
    why: 'the store contract knows the core only',
  },
  'stores/files.ts': { uses: ['core'], node: 'all', why: 'the file store knows the core only' },
  'stores/sql': {
    uses: ['core', ...CONTRACTS],
    node: [],
    why: 'the SQL store names no database: a driver hands it one',
  },
  'stores/sqlite': {
    uses: ['core', 'stores/sql', ...CONTRACTS],
    node: 'all',
    npm: ['@photostructure/sqlite'],
    why: 'a driver knows the SQL store, never a sibling or the engine',
  },
  'stores/postgres': {
    uses: ['core', 'stores/sql', ...CONTRACTS],
    node: 'all',
    npm: ['pg'],
    why: 'a driver knows the SQL store, never a sibling or the engine',
  },
  [TRANSPORT]: { uses: ['core'], node: [], why: 'the transport contract knows the core only' },
  'transports/bullmq': {
    uses: ['core', TRANSPORT],
    node: 'all',
    npm: ['bullmq', 'ioredis'],
    why: 'a transport carries hints: it knows no job, no store and no sibling',
  },
  engine: {
    uses: ['core', 'define', ...CONTRACTS],
    node: ['node:crypto'],
    npm: ['ajv', 'ajv-formats', 'croner'],
    why: 'the engine sees contracts, never an implementation',
  },
  process: { uses: [], node: 'all', why: 'process knows processes, not jobs and no store' },
  worker: {
    uses: ['core', 'define', 'engine', 'process', TRANSPORT, ...CONTRACTS],
    node: 'all',
    why: 'a worker runs what the engine hands it, over any store and any transport',
  },
  webhooks: {
    uses: ['core', 'define', 'engine', ...CONTRACTS],
    node: 'all',
    why: 'webhooks finds out who is told, and tells; who runs its jobs is none of its business',
  },
  server: {
    uses: ['core', 'engine'],
    types: ['define', ...CONTRACTS],
    node: 'all',
    npm: ['hono', '@hono/node-server', 'ws', 'zod'],
    why: 'the server translates between HTTP and the engine',
  },
  client: {
    uses: ['core'],
    types: ['define'],
    node: [],
    npm: ['eventsource-parser'],
    why: 'the client runs in any JavaScript runtime and holds no server code',
  },
  system: {
    uses: ['core'],
    node: 'all',
    npm: ['uuidv7'],
    why: 'system is the real clock and chance, handed in from outside',
  },
  cli: {
    uses: [...EVERYTHING, 'transports/bullmq'],
    node: 'all',
    npm: ['commander', 'jiti', 'picocolors', 'zod'],
    why: 'the cli keeps to commander, jiti and picocolors, and hands zod to job files',
  },
  testing: {
    uses: [...EVERYTHING, 'stores/sql'],
    node: 'all',
    npm: ['vitest', 'fast-check'],
    why: 'testing may name everything of ours, and vitest and fast-check in the conformance suite',
  },
  'isolated.ts': {
    uses: ['core', 'define', 'worker', 'cli'],
    node: 'all',
    why: 'the process of an isolated handler has its handler, the line to its worker, and the loader of job files',
  },
  'index.ts': {
    uses: EVERYTHING.filter((area) => area !== 'testing'),
    node: 'all',
    why: 'index.ts is the composition root',
  },
}
/** Besides the store of a server: its connections live in real time, whatever clock its rows are judged by. */
const PURE = /^(core|stores)\/(?!postgres\/(lines|doorbell)\.ts)/
const IMPURE = /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval)\b|\bnew Date\(\)/

/** `stores` and `transports` are one area per subfolder or file; elsewhere the first folder is the area. */
const areaOf = (file: string): string =>
  file
    .split('/')
    .slice(0, /^(stores|transports)\//.test(file) ? 2 : 1)
    .join('/')
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

interface Edge {
  file: string
  from: string
  to: string
  typeOnly: boolean
}

function edgesOf(sources: Sources): Edge[] {
  const found: Edge[] = []
  for (const [file, text] of sources) {
    // Plain JavaScript is left out of the build: fakes for tests, which import as tests do.
    if (file.endsWith('.mjs')) continue
    for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles) {
      const to = fileName.startsWith('.') ? areaOf(join(dirname(file), fileName).replace(/\.js$/, '.ts')) : fileName
      const statement = text
        .slice(0, pos)
        .split(/^(?=import\b|export\b)/m)
        .at(-1)!
      if (to !== areaOf(file))
        found.push({ file, from: areaOf(file), to, typeOnly: /^(import|export)\s+type\s/.test(statement) })
    }
  }
  return found
}

function breaches(sources: Sources): string[] {
  const problems: string[] = []
  for (const { file, from, to, typeOnly } of edgesOf(sources)) {
    const rule = RULES[from]
    if (!rule) problems.push(`src/${file}: "${from}" is not in the table of test/architecture.test.ts`)
    else if (!allowed(rule, to, typeOnly)) problems.push(`src/${file} imports ${to}: forbidden, because ${rule.why}`)
  }
  for (const [file, text] of sources) {
    const lines = text.split('\n').length
    if (lines > 500) problems.push(`src/${file} has ${lines} lines: a file fits on four screens (500 at most)`)
    const call = PURE.test(file) && IMPURE.exec(withoutComments(text))
    if (call) problems.push(`src/${file} uses ${call[0]}: time and chance come in from outside in core/ and stores/`)
  }
  return [...problems, ...circles(sources)]
}

function allowed(rule: Rule, to: string, typeOnly: boolean): boolean {
  if (to.startsWith('node:')) return rule.node === 'all' || rule.node.includes(to)
  if (to in RULES) return rule.uses.includes(to) || (typeOnly && (rule.types ?? []).includes(to))
  return (rule.npm ?? []).some((name) => to === name || to.startsWith(`${name}/`))
}

/** Two areas that reach each other, types included. */
function circles(sources: Sources): string[] {
  const next = new Map<string, Set<string>>()
  for (const { from, to } of edgesOf(sources)) if (to in RULES) next.set(from, (next.get(from) ?? new Set()).add(to))
  const reach = (start: string, seen = new Set<string>()): Set<string> => {
    for (const to of next.get(start) ?? []) if (!seen.has(to)) reach(to, seen.add(to))
    return seen
  }
  return Object.keys(RULES)
    .filter((area) => reach(area).has(area))
    .map((area) => `${area} imports itself by way of others: no cycles`)
}

function sourcesOf(root: string): Sources {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  const own = files
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /\.(ts|mjs)$/.test(file) && !/\.(test|generated)\.ts$|\/(fakes|fixtures)\//.test(file))
  return new Map(own.map((file) => [file, readFileSync(join(root, file), 'utf8')]))
}

describe('architecture', () => {
  const sources = sourcesOf(join(import.meta.dirname, '../src'))

  it('keeps every rule', () => {
    expect(sources.size).toBeGreaterThan(50)
    expect(breaches(sources)).toEqual([])
  })

  it('imports each optional peer in exactly one folder', () => {
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))
    for (const peer of Object.keys(manifest.peerDependenciesMeta ?? {})) {
      const folders = new Set(
        edgesOf(sources)
          .filter(({ to }) => to === peer || to.startsWith(`${peer}/`))
          .map(({ from }) => from),
      )
      expect([...folders], peer).toHaveLength(1)
    }
  })

  it.each([
    ['core/new.ts', `import { readFileSync } from 'node:fs'`, /core\/new\.ts imports node:fs.*imports nothing at all/],
    [
      'engine/new.ts',
      `import {\n  sqlite,\n} from '../stores/sqlite/index.js'`,
      /imports stores\/sqlite.*never an implementation/,
    ],
    ['client/new.ts', `export * from '../define/index.js'`, /imports define.*any JavaScript runtime/],
    ['client/new.ts', `const fs = await import('node:fs')`, /imports node:fs/],
    ['worker/new.ts', `import { Pool } from 'pg'`, /imports pg/],
    [
      'worker/new.ts',
      `import { bullmq } from '../transports/bullmq/index.js'`,
      /imports transports\/bullmq.*over any store and any transport/,
    ],
    ['transports/bullmq/new.ts', `import type { Store } from '../../stores/store.js'`, /knows no job, no store/],
    ['webhooks/new.ts', `import { Worker } from '../worker/worker.js'`, /imports worker.*none of its business/],
    ['core/new.ts', `export type { Engine } from '../engine/api.js'`, /engine imports itself by way of others/],
    ['stores/sql/new.ts', 'const at = Date.now()', /uses Date\.now: time and chance/],
    ['core/new.ts', '\n'.repeat(501), /has 502 lines/],
    ['client/new.mjs', '\n'.repeat(501), /has 502 lines/],
    ['plugins/new.ts', `import '../core/index.js'`, /not in the table/],
  ])('would report %s (%#)', (file, text, message) => {
    expect(breaches(new Map([...sources, [file, text]])).join('\n')).toMatch(message)
  })

  it.each([
    ['client/new.ts', `import type { JobDefinition } from '../define/index.js'`],
    ['core/new.ts', `// import { x } from 'pg'\n/** import('pg') and Date.now() */`],
  ])('has nothing against %s (%#)', (file, text) => {
    expect(breaches(new Map([[file, text]]))).toEqual([])
  })
})
