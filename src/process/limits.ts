// Limits that only the OS can set on a child: no core files, dies with its parent, address space.
// Node cannot set them itself, so the command is wrapped in setpriv and prlimit. Both exec in place: pid, exit code and
// signal stay the child's own. Must never wrap with anything that forks, and never fail where the tools are missing.
import { execFile } from 'node:child_process'
import { constants, readFileSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { processIdentity } from './procfs.js'

export interface Tools {
  setpriv: string | null
  prlimit: string | null
}

/** Which protections are active on this machine. */
export interface Protections {
  /** Zombies and reused pids are recognised (procfs). */
  procfs: boolean
  /** A child is killed when the thread that started it dies (setpriv --pdeathsig). */
  parentDeath: boolean
  /** Children write no core files (prlimit --core=0). */
  coreLimit: boolean
  /** `memoryMb` is enforced (prlimit --as). */
  memoryLimit: boolean
}

const PLACES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin']
const PDEATHSIG = ['--pdeathsig', 'KILL', '--']
const NO_CORE = '--core=0:0'

let found: Promise<Tools> | null = null

/** The wrappers of this machine, tried out once per process: busybox has a setpriv without --pdeathsig. */
export function findTools(): Promise<Tools> {
  found ??= Promise.all([findTool('setpriv', PDEATHSIG), findTool('prlimit', [NO_CORE, '--'])]).then(
    ([setpriv, prlimit]) => ({ setpriv, prlimit }),
  )
  return found
}

/** Says which protections of children are active here, for `doctor`. Never rejects. */
export async function protections(): Promise<Protections> {
  const { setpriv, prlimit } = await findTools()
  return {
    procfs: processIdentity(process.pid) !== null,
    parentDeath: setpriv !== null,
    coreLimit: prlimit !== null,
    memoryLimit: prlimit !== null,
  }
}

/** The command line with its wrappers. `file` must be an absolute path; `mostBytes` is the parent's own hard limit. */
export function wrap(
  file: string,
  args: readonly string[],
  memoryMb: number | undefined,
  tools: Tools,
  mostBytes = ownAddressSpace(),
): { file: string; args: readonly string[] } {
  let line = [file, ...args]
  if (tools.prlimit) {
    const limits = memoryMb === undefined ? [NO_CORE] : [NO_CORE, asLimit(memoryMb, mostBytes)]
    line = [tools.prlimit, ...limits, '--', ...line]
  }
  // Outermost, because until it has run a killed parent leaves the child behind.
  if (tools.setpriv) line = [tools.setpriv, ...PDEATHSIG, ...line]
  return { file: line[0]!, args: line.slice(1) }
}

/** Raising a hard limit needs privileges; prlimit would then fail and look like the child's own exit 1. */
function asLimit(memoryMb: number, mostBytes: number): string {
  const bytes = Math.min(Math.floor(memoryMb * 1024 * 1024), mostBytes)
  return `--as=${bytes}:${bytes}`
}

function ownAddressSpace(): number {
  try {
    const hard = /^Max address space\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return hard ? Number(hard[1]) : Infinity
  } catch {
    return Infinity
  }
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
