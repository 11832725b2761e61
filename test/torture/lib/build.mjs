/**
 * The compiled library in a folder of its own, so that the torture runs what ships and fights with nobody over dist/:
 * a copy of dist/ where that was made of the present sources, compiled here where it was not.
 */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isBuilt } from '../../../scripts/lib/ensure.mjs'
import { folder, ROOT } from './common.mjs'

/** @returns the folder with index.js, server/ and stores/ in it */
export async function build() {
  const place = folder('build')
  const dist = join(place, 'dist')
  mkdirSync(dist)
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }\n')
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'), 'dir')
  if (isBuilt()) {
    cpSync(join(ROOT, 'dist'), dist, { recursive: true })
    return { dist, complaints: 0 }
  }
  const compiler = join(ROOT, 'node_modules', 'ts7', 'bin', 'tsc')
  const said = await new Promise((resolve) => {
    execFile(
      process.execPath,
      [compiler, '-p', 'tsconfig.build.json', '--outDir', dist, '--noEmitOnError', 'false'],
      { cwd: ROOT, maxBuffer: 1 << 24 },
      (error, out) => resolve(error ? out : ''),
    )
  })
  // Type errors are the type check's business, and it has a step of its own; what matters here is the code that came out.
  for (const file of ['index.js', 'server/index.js', 'stores/sqlite/index.js', 'core/lifecycle.js']) {
    if (!existsSync(join(dist, file)))
      throw new Error(`The library could not be compiled, ${file} is missing.\n${said}`)
  }
  return { dist, complaints: said.split('\n').filter((line) => /error TS\d+/.test(line)).length }
}
