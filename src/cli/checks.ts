/**
 * What `doctor` looks at on this machine and on the server. Each check says what, how it is, and what to do; none of
 * them throws, and none changes anything but a file that it removes again.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { protections } from '../process/index.js'
import { databaseClass } from '../stores/sqlite/database.js'
import { loadJobs } from './load-jobs.js'
import { bytes, count } from './text.js'

export interface Check {
  what: string
  /** `note`: worth knowing, nothing is wrong. */
  state: 'ok' | 'note' | 'bad'
  text: string
  fix: string | null
}

export function ok(what: string, text: string): Check {
  return { what, state: 'ok', text, fix: null }
}

export function note(what: string, text: string, fix: string | null = null): Check {
  return { what, state: 'note', text, fix }
}

export function bad(what: string, text: string, fix: string): Check {
  return { what, state: 'bad', text, fix }
}

const OLDEST_NODE = [20, 19] as const
const SLOW_SYNC_MS = 50
const LITTLE_SPACE = 500e6

export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const fits = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
  return fits
    ? ok('Node', version)
    : bad('Node', `${version} is too old`, `Install Node ${OLDEST_NODE.join('.')} or newer.`)
}

export function sqliteCheck(): Check {
  try {
    const { Database, name } = databaseClass()
    const db = new Database(':memory:')
    const row = db.prepare('select sqlite_version() as version').get()
    db.close()
    return ok('SQLite', `${String(row?.version)} through ${name}`)
  } catch (error) {
    return bad(
      'SQLite',
      `cannot be loaded (${messageOf(error)})`,
      'Run npm install again on this machine; use Node 22.5 or newer where no prebuilt binary fits.',
    )
  }
}

/** Writes and syncs a small file, which is what every acknowledged job waits for. */
export async function dataCheck(dataDir: string): Promise<Check[]> {
  const what = 'data folder'
  const existed = existsSync(dataDir)
  const path = join(dataDir, `doctor-${process.pid}`)
  try {
    if (!existed) mkdirSync(dataDir, { recursive: true })
    const begun = performance.now()
    const file = openSync(path, 'wx')
    writeSync(file, 'untildone doctor')
    fsyncSync(file)
    closeSync(file)
    const folder = openSync(dataDir, 'r')
    fsyncSync(folder)
    closeSync(folder)
    const ms = performance.now() - begun
    const text = `${dataDir} can be written; a sync takes ${ms < 1 ? ms.toFixed(2) : Math.round(ms)} ms`
    const slow = 'Every accepted job waits for one: put the folder on a local SSD.'
    return [ms > SLOW_SYNC_MS ? note(what, text, slow) : ok(what, text), ...(await spaceCheck(dataDir))]
  } catch (error) {
    return [
      bad(
        what,
        `${dataDir} cannot be used (${messageOf(error)})`,
        'Give a folder on a local disk that this user may write to: --data <dir>',
      ),
    ]
  } finally {
    tidy(() => rmSync(path))
    if (!existed) tidy(() => rmdirSync(dataDir))
  }
}

async function spaceCheck(dataDir: string): Promise<Check[]> {
  const { bavail, bsize } = await statfs(dataDir)
  const free = bavail * bsize
  if (free >= LITTLE_SPACE) return [ok('disk', `${bytes(free)} free`)]
  return [bad('disk', `only ${bytes(free)} free`, 'Free some space: with a full disk no job can be accepted.')]
}

/** Who owns the databases in this folder; looks at the kernel's list of locks and takes none itself. */
export function ownerChecks(dataDir: string): Check[] {
  return ['dev.db', 'untildone.db']
    .filter((name) => existsSync(join(dataDir, name)))
    .map((name) => {
      const owner = lockHolder(join(dataDir, `${name}-owner`))
      if (owner === undefined) return note(`owner of ${name}`, 'cannot be told on this system')
      return owner === null ? ok(`owner of ${name}`, 'nobody has it open') : ok(`owner of ${name}`, `process ${owner}`)
    })
}

/** The process that holds a lock on this file; null = none, undefined = this system does not say. */
function lockHolder(path: string): number | null | undefined {
  try {
    const { ino } = statSync(path)
    const lines = readFileSync('/proc/locks', 'utf8').split('\n')
    const line = lines.find((text) => text.split(/\s+/)[5]?.endsWith(`:${ino}`) && text.includes(' WRITE '))
    return line ? Number(line.split(/\s+/)[4]) : null
  } catch (error) {
    return (error as NodeJS.ErrnoException).path === path ? null : undefined
  }
}

/** One line for all that is given, and one for each protection that this host lacks, with what it would take. */
export async function protectionChecks(): Promise<Check[]> {
  const what = 'child processes'
  const have = await protections()
  const tools = 'Install util-linux (setpriv, prlimit); on other systems than Linux there is no such protection.'
  const room = have.disk.low
    ? [
        bad(
          what,
          `none is started: only ${bytes(have.disk.freeBytes)} free in ${have.disk.dir}`,
          'Free some space, or name a larger folder with TMPDIR; they start again by themselves.',
        ),
      ]
    : []
  const lacks: [boolean, string, string][] = [
    [have.parentDeath, 'they outlive a killed worker until its restart', tools],
    [have.coreLimit, 'they may write core files, and `limits.cpuSeconds` and `fileBytes` are not enforced', tools],
    [have.memoryLimit, '`memoryMb` is not enforced', tools],
    [
      have.procfs,
      'trees are not watched: no `limits.rssMb` and `processes`, escaped daemons stay, pids are not told apart',
      'Mount /proc in the container; on other systems than Linux there is no such protection.',
    ],
    [
      have.pidNamespace,
      '`strong` has no effect: no pid namespace can be made',
      'Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run with CAP_SYS_ADMIN.',
    ],
    [
      have.cgroup !== null,
      `no cgroup${have.cgroupRefused ? ` (${have.cgroupRefused})` : ''}: memory and process limits are sampled, a fast child may go beyond them for a moment`,
      'Delegate a cgroup v2 (systemd: Delegate=yes) with memory and pids enabled, and name it in UNTILDONE_CGROUP.',
    ],
    [
      have.oom,
      'a kill for want of memory cannot always be told from any other KILL',
      'Run in a memory cgroup of its own (a container with a memory limit is one), or set UNTILDONE_CGROUP.',
    ],
    [
      have.reaper,
      'orphans that end stay zombies: process 1 does not reap them',
      'Run the container with an init: docker run --init, or tini as entrypoint.',
    ],
  ]
  const given = [
    have.parentDeath && 'end with their worker',
    have.coreLimit && 'write no core files',
    have.memoryLimit && 'memory limits work',
    have.procfs && 'whole trees are watched',
  ].filter(Boolean)
  return [
    ...room,
    ...(given.length > 0 ? [ok(what, given.join(', '))] : []),
    ...lacks.filter(([there]) => !there).map(([, text, fix]) => note(what, text, fix)),
  ]
}

export async function jobsCheck(jobsDir: string, cwd: string): Promise<Check> {
  const what = 'job files'
  try {
    const { handlers, broken } = await loadJobs({ dir: jobsDir, cwd })
    if (broken[0]) return bad(what, broken[0].message, broken[0].fix)
    return ok(what, `${count(handlers.length, 'job type')}: ${handlers.map((one) => one.definition.name).join(', ')}`)
  } catch (error) {
    const { message, fix = '', code } = error as { message: string; fix?: string; code?: string }
    return code === 'no-jobs-found' ? note(what, message, fix) : bad(what, message, fix)
  }
}

function tidy(remove: () => void): void {
  try {
    remove()
  } catch {
    // It was never made, or somebody has put something into it meanwhile.
  }
}

function messageOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}
