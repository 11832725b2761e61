// Compiles connectors in memory, as strictly as TypeScript can, and says what is wrong with them. A child program: the
// compiler would keep the worker's event loop for seconds. On stdin one list of files for each round; on stderr a line for
// each round that is done; the findings in the envelope.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { writeEnvelope } from 'untildone/process'

// An import would have Node look through all nine megabytes for the names that they export: most of a second.
const ts = /** @type {typeof import('typescript')} */ (createRequire(import.meta.url)('typescript'))

const ROOT = '/connector'
/** @typedef {{ path: string, content: string }[]} Files */
/** @type {Files[]} */
const rounds = JSON.parse(readFileSync(0, 'utf8'))

/** @type {ts.CompilerOptions} */
const options = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  noEmit: true,
}

const disk = ts.createCompilerHost(options)
/** The compiler's own declarations are read once for all rounds. @type {Map<string, ts.SourceFile>} */
const libraries = new Map()

const findings = rounds.flatMap((files, round) => {
  const found = check(new Map(files.map(({ path, content }) => [`${ROOT}/${path}`, content])))
  process.stderr.write(`round ${round + 1}\n`)
  return found
})
writeEnvelope({ typescript: ts.version, findings: [...new Set(findings)] })

/** @param {Map<string, string>} sources */
function check(sources) {
  /** @type {ts.CompilerHost} */
  const host = {
    ...disk,
    // As `tsc` does it: comments say nothing of types in TypeScript.
    jsDocParsingMode: ts.JSDocParsingMode.ParseForTypeErrors,
    fileExists: (path) => sources.has(path) || (isLibrary(path) && disk.fileExists(path)),
    readFile: (path) => sources.get(path) ?? (isLibrary(path) ? disk.readFile(path) : undefined),
    getSourceFile: (path, language) => {
      const text = sources.get(path)
      return text === undefined ? library(path, language) : ts.createSourceFile(path, text, language)
    },
    directoryExists: (path) => [...sources.keys()].some((file) => file.startsWith(`${path}/`)),
    getCurrentDirectory: () => ROOT,
  }
  const names = [...sources.keys()].filter((path) => path.endsWith('.ts'))
  return ts.getPreEmitDiagnostics(ts.createProgram(names, options, host)).map(({ file, start, messageText, code }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0
    const where = file ? `${file.fileName.slice(ROOT.length + 1)}:${line}: ` : ''
    return `${where}TS${code}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}

/** @param {string} path @param {ts.ScriptTarget | ts.CreateSourceFileOptions} language */
function library(path, language) {
  const known = libraries.get(path)
  if (known || !isLibrary(path)) return known
  const text = disk.readFile(path)
  if (text === undefined) return undefined
  const made = ts.createSourceFile(path, text, language)
  libraries.set(path, made)
  return made
}

/** The compiler's own declarations, and nothing else of the disk. @param {string} path */
function isLibrary(path) {
  return path.startsWith(disk.getDefaultLibLocation?.() ?? '\0')
}
