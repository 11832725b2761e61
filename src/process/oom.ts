// Whether a child that got a KILL from nobody we know was killed by the kernel for memory.
// Reads counters only, never the kernel's log: that needs rights, and wording changes. Must never guess: what the counters
// leave open is `unknown`.
import { readText } from './procfs.js'

/** OOM kills so far that could have met a child of ours: of the machine, and of our own memory cgroup where that counts. */
export interface OomCount {
  machine: number | null
  cgroup: number | null
}

let ownCounter: string | null | undefined

// Reading the counters of the machine is dear beside a start. An older reading can only say less: "cannot be told".
const KEPT_MS = 1_000
let last: { at: number; count: OomCount } | null = null

/** The counters before a start, at most a second old. */
export function oomBaseline(): OomCount {
  return last && performance.now() - last.at < KEPT_MS ? last.count : oomCount()
}

export function oomCount(): OomCount {
  if (ownCounter === undefined) ownCounter = findOwnCounter()
  const count = {
    machine: numberAfter('oom_kill', readText('/proc/vmstat')),
    cgroup: ownCounter ? numberAfter('oom_kill', readText(ownCounter)) : null,
  }
  last = { at: performance.now(), count }
  return count
}

/** `yes` only if our own cgroup counted one; a machine that counted none answers `no`; anything else cannot be told. */
export function killedForMemory(before: OomCount, after: OomCount): 'yes' | 'no' | 'unknown' {
  if (before.cgroup !== null && after.cgroup !== null && after.cgroup > before.cgroup) return 'yes'
  if (before.machine === null || after.machine === null) return 'unknown'
  return after.machine > before.machine ? 'unknown' : 'no'
}

/** memory.events of cgroup v2, memory.oom_control of v1; the path as seen from inside a container comes first. */
function findOwnCounter(): string | null {
  for (const line of (readText('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = line.split(':')
    if (path === undefined) continue
    const places =
      controllers === ''
        ? [`/sys/fs/cgroup${path}/memory.events`, '/sys/fs/cgroup/memory.events']
        : controllers!.split(',').includes('memory')
          ? [`/sys/fs/cgroup/memory${path}/memory.oom_control`, '/sys/fs/cgroup/memory/memory.oom_control']
          : []
    for (const file of places) if (numberAfter('oom_kill', readText(file)) !== null) return file
  }
  return null
}

export function numberAfter(word: string, text: string | null): number | null {
  const found = new RegExp(`^${word} (\\d+)$`, 'm').exec(text ?? '')
  return found ? Number(found[1]) : null
}
