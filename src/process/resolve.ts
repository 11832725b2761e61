// Finds the executable, the env and the stdin of a child before anything is started.
// Needed because a missing binary behind a wrapper shows only as exit 127. Must never read the parent's env beyond the
// allow-list and never fall back to a shell.
import { constants } from 'node:fs'
import { access, type FileHandle, open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Plan } from './spec.js'

const ALLOWED = new Set(['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'])
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin'

/** A refusal with the code that ends up in `outcome.error`. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** The child's env: allow-list of the parent's, then the caller's, then ours. */
export function childEnv(
  own: Record<string, string>,
  extra: Record<string, string>,
  tmp: string | null,
): Record<string, string> {
  const env: Record<string, string> = { PATH: DEFAULT_PATH }
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined && (ALLOWED.has(key) || key.startsWith('LC_'))) env[key] = value
  }
  if (tmp) env.TMPDIR = tmp
  return { ...env, ...own, ...extra }
}

/** The OS ends every string at NUL, so a NUL would silently run something else than was asked for. */
export function refuseNul(plan: Plan): void {
  const path = typeof plan.stdin === 'object' && 'path' in plan.stdin ? plan.stdin.path : ''
  const parts = [plan.command, plan.cwd ?? '', path, ...plan.args, ...Object.entries(plan.env).flat()]
  if (parts.some((part) => part.includes('\0'))) throw new Refusal('NUL', 'command, args, env or path contains NUL')
}

/** Throws Refusal ENOENT or ENOTDIR: Node would name the command as missing when it is the directory. */
export async function checkDirectory(dir: string): Promise<void> {
  const found = await stat(dir).catch((error: NodeJS.ErrnoException) => {
    throw new Refusal(error.code ?? 'ENOENT', `cwd ${dir} cannot be entered: ${error.message}`)
  })
  if (!found.isDirectory()) throw new Refusal('ENOTDIR', `cwd ${dir} is not a directory`)
}

// A program that was there a moment ago is taken to be there; if not, the failed exec tells so after all.
const FOUND_MS = 1_000
const found = new Map<string, { at: number; file: string }>()

/** Absolute path of the executable. Throws Refusal ENOENT or EACCES. */
export async function findExecutable(command: string, base: string, path: string): Promise<string> {
  const key = [command, base, path].join('\0')
  const last = found.get(key)
  if (last && performance.now() - last.at < FOUND_MS) return last.file
  found.delete(key)
  const file = await lookFor(command, base, path)
  // Work directories differ from run to run, and so do keys.
  if (found.size > 200) found.clear()
  found.set(key, { at: performance.now(), file })
  return file
}

async function lookFor(command: string, base: string, path: string): Promise<string> {
  // Empty and relative PATH entries would let the work directory supply the program.
  const candidates = command.includes('/')
    ? [resolve(base, command)]
    : path.split(':').flatMap((dir) => (dir.startsWith('/') ? [`${dir}/${command}`] : []))
  let denied: string | null = null
  for (const candidate of candidates) {
    const verdict = await tryExecutable(candidate)
    // A PATH directory that may not be entered says nothing about the program; a path that was asked for does.
    if (verdict === 'unreachable' && !command.includes('/')) continue
    if (verdict === 'ok') {
      await checkFormat(candidate)
      return candidate
    }
    if (verdict !== 'missing') denied ??= candidate
  }
  if (denied) throw new Refusal('EACCES', `${denied} is not an executable file`)
  throw new Refusal('ENOENT', `executable ${command} not found`)
}

async function tryExecutable(path: string): Promise<'ok' | 'denied' | 'unreachable' | 'missing'> {
  try {
    if (!(await stat(path)).isFile()) return 'denied'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'unreachable' : 'missing'
  }
  return access(path, constants.X_OK).then(
    () => 'ok',
    () => 'denied',
  )
}

/**
 * What the kernel would refuse, but exec of a C library or of a wrapper does not report: a script whose interpreter is
 * missing shows as exit 127, and a text without `#!` is handed to /bin/sh, where an empty file even exits 0.
 */
async function checkFormat(path: string): Promise<void> {
  // An executable may be unreadable; then there is nothing to check.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => null)
  if (!file) return
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0)
    const start = buffer.toString('latin1', 0, bytesRead)
    const interpreter = /^#![ \t]*(\/\S+)/.exec(start)?.[1]
    if (interpreter && (await tryExecutable(interpreter)) !== 'ok') {
      throw new Refusal('ENOENT', `interpreter ${interpreter} of ${path} not found`)
    }
    // Every binary format has a NUL in its header.
    if (!start.startsWith('#!') && !start.includes('\0')) {
      throw new Refusal('ENOEXEC', `${path} is neither a binary nor a script with #!`)
    }
  } finally {
    await file.close()
  }
}

/** Opens a stdin file without ever waiting for it. Throws Refusal (ENOENT, EACCES, EINVAL for what is no file). */
export async function openStdin(path: string): Promise<FileHandle> {
  // Without O_NONBLOCK the open of a FIFO waits for a writer, for ever.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw new Refusal(error.code ?? 'EIO', `stdin ${path} cannot be opened: ${error.message}`)
  })
  const found = await file.stat()
  if (found.isFile() || found.isCharacterDevice()) return file
  await file.close()
  throw new Refusal('EINVAL', `stdin ${path} is neither a file nor a device`)
}
