// The programs that can read a page, in the order in which they are asked. Where Tesseract and a renderer are installed they
// come first; what npm brings is always there behind them. It must never put an engine into the list that is not there.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A program inside of an engine, as its quirks know it. */
export interface Program {
  name: string
  version: string
}
export interface PageEngine {
  name: string
  /** Called with the path of the PDF and the number of the page behind these. */
  command: string
  args: readonly string[]
  env?: Record<string, string>
  programs: readonly Program[]
  /** Sold under a licence, so that it may be limited without saying so; its pages are looked at for that. */
  licensed: boolean
}

const require = createRequire(import.meta.url)
const program = (name: string): Program => {
  // Some packages do not export their package.json; the file is there all the same.
  const folder = require.resolve(name).split(`node_modules/${name}/`)[0]!
  return { name, version: JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version }
}
const script = (name: string) => fileURLToPath(new URL(`../engines/${name}.mjs`, import.meta.url))

const FROM_NPM: Record<string, string[]> = {
  fast: ['pdf-lib', 'tesseract.js'],
  robust: ['@hyzyla/pdfium', 'tesseract.js'],
}

export const npmEngines = (): PageEngine[] =>
  Object.entries(FROM_NPM).map(([name, programs]) => ({
    ...{ name, command: process.execPath, args: [script(name)] },
    ...{ programs: programs.map(program), licensed: false },
  }))

/** The engine made of what the operating system has; null, and why, where that is not enough. */
export function nativeEngine(
  env: NodeJS.ProcessEnv = process.env,
): { engine: PageEngine; why: null } | { engine: null; why: string } {
  const tesseract = onPath('tesseract', env)
  const renderer = onPath('pdftoppm', env) ?? onPath('gs', env)
  if (!tesseract || !renderer) {
    const missing = [tesseract ? '' : 'tesseract', renderer ? '' : 'pdftoppm or gs'].filter(Boolean).join(' and ')
    return { engine: null, why: `needs ${missing} on PATH; enable: apt-get install tesseract-ocr poppler-utils` }
  }
  const programs = [tesseract, renderer].map((path) => ({ name: path.split('/').at(-1)!, version: versionOf(path) }))
  const engine = { name: 'native', command: process.execPath, args: [script('native')], programs, licensed: false }
  return { engine: { ...engine, env: { OCR_TESSERACT: tesseract, OCR_RENDERER: renderer } }, why: null }
}

/** OCR_ENGINES: names of engines with commas, in the order in which they are asked. Not set: all that there are. */
export function enginesFrom(env: NodeJS.ProcessEnv): PageEngine[] {
  const { OCR_ENGINES: asked = '' } = env
  const npm = npmEngines()
  const names = asked.split(/[\s,]+/).filter(Boolean)
  const native = names.length === 0 || names.includes('native') ? nativeEngine(env) : null
  const all = [...(native?.engine ? [native.engine] : []), ...npm]
  if (names.length === 0) return all
  return names.map((name) => {
    const engine = all.find((engine) => engine.name === name)
    if (engine) return engine
    throw new Error(
      name === 'native'
        ? `OCR_ENGINES: native ${native?.why}.`
        : `OCR_ENGINES: there is no engine "${name}"; there are native, fast and robust.`,
    )
  })
}

function onPath(name: string, { PATH = '' }: NodeJS.ProcessEnv): string | null {
  for (const folder of PATH.split(delimiter).filter(Boolean)) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {
      // Not in this one.
    }
  }
  return null
}

/** `tesseract 5.3.0`, `pdftoppm version 22.12.0`, `10.00.0`: the first thing that looks like a version. */
function versionOf(path: string): string {
  const flag = path.endsWith('pdftoppm') ? '-v' : '--version'
  const { stdout, stderr } = spawnSync(path, [flag], { timeout: 5000, encoding: 'utf8' })
  return /\d+(?:\.\d+)+/.exec(`${stdout ?? ''}\n${stderr ?? ''}`)?.[0] ?? '0'
}
