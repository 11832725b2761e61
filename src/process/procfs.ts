// What the kernel says about a process. A pid alone says nothing: pids wrap (32,768 in about 55 s at full speed), and
// kill(pid, 0) calls a zombie alive. Identity is pid + start time + boot id, liveness is the state in procfs.
// Must never signal a process or change anything. Everything here is null or empty where there is no procfs.
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessIdentity {
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot, kept as text because it is only compared. */
  startTime: string
  bootId: string
  /** R, S, D, T, Z, X … as procfs has it. */
  state: string
}

export interface ProcessStat {
  state: string
  pgid: number
  sessionId: number
  threads: number
  startTime: string
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
  const [state, , pgid, sessionId] = fields
  const startTime = fields[19]
  if (!state || !startTime) return null
  return { state, pgid: Number(pgid), sessionId: Number(sessionId), threads: Number(fields[17]), startTime }
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

/** Whether the process was started with this variable in its env. False when that cannot be read. */
export function startedWith(pid: number, variable: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(variable)
  } catch {
    return false
  }
}

function listPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}
