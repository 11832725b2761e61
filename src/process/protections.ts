// Which protections of children this host gives, each tried out rather than looked up; for `doctor`.
// Must never change anything that outlives the look, and never reject.
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { delegatedCgroup } from './cgroup.js'
import { type Disk, diskOf } from './disk.js'
import { findTools } from './limits.js'
import { oomCount } from './oom.js'
import { processIdentity, readStat } from './procfs.js'
import { workRoot } from './work.js'

/** Which protections are active on this machine. */
export interface Protections {
  /** Zombies and reused pids are recognised, whole trees are watched and escaped daemons found (procfs). */
  procfs: boolean
  /** A child is killed when the thread that started it dies (setpriv --pdeathsig). */
  parentDeath: boolean
  /** Children write no core files, and `limits.cpuSeconds` and `fileBytes` are the kernel's (prlimit). */
  coreLimit: boolean
  /** `memoryMb` is enforced (prlimit --as). */
  memoryLimit: boolean
  /** `strong` works: a pid namespace of its own for each child. */
  pidNamespace: boolean
  /** The delegated cgroup v2 below which children run; null = none. */
  cgroup: string | null
  /** Why the one that UNTILDONE_CGROUP names is not used; null = it is, or none is named. */
  cgroupRefused: string | null
  /** A kill for memory is told apart from any other KILL for certain. */
  oom: boolean
  /** Orphans that end are reaped by process 1; otherwise each stays a zombie as long as this machine or container. */
  reaper: boolean
  /** Room below the folder for private work directories; `low` = no child is started. */
  disk: Disk
}

export async function protections(): Promise<Protections> {
  const [tools, reaper, disk] = await Promise.all([findTools(), hasReaper(), diskOf(workRoot())])
  const cgroup = delegatedCgroup()
  return {
    procfs: processIdentity(process.pid) !== null,
    parentDeath: tools.setpriv !== null,
    coreLimit: tools.prlimit !== null,
    memoryLimit: tools.prlimit !== null,
    pidNamespace: tools.unshare !== null,
    cgroup: cgroup?.ok ? cgroup.dir : null,
    cgroupRefused: cgroup && !cgroup.ok ? `${cgroup.dir}: ${cgroup.why}` : null,
    oom: cgroup?.ok === true || oomCount().cgroup !== null,
    reaper,
    disk,
  }
}

const REAPED_WITHIN_MS = 5_000
let reaping: Promise<boolean> | null = null

/** Leaves an orphan behind that ends at once, and looks whether it vanishes. */
function hasReaper(): Promise<boolean> {
  reaping ??= new Promise<number>((resolve) => {
    const script = 'sleep 0.05 >/dev/null 2>&1 & echo $!'
    execFile('/bin/sh', ['-c', script], { timeout: 5_000, env: {} }, (_, stdout) => resolve(Number(stdout)))
  }).then(async (pid) => {
    const born = pid > 0 ? readStat(pid) : null
    if (!born) return pid > 0
    // Some look only every few seconds.
    for (let waited = 0; waited < REAPED_WITHIN_MS; waited += 50) {
      await delay(50)
      if (readStat(pid)?.startTime !== born.startTime) return true
    }
    return false
  })
  return reaping
}
