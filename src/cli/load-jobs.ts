/**
 * Job files: finds them, loads TypeScript and JavaScript alike through jiti, and collects what they export. A file that
 * cannot be loaded is a value with file and line, never an exception that hides the others. The package itself is handed
 * to the files as already loaded, so that they get this one whether they find it installed or not.
 */
import { readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createJiti } from 'jiti'
import { UntildoneError } from '../core/errors.js'
import { isJobHandler, isScheduleDeclaration, type JobHandler, type ScheduleDeclaration } from '../define/index.js'

export interface LoadedJobs {
  handlers: JobHandler[]
  /** What `defineSchedule` returned. */
  schedules: ScheduleDeclaration[]
  /** The file each handler came from, relative to `cwd`. */
  fileOf: Map<string, string>
  /** `job-file-broken` for each file that could not be loaded. */
  broken: UntildoneError[]
  /** Folders that hold job files or what they import: what to watch. */
  folders: string[]
}

/** What one file gives. */
export interface Exported {
  handlers: JobHandler[]
  schedules: ScheduleDeclaration[]
}

export interface LoadRequest {
  /** Folder of the job files. */
  dir: string
  cwd: string
  /** What a broken file gave when it could last be loaded. */
  lastGood?: ReadonlyMap<string, Exported>
}

const SOURCE = /\.(ts|mts|js|mjs)$/
const NOT_A_JOB = /(\.d|\.test|\.spec)\.[cm]?[tj]s$/

/**
 * Loads every job file anew.
 * @param lastGood is brought up to date by the caller from `goodOf`
 * @throws UntildoneError `no-jobs-found`, `duplicate-job-type`, `bad-definition` for a schedule that is there twice
 */
export async function loadJobs(request: LoadRequest): Promise<LoadedJobs & { goodOf: Map<string, Exported> }> {
  const dir = resolve(request.cwd, request.dir)
  const shown = (path: string) => relative(request.cwd, path) || basename(path)
  const jiti = await loaderFor(dir)
  forget(jiti.cache, request.cwd)
  const broken: UntildoneError[] = []
  const goodOf = new Map<string, Exported>()
  const definitionsOnly: string[] = []
  for (const path of filesIn(dir)) {
    try {
      const exported = await jiti.import<Record<string, unknown>>(path)
      const good = exportedOf(exported)
      for (const handler of good.handlers) placed(handler, path)
      goodOf.set(path, good)
      if (good.handlers.length === 0 && Object.values(exported).some(isDefinition)) definitionsOnly.push(shown(path))
    } catch (error) {
      broken.push(brokenFile(error, path, request.cwd))
      const before = request.lastGood?.get(path)
      if (before) goodOf.set(path, before)
    }
  }
  const fileOf = new Map<string, string>()
  const handlers = new Set<JobHandler>()
  for (const [path, found] of goodOf) {
    for (const handler of found.handlers) {
      const { name } = handler.definition
      const other = fileOf.get(name)
      // The same handler exported twice, for example again from an index file, is one handler.
      if (handlers.has(handler)) continue
      if (other !== undefined) throw duplicate(name, other, shown(path))
      fileOf.set(name, shown(path))
      handlers.add(handler)
    }
  }
  if (handlers.size === 0 && broken.length === 0) throw nothingFound(request.dir, definitionsOnly)
  const schedules = schedulesOf([...goodOf.values()])
  return {
    handlers: [...handlers],
    schedules,
    fileOf,
    broken,
    folders: foldersOf(jiti.cache, dir, request.cwd),
    goodOf,
  }
}

type Jiti = ReturnType<typeof createJiti>

/** Loads modules of a folder, with the package itself and zod at hand. */
export async function loaderFor(dir: string): Promise<Jiti> {
  const ours = {
    untildone: await import('../index.js'),
    'untildone/define': await import('../define/index.js'),
    'untildone/client': await import('../client/index.js'),
    'untildone/process': await import('../process/index.js'),
  }
  // The sample imports zod, which comes with us; a project that has its own gets its own.
  const require = createRequire(join(dir, 'job.js'))
  const extra = canResolve(require, 'zod') ? {} : { zod: await import('zod') }
  // No cache on disk: its default place is a temporary folder that other users of the machine can write to.
  const options = { moduleCache: true, fsCache: false, sourceMaps: true }
  return createJiti(join(dir, 'job.js'), { ...options, virtualModules: { ...ours, ...extra } })
}

function canResolve(require: NodeJS.Require, name: string): boolean {
  try {
    require.resolve(name)
    return true
  } catch {
    return false
  }
}

function filesIn(dir: string): string[] {
  let entries: import('node:fs').Dirent[]
  try {
    entries = readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(dir, entry.name)
      if (entry.name.startsWith('.') || entry.name === 'node_modules') return []
      if (entry.isDirectory() || (entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isDirectory())) {
        return entry.isSymbolicLink() ? [] : filesIn(path)
      }
      return SOURCE.test(entry.name) && !NOT_A_JOB.test(entry.name) ? [path] : []
    })
}

function exportedOf(exported: Record<string, unknown>): Exported {
  const values = Object.values(exported).flatMap((value) => (Array.isArray(value) ? value : [value]))
  return {
    handlers: [...new Set(values.filter(isJobHandler))],
    schedules: [...new Set(values.filter(isScheduleDeclaration))],
  }
}

/** Where an isolated handler is found again: in the file that it was first found in, read in the same way. */
function placed({ settings: { isolate } }: JobHandler, path: string): void {
  if (!isolate || isolate.module !== null) return
  isolate.module = pathToFileURL(path).href
  isolate.project = true
}

/** Like a handler, one that is exported twice, for example again from an index file, is one. */
function schedulesOf(found: readonly Exported[]): ScheduleDeclaration[] {
  const all = [...new Set(found.flatMap(({ schedules }) => schedules))]
  const twice = all.find(({ id }, i) => all.findIndex((one) => one.id === id) !== i)
  if (twice)
    throw new UntildoneError('bad-definition', `Two schedules are called "${twice.id}".`, {
      fix: 'Rename one of them.',
      params: { schedule: twice.id },
    })
  return all
}

function isDefinition(value: unknown): boolean {
  const { name, inputSchema, handler } = (value ?? {}) as Record<string, unknown>
  return typeof name === 'string' && typeof inputSchema === 'object' && typeof handler === 'function'
}

/** Modules of the project leave the cache, so that an edited file is read again; installed packages stay. */
function forget(cache: Jiti['cache'], cwd: string): void {
  for (const path of Object.keys(cache)) if (isOwn(path, cwd)) delete cache[path]
}

function foldersOf(cache: Jiti['cache'], dir: string, cwd: string): string[] {
  const folders = new Set([dir])
  for (const path of filesIn(dir)) folders.add(dirname(path))
  for (const path of Object.keys(cache)) if (isOwn(path, cwd)) folders.add(dirname(path))
  return [...folders]
}

const OURS = resolve(import.meta.dirname, '..') + sep

function isOwn(path: string, cwd: string): boolean {
  return path.startsWith(cwd + sep) && !path.includes(`${sep}node_modules${sep}`) && !path.startsWith(OURS)
}

/** The error with the place in the user's own file, which is what helps. */
function brokenFile(error: unknown, path: string, cwd: string): UntildoneError {
  const { message = String(error), stack = '' } = error instanceof Error ? error : {}
  // A parser says where in its message: `ParseError: Unexpected token \n /path/job.ts:2:18`.
  const parsed = /^(?:ParseError: )?(.*?)\s*\n\s*(\/.*|[A-Za-z]:\\.*):(\d+):(\d+)\s*$/s.exec(message)
  const [file, line, column] = parsed ? [parsed[2]!, Number(parsed[3]), Number(parsed[4])] : placeIn(stack, cwd, path)
  const what = (parsed ? parsed[1]! : message.split('\n')[0]!).replace(/^Error: /, '')
  const shown = relative(cwd, file) || file
  const at = line === null ? '' : `line ${line}: `
  return new UntildoneError('job-file-broken', `${shown} has an error. (${at}${what})`, {
    fix: 'Correct it and save the file; `untildone serve` has to be started again.',
    params: { file: shown, line, column, reason: what },
    cause: error,
  })
}

/** The first frame in a file of the project. */
function placeIn(stack: string, cwd: string, fallback: string): [string, number | null, number | null] {
  for (const frame of stack.split('\n')) {
    const match = /(?:\(|at )(?:file:\/\/)?(\/[^():]+|[A-Za-z]:\\[^():]+):(\d+):(\d+)\)?$/.exec(frame.trim())
    if (match && isOwn(match[1]!, cwd)) return [match[1]!, Number(match[2]), Number(match[3])]
  }
  return [fallback, null, null]
}

function duplicate(name: string, one: string, other: string): UntildoneError {
  const where = one === other ? `${one} defines "${name}" twice` : `${one} and ${other} both define "${name}"`
  return new UntildoneError(
    'duplicate-job-type',
    `${where}. Job names are permanent addresses, so they must be unique.`,
    {
      fix: 'Rename one of them.',
      params: { type: name, files: [one, other] },
    },
  )
}

function nothingFound(dir: string, definitionsOnly: string[]): UntildoneError {
  const shown = dir.startsWith('.') || dir.startsWith('/') ? dir : `./${dir}`
  if (definitionsOnly.length > 0) {
    return new UntildoneError('no-jobs-found', `${definitionsOnly[0]} defines a job and has no handler for it.`, {
      fix: 'Export what .handler() returns: export const helloHandler = hello.handler(async (job) => …)',
      params: { dir: shown },
    })
  }
  return new UntildoneError(
    'no-jobs-found',
    `No jobs found in ${shown}. A job is a file that exports defineJob(...).handler(...).`,
    {
      fix: 'Create one: npx untildone init --sample',
      params: { dir: shown },
    },
  )
}
