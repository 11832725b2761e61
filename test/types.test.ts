/** What must not compile does not: one error for each marked line, at that line. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const file = join(root, 'test/types/must-not-compile.ts')
const MARK = /@ts-expect-error/

it('each negative check of types is an error at its own line', () => {
  const text = readFileSync(file, 'utf8')
  const marked = text.split('\n').flatMap((line, i) => (MARK.test(line) ? [i + 2] : []))
  expect(marked.length).toBeGreaterThan(36)
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [file], include: [] }, ts.sys, root)
  const host = ts.createCompilerHost(options)
  const { readFile } = host
  host.readFile = (name) => (name === file ? text.replaceAll(/@ts-expect-error/g, 'an error:') : readFile(name))
  host.getSourceFile = (name, target) => {
    const content = host.readFile(name)
    return content === undefined ? undefined : ts.createSourceFile(name, content, target)
  }
  const program = ts.createProgram([file], options, host)
  const wrong = program
    .getSemanticDiagnostics(program.getSourceFile(file))
    .map(({ start }) => ts.getLineAndCharacterOfPosition(program.getSourceFile(file)!, start!).line + 1)
  expect([...new Set(wrong)]).toEqual(marked)
}, 60_000)
