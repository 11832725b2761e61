// Compiles a connector in memory, as strictly as TypeScript can, and says what is wrong with it. A child program: the
// compiler would keep the worker's event loop for seconds. Files on stdin, the findings in the envelope.
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { writeEnvelope } from 'untildone/process'

const ROOT = '/connector'
/** @type {{ path: string, content: string }[]} */
const files = JSON.parse(readFileSync(0, 'utf8'))
const sources = new Map(files.map(({ path, content }) => [`${ROOT}/${path}`, content]))

/** @type {ts.CompilerOptions} */
const options = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
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
/** @type {ts.CompilerHost} */
const host = {
  ...disk,
  fileExists: (path) => sources.has(path) || (isLibrary(path) && disk.fileExists(path)),
  readFile: (path) => sources.get(path) ?? (isLibrary(path) ? disk.readFile(path) : undefined),
  getSourceFile: (path, language) => {
    const text = sources.get(path) ?? (isLibrary(path) ? disk.readFile(path) : undefined)
    return text === undefined ? undefined : ts.createSourceFile(path, text, language)
  },
  directoryExists: (path) => path === ROOT,
  getCurrentDirectory: () => ROOT,
}

const names = [...sources.keys()].filter((path) => path.endsWith('.ts'))
const program = ts.createProgram(names, options, host)
const findings = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText, code }) => {
  const place = file && start !== undefined ? file.getLineAndCharacterOfPosition(start) : null
  const where = file && place ? `${file.fileName.slice(ROOT.length + 1)}:${place.line + 1}: ` : ''
  return `${where}TS${code}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
})
writeEnvelope({ typescript: ts.version, findings })

/** The compiler's own declarations, and nothing else of the disk. @param {string} path */
function isLibrary(path) {
  return path.startsWith(disk.getDefaultLibLocation?.() ?? '\0')
}
