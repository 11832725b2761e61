// Limits that only the OS can set on a child: no core files, dies with its parent, address space, CPU time, file size.
// Node cannot set them itself, so the command is wrapped in setpriv and prlimit. Both exec in place: pid, exit code and
// signal stay the child's own. Only the pid namespace of `strong` forks, and hands on both.
// Must never wrap with anything else that forks, and never fail where the tools are missing.
import { execFile } from 'node:child_process'
import { constants, readFileSync } from 'node:fs'
import { access } from 'node:fs/promises'
import type { ProcessLimits } from './spec.js'

export interface Tools {
  setpriv: string | null
  prlimit: string | null
  /** The whole command line up to the program, because users without privileges need another one. */
  unshare: readonly string[] | null
}

const PLACES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin']
const PDEATHSIG = ['--pdeathsig', 'KILL', '--']
const NO_CORE = '--core=0:0'
const NAMESPACE = ['--pid', '--fork', '--kill-child', '--mount-proc', '--']

let found: Promise<Tools> | null = null

/** The wrappers of this machine, tried out once per process: busybox has a setpriv without --pdeathsig. */
export function findTools(): Promise<Tools> {
  found ??= Promise.all([findTool('setpriv', PDEATHSIG), findTool('prlimit', [NO_CORE, '--']), findNamespace()]).then(
    ([setpriv, prlimit, unshare]) => ({ setpriv, prlimit, unshare }),
  )
  return found
}

/** Root makes a pid namespace directly; others need a user namespace around it, which some systems forbid. */
async function findNamespace(): Promise<readonly string[] | null> {
  for (const options of [NAMESPACE, ['--user', '--map-current-user', ...NAMESPACE] as const]) {
    const path = await findTool('unshare', options)
    if (path) return [path, ...options]
  }
  return null
}

export interface Wrapped {
  file: string
  args: readonly string[]
  /** The protections that this line gives. */
  held: readonly string[]
}

/** What a caller asks of the OS; everything else is watched by the supervisor itself. */
export interface OsLimits extends Pick<ProcessLimits, 'cpuSeconds' | 'fileBytes'> {
  memoryMb?: number | undefined
  strong?: boolean | undefined
}

/** The command line with its wrappers. `file` must be an absolute path; `own` are the parent's own hard limits. */
export function wrap(file: string, args: readonly string[], ask: OsLimits, tools: Tools, own = ownLimits()): Wrapped {
  let line = [file, ...args]
  const held: string[] = []
  if (tools.prlimit) {
    const limits = [NO_CORE]
    held.push('core')
    const asked = [ask.memoryMb, ask.fileBytes, ask.cpuSeconds].some((one) => one !== undefined)
    if (ask.memoryMb !== undefined) {
      limits.push(limit('as', Math.floor(ask.memoryMb * 1024 * 1024), own.as))
      held.push('address-space')
    }
    if (ask.fileBytes !== undefined) {
      limits.push(limit('fsize', ask.fileBytes, own.fsize))
      held.push('file-size')
    }
    if (ask.cpuSeconds !== undefined) {
      // XCPU first, which most programs die of; whoever catches it has two more seconds.
      const seconds = Math.ceil(ask.cpuSeconds)
      limits.push(`--cpu=${Math.min(seconds, own.cpu)}:${Math.min(seconds + 2, own.cpu)}`)
      held.push('cpu')
    }
    // Where the parent can have no core files, its children can have none: then an exec less, about 1 ms.
    if (asked || own.core > 0) line = [tools.prlimit, ...limits, '--', ...line]
  }
  if (ask.strong && tools.unshare) {
    line = [...tools.unshare, ...line]
    held.push('pid-namespace')
  }
  // Outermost, because until it has run a killed parent leaves the child behind.
  if (tools.setpriv) {
    line = [tools.setpriv, ...PDEATHSIG, ...line]
    held.push('parent-death')
  }
  return { file: line[0]!, args: line.slice(1), held }
}

/** Raising a hard limit needs privileges; prlimit would then fail and look like the child's own exit 1. */
function limit(name: string, asked: number, most: number): string {
  const value = Math.min(asked, most)
  return `--${name}=${value}:${value}`
}

interface OwnLimits {
  core: number
  as: number
  fsize: number
  cpu: number
}

const KEPT_MS = 1_000
let own: { at: number; limits: OwnLimits } | null = null

/** They may be changed from outside, which is not a thing of milliseconds. */
function ownLimits(): OwnLimits {
  const now = performance.now()
  if (!own || now - own.at > KEPT_MS) own = { at: now, limits: readLimits() }
  return own.limits
}

function readLimits(): OwnLimits {
  let text = ''
  try {
    text = readFileSync('/proc/self/limits', 'latin1')
  } catch {
    // Not Linux: nothing is wrapped either.
  }
  const hard = (name: string) => Number(new RegExp(`^Max ${name}\\s+\\S+\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Infinity)
  return { core: hard('core file size'), as: hard('address space'), fsize: hard('file size'), cpu: hard('cpu time') }
}

async function findTool(name: string, options: readonly string[]): Promise<string | null> {
  for (const place of PLACES) {
    const path = `${place}/${name}`
    const usable = await access(path, constants.X_OK).then(
      () => tryTool(path, options),
      () => false,
    )
    if (usable) return path
  }
  return null
}

function tryTool(path: string, options: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(path, [...options, path, '--version'], { timeout: 5_000, killSignal: 'SIGKILL', env: {} }, (error) =>
      resolve(error === null),
    )
  })
}
