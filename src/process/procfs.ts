// What the kernel says about a process. A pid alone says nothing: pids wrap (32,768 in about 55 s at full speed), and
// kill(pid, 0) calls a zombie alive. Identity is pid + start time + boot id, liveness is the state in procfs.
// Must never signal a process or change anything. Everything here is null or empty where there is no procfs.
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'

export interface ProcessIdentity {
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot, kept as text because it is only compared. */
  startTime: string
  bootId: string
  /** R, S, D, T, Z, X … as procfs has it. */
  state: string
}

export interface ProcessStat {
  state: string
  ppid: number
  pgid: number
  sessionId: number
  threads: number
  startTime: string
  /** CPU time of its own, and of its children that it has waited for; milliseconds. */
  cpuMs: number
  waitedCpuMs: number
  rssBytes: number
}

/** Identity and state of a process from procfs; null when it is gone (or there is no procfs). */
export function processIdentity(pid: number): ProcessIdentity | null {
  const stat = readStat(pid)
  const boot = bootId()
  return stat && boot ? { startTime: stat.startTime, bootId: boot, state: stat.state } : null
}

export function readStat(pid: number): ProcessStat | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  // The name in field 2 may hold blanks and parentheses, so counting starts behind the last one: [0] is field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, ppid, pgid, sessionId] = fields
  const startTime = fields[19]
  if (!state || !startTime) return null
  const ticks = (from: number) => (Number(fields[from]) + Number(fields[from + 1])) * TICK_MS
  return {
    state,
    ppid: Number(ppid),
    pgid: Number(pgid),
    sessionId: Number(sessionId),
    threads: Number(fields[17]),
    startTime,
    cpuMs: ticks(11),
    waitedCpuMs: ticks(13),
    rssBytes: Number(fields[21]) * pageBytes(),
  }
}

// USER_HZ is 100 on every Linux that Node runs on; programs cannot ask for it without C.
const TICK_MS = 10
let cachedPageBytes = 0

function pageBytes(): number {
  if (cachedPageBytes === 0) {
    const kb = /^KernelPageSize:\s+(\d+) kB/m.exec(readText('/proc/self/smaps') ?? '')
    cachedPageBytes = kb ? Number(kb[1]) * 1024 : 4096
  }
  return cachedPageBytes
}

let cachedBootId: string | null = null

/** Changes with every boot of the machine; null where there is no procfs. */
export function bootId(): string | null {
  try {
    cachedBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim() || null
  } catch {
    return null
  }
  return cachedBootId
}

/** A zombie runs no more, unless only its main thread has ended: then procfs says Z while the other threads work. */
export function isRunning(stat: ProcessStat | null): boolean {
  return stat !== null && stat.state !== 'X' && (stat.state !== 'Z' || stat.threads > 1)
}

/** Pids of a process group that still run, zombies left out. Reads all of /proc: for rare paths only. */
export function runningMembers(pgid: number): number[] {
  return listPids().filter((pid) => {
    const stat = readStat(pid)
    return stat !== null && stat.pgid === pgid && isRunning(stat)
  })
}

/** The variable of this name in the env that the process was started with; null when there is none or it cannot be read. */
export function startedWith(pid: number, name: string): string | null {
  const text = readText(`/proc/${pid}/environ`)
  if (!text) return null
  const at = text.startsWith(`${name}=`) ? 0 : text.indexOf(`\0${name}=`) + 1
  if (at === 0 && !text.startsWith(`${name}=`)) return null
  const end = text.indexOf('\0', at)
  return text.slice(at + name.length + 1, end === -1 ? undefined : end)
}

/** Whether that variable may be in the env of a process: a look without its text, for all processes of a machine. */
export function mayBear(pid: number, name: string): boolean {
  let file: number | null = null
  try {
    file = openSync(`/proc/${pid}/environ`, 'r')
    const length = readSync(file, environ, 0, environ.length, 0)
    // The file is never longer than the kernel lets an env be, but may be longer than what was read.
    return length === environ.length || environ.subarray(0, length).includes(`${name}=`, 0, 'latin1')
  } catch {
    return false
  } finally {
    if (file !== null) closeSync(file)
  }
}

const environ = Buffer.allocUnsafe(64 * 1024)

/** The pid that was given away last, in this pid namespace; null when that cannot be read. */
export function lastPid(): number | null {
  const last = Number(readText('/proc/loadavg')?.trim().split(' ')[4])
  return Number.isSafeInteger(last) && last > 0 ? last : null
}

export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}

export function listPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}
