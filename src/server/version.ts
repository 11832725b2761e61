/**
 * Version of this package, read from its package.json; the same path from `src/server` and from `dist/server`. Where the
 * server is part of a bundle, another package.json or none lies there: then it is not known.
 */
import { readFileSync } from 'node:fs'

/** @returns '0.0.0' where it is not known */
export function ownVersion(): string {
  try {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    const { name, version } = JSON.parse(text) as { name?: string; version: string }
    if (name === 'untildone') return version
  } catch {
    // No file there.
  }
  return '0.0.0'
}
