// Signals to process groups, and the start-up sweep of groups that a former process left behind.
// Must never signal a group that cannot be told to be ours, and never call one gone before it is.
// A descendant that called setsid has left its group: `killAbandoned` finds it by the mark in its env.
import { setTimeout as delay } from 'node:timers/promises'
import { MARK_ENV, ownerState } from './owner.js'
import { bootId, isRunning, listPids, mayBear, readStat, runningMembers, startedWith } from './procfs.js'
import { totals } from './totals.js'
import { signalIf } from './tree.js'

// A killed process can take its time: freeing much memory, or finishing a disk write.
const GONE_WITHIN_MS = 2_000

/** True when the signal was sent to somebody; says nothing about its effect. */
export function signalGroup(pgid: number, signal: NodeJS.Signals): boolean {
  // kill(-1) means everybody and kill(-0) our own group.
  if (!Number.isSafeInteger(pgid) || pgid <= 1) return false
  try {
    process.kill(-pgid, signal)
    return true
  } catch {
    return false
  }
}

/** Whether a group has any member, zombies included. */
export function groupExists(pgid: number): boolean {
  try {
    process.kill(-pgid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Signals what is left of a group whose leader is already reaped; false when there is nothing left of it. */
export function signalOrphans(pgid: number, signal: NodeJS.Signals): boolean {
  // The kernel gives no pid away while a group of that number exists: a process with it means that our group is gone.
  return readStat(pgid) === null && signalGroup(pgid, signal)
}

/** Kills the same and waits until it is gone. Resolves to false when some of it still runs after 2 s. */
export async function killOrphans(pgid: number): Promise<boolean> {
  return signalOrphans(pgid, 'SIGKILL') ? untilGone(pgid) : true
}

/** Waits until no member of a killed group runs; zombies that nobody reaps do not count as running. */
export async function untilGone(pgid: number): Promise<boolean> {
  for (let waited = 0, step = 5; waited < GONE_WITHIN_MS; waited += step, step = Math.min(step * 2, 100)) {
    if (!groupExists(pgid)) return true
    // Reading all of /proc is dear; nearly always the group is gone within the first steps.
    if (waited > 50 && bootId() && runningMembers(pgid).length === 0) return true
    await delay(step)
  }
  return !groupExists(pgid)
}

/** A group as its owner recorded it in `onSpawn`. */
export interface StrayRecord {
  pgid: number
  startTime: string | null
  bootId: string | null
}

/**
 * Kills groups that a former process of this machine left behind, and waits until they are gone. Identity is checked by
 * boot id and start time; a group whose leader is gone must have a member with our mark in its env. Whatever cannot be
 * proved to be ours is never signalled and counts as `gone`; what still runs 2 s after KILL counts as neither.
 * Never rejects.
 */
export async function killStrays(records: readonly StrayRecord[]): Promise<{ killed: number; gone: number }> {
  const ours = records.filter(isOurs)
  // All at once, so that many slow deaths take 2 s together rather than each.
  const ends = await Promise.all(
    ours.map((record) => {
      signalGroup(record.pgid, 'SIGKILL')
      return untilGone(record.pgid)
    }),
  )
  return { killed: ends.filter(Boolean).length, gone: records.length - ours.length }
}

function isOurs({ pgid, startTime, bootId: boot }: StrayRecord): boolean {
  if (!Number.isSafeInteger(pgid) || pgid <= 1 || !startTime || !boot || boot !== bootId()) return false
  if (pgid === readStat(process.pid)?.pgid || !groupExists(pgid)) return false
  const leader = readStat(pgid)
  if (leader) {
    // A zombie leader may still have living members; without any there is nothing to kill.
    return leader.startTime === startTime && (isRunning(leader) || runningMembers(pgid).length > 0)
  }
  // Our group can outlive its leader. Then only a stranger that reused the number and died again could be mistaken
  // for it, so a member must prove itself (members share a session, so one is enough).
  const members = runningMembers(pgid)
  return members.some((pid) => isMarked(pid, pgid))
}

function isMarked(pid: number, pgid: number): boolean {
  return readStat(pid)?.sessionId === pgid && startedWith(pid, MARK_ENV) !== null
}

/**
 * Kills every process of this machine whose mark names a supervisor that is dead, daemons that left their group included,
 * and waits until they are gone. Needs no record: the mark is in the env that a process was started with. Never touches
 * children of a supervisor that lives, or of one in another container. Never rejects.
 * @returns how many were killed, and how many still run 2 s after their KILL
 */
export async function killAbandoned(): Promise<{ killed: number; running: number }> {
  const killed = new Set<string>()
  // Who runs inside a child of a dead supervisor would otherwise end itself.
  const own = process.env[MARK_ENV]
  for (let waited = 0, step = 5; ; waited += step, step = Math.min(step * 2, 100)) {
    let running = 0
    for (const pid of listPids()) {
      // Most processes bear no mark, and whether one does is the cheaper look. Whose it is counts only after the start time
      // was read, since the number may be given away in between.
      if (!mayBear(pid, MARK_ENV)) continue
      const stat = readStat(pid)
      const mark = pid !== process.pid && isRunning(stat) ? startedWith(pid, MARK_ENV) : null
      if (!mark || mark === own || ownerState(mark) !== 'dead') continue
      running += 1
      if (signalIf(pid, stat!.startTime, 'SIGKILL')) killed.add(`${pid} ${stat!.startTime}`)
    }
    // Again after each round: one may have forked between the look and its KILL.
    if (running === 0 || waited >= GONE_WITHIN_MS) {
      totals.abandoned += killed.size
      return { killed: killed.size, running }
    }
    await delay(step)
  }
}
