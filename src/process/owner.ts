// Who supervises a child, written into its env and into the name of its work directory, so that what a killed supervisor
// leaves behind is recognised without any store: the owner is dead, therefore nobody waits for it any more.
// Must never call an owner dead that may live: another boot, machine or pid namespace is `unknown`.
import { readlinkSync } from 'node:fs'
import { bootId, readStat } from './procfs.js'

/** Marks every process started here and its descendants: `<owner>.<nonce of the run>`. */
export const MARK_ENV = 'UNTILDONE_CHILD'

let cached: string | null = null

/** `<boot>.<pid namespace>.<pid>.<start time>` of this process; zeros where there is no procfs. */
export function ownerName(): string {
  cached ??= [place() ?? '0.0', process.pid, readStat(process.pid)?.startTime ?? '0'].join('.')
  return cached
}

export function markOf(nonce: string): string {
  return `${ownerName()}.${nonce}`
}

/** What is known of the owner that a mark or a directory name begins with. */
export function ownerState(text: string): 'alive' | 'dead' | 'unknown' {
  const [boot, namespace, pid, startTime] = text.split('.')
  if (!startTime || !/^\d+$/.test(pid ?? '') || startTime === '0') return 'unknown'
  if (`${boot}.${namespace}` !== place()) return 'unknown'
  return readStat(Number(pid))?.startTime === startTime ? 'alive' : 'dead'
}

/** Pids mean something only inside one boot and one pid namespace. */
function place(): string | null {
  const boot = bootId()?.replaceAll('-', '').slice(0, 8)
  try {
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]
    return boot && namespace ? `${boot}.${namespace}` : null
  } catch {
    return null
  }
}
