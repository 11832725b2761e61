// The package as it would be published: a tarball made outside the repository. dist/ must have been built.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './ensure.mjs'

/** @returns {{ tarball: string, files: string[], bytes: number }} */
export function pack(directory) {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', directory]
  const [made] = JSON.parse(
    execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  return { tarball: join(directory, made.filename), files: made.files.map((file) => file.path), bytes: made.size }
}
