/**
 * A copy of the compiled library in which some texts are replaced: shorter leases, or a bug planted on purpose. The library
 * itself has no switch for either. A text that is not there exactly once means that copy and library have drifted apart.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { folder } from './common.mjs'

/** @param edits `[file, text, replacement]` each @returns the folder of the copy */
export function variant(dist, name, edits) {
  const place = folder(`variant-${name}`)
  const copy = join(place, 'dist')
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }\n')
  symlinkSync(join(dirname(dist), 'node_modules'), join(place, 'node_modules'), 'dir')
  cpSync(dist, copy, { recursive: true })
  for (const [file, text, replacement] of edits) {
    const path = join(copy, file)
    const before = readFileSync(path, 'utf8')
    const found = before.split(text).length - 1
    if (found !== 1)
      throw new Error(`${name}: "${text}" is ${found} times in ${file}; the harness must follow the library.`)
    writeFileSync(
      path,
      before.replace(text, () => replacement),
    )
  }
  return copy
}
