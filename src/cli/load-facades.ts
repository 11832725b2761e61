/**
 * The file of `--facades`: JSON, or TypeScript and JavaScript whose default export is data. Says what is wrong with the
 * file; what is wrong with a facade is said by the server.
 */
import { readFileSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { JobHandler } from '../define/index.js'
import type { Facade } from '../server/index.js'
import { CliError } from './failure.js'
import { loaderFor } from './load-jobs.js'

const SHAPE = 'A list of facades: docs/guide/facades.md has two whole ones.'

/** @throws CliError facade-file-broken */
export async function loadFacades(file: string, cwd: string): Promise<Facade[]> {
  const path = resolve(cwd, file)
  const found = /\.json$/i.test(path) ? fromJson(path, file) : await fromModule(path, file)
  const facades = Array.isArray(found) ? found : membersOf(found)?.facades
  if (Array.isArray(facades)) return facades as Facade[]
  // One alone is as clear as a list of one.
  if (membersOf(found)?.routes) return [found as Facade]
  throw broken(`${file} holds no facades.`, SHAPE)
}

/** A mistake in a facade, with the file it stands in. */
export function inFile(error: unknown, file: string, cwd: string): unknown {
  if (!isUntildoneError(error) || error.code !== 'bad-definition') return error
  const shown = relative(cwd, resolve(cwd, file)) || basename(file)
  return new UntildoneError('bad-definition', `${shown}: ${error.message}`, { fix: error.fix, cause: error })
}

/** Types that facades submit and no job file handles: the first client would find out. */
export function unhandled(facades: readonly Facade[], handlers: readonly JobHandler[]): string[] {
  const known = new Set(handlers.map(({ definition }) => definition.name))
  return facades.flatMap(({ name, routes }) =>
    routes.flatMap((route) => {
      if (route.op !== 'submit' || route.map.type.startsWith('$') || known.has(route.map.type)) return []
      return [`Facade "${name}" submits jobs of type "${route.map.type}", but no job file handles that.`]
    }),
  )
}

function membersOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
}

function fromJson(path: string, file: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(error, file)
  }
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''))
  } catch (error) {
    throw broken(`${file} is not JSON: ${(error as Error).message}`, 'Correct it, and start again.')
  }
}

async function fromModule(path: string, file: string): Promise<unknown> {
  if (!/\.[cm]?[jt]s$/i.test(path)) throw broken(`${file} is no JSON, TypeScript or JavaScript file.`, SHAPE)
  try {
    readFileSync(path)
  } catch (error) {
    throw unreadable(error, file)
  }
  const loader = await loaderFor(dirname(path))
  try {
    const exported = await loader.import<Record<string, unknown>>(path)
    return exported.default ?? exported.facades
  } catch (error) {
    const first = String((error as Error)?.message ?? error).split('\n')[0]
    throw broken(`${file} cannot be loaded: ${first}`, 'Correct it, and start again.')
  }
}

function unreadable(error: unknown, file: string): CliError {
  const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read'
  return broken(`${file} ${why}.`, 'Give the path of the file: --facades facades.json')
}

function broken(what: string, fix: string): CliError {
  return new CliError('facade-file-broken', what, { fix })
}
