// All processes that one run has brought into the world: the child, its group, its session, and whoever left all three.
// A daemon that called setsid is still found by descent (while its parents live) and by the mark in its env (always, unless
// it cleared its env before anybody looked). Must never count or signal a process that is not proved to be of this run.
import { setTimeout as delay } from 'node:timers/promises'
import { MARK_ENV } from './owner.js'
import { isRunning, lastPid, listPids, type ProcessStat, readStat, startedWith } from './procfs.js'

/** What one look at a tree has seen. */
export interface Sample {
  processes: number
  zombies: number
  rssBytes: number
  cpuMs: number
}

// Children of one parent look within the same instant: they share one reading of /proc.
const SHARED_MS = 40
const GONE_WITHIN_MS = 2_000
/** After so long the pids may have wrapped, and only a look at all of them is sure to meet the marked ones. */
const WRAP_MS = 10_000

let shared: { at: number; all: Map<number, ProcessStat> } | null = null

function everything(maxAgeMs: number): Map<number, ProcessStat> {
  const now = performance.now()
  if (shared && now - shared.at <= maxAgeMs) return shared.all
  const all = new Map<number, ProcessStat>()
  for (const pid of listPids()) {
    const stat = readStat(pid)
    if (stat) all.set(pid, stat)
  }
  shared = { at: now, all }
  return all
}

export class Tree {
  /** The most processes, zombies and memory at one time, and the CPU time of all; null until somebody looked. */
  peak: Sample | null = null
  readonly #seen = new Map<number, ProcessStat>()
  readonly #since = performance.now()

  constructor(
    private readonly pid: number,
    private readonly startTime: string,
    private readonly mark: string,
  ) {}

  /** How many different processes were seen, the child itself included. */
  get seen(): number {
    return Math.max(1, this.#seen.size)
  }

  /** Looks at all processes of this machine; those of the run are remembered. */
  look(): Sample {
    const members = this.#members(everything(SHARED_MS))
    const sample = { processes: 0, zombies: 0, rssBytes: 0, cpuMs: 0 }
    let waited = 0
    for (const [pid, stat] of members) {
      if (isRunning(stat)) sample.processes += 1
      else if (pid !== this.pid) sample.zombies += 1
      sample.rssBytes += stat.rssBytes
      waited += stat.cpuMs + stat.waitedCpuMs
    }
    // A process that ended between two looks is in its parent's account, one whose parent went is in its own.
    let own = 0
    for (const { cpuMs } of this.#seen.values()) own += cpuMs
    sample.cpuMs = Math.max(own, waited)
    const before = this.peak ?? sample
    this.peak = {
      processes: Math.max(before.processes, sample.processes),
      zombies: Math.max(before.zombies, sample.zombies),
      rssBytes: Math.max(before.rssBytes, sample.rssBytes),
      cpuMs: Math.max(before.cpuMs, sample.cpuMs),
    }
    return { ...sample, cpuMs: this.peak.cpuMs }
  }

  /** Signals those that have left the group of the child, as far as they are known. */
  signalEscaped(signal: NodeJS.Signals): void {
    for (const [pid, stat] of this.#seen) if (stat.pgid !== this.pid) signalIf(pid, stat.startTime, signal)
  }

  /** Kills what is left outside the group once the child is gone. @returns how many were found, and how many still run */
  async killEscaped(): Promise<{ found: number; left: number }> {
    const found = new Set<number>()
    const end = performance.now() + GONE_WITHIN_MS
    for (let step = 2; ; step = Math.min(step * 2, 100)) {
      // Again after each round: a daemon may have forked between the look and its KILL.
      const running = this.#escaped()
      for (const [pid, stat] of running) {
        found.add(pid)
        signalIf(pid, stat.startTime, 'SIGKILL')
      }
      if (running.length === 0 || performance.now() > end) return { found: found.size, left: running.length }
      await delay(step)
    }
  }

  #escaped(): [number, ProcessStat][] {
    const running: [number, ProcessStat][] = []
    const consider = (pid: number, isOurs: (stat: ProcessStat) => boolean) => {
      const stat = readStat(pid)
      if (stat && isRunning(stat) && isOurs(stat)) running.push([pid, stat])
    }
    for (const [pid, { startTime }] of this.#seen) {
      if (pid !== this.pid) consider(pid, (stat) => stat.startTime === startTime)
    }
    for (const pid of this.#youngerPids()) {
      const known = this.#seen.get(pid)?.startTime
      if (pid !== this.pid) consider(pid, (stat) => stat.startTime !== known && this.#isMarked(pid, stat))
    }
    return running
  }

  /** Pids are given away in order, so whoever is younger than the child has a number between its and the last. */
  #youngerPids(): number[] {
    const last = performance.now() - this.#since < WRAP_MS ? lastPid() : null
    if (last === null) return listPids()
    if (last === this.pid) return []
    // Few numbers are cheaper to try one by one than to list.
    if (last > this.pid && last - this.pid < 64) return Array.from({ length: last - this.pid }, (_, n) => last - n)
    return listPids().filter((pid) => (last > this.pid ? pid > this.pid && pid <= last : pid > this.pid || pid <= last))
  }

  #isMarked(pid: number, stat: ProcessStat): boolean {
    return Number(stat.startTime) >= Number(this.startTime) && startedWith(pid, MARK_ENV) === this.mark
  }

  #members(all: Map<number, ProcessStat>): Map<number, ProcessStat> {
    const members = new Map<number, ProcessStat>()
    const add = (pid: number, stat: ProcessStat) => {
      members.set(pid, stat)
      this.#seen.set(pid, stat)
    }
    for (const [pid, stat] of all) {
      const known = this.#seen.get(pid)
      if (known ? known.startTime === stat.startTime : this.#belongs(pid, stat)) add(pid, stat)
    }
    for (let grown = true; grown; ) {
      grown = false
      for (const [pid, stat] of all) {
        if (members.has(pid) || !members.has(stat.ppid)) continue
        add(pid, stat)
        grown = true
      }
    }
    return members
  }

  #belongs(pid: number, stat: ProcessStat): boolean {
    if (pid === this.pid) return stat.startTime === this.startTime
    // The number of our group cannot be anybody else's while the child is not reaped, and the start time covers the rest.
    const grouped = stat.pgid === this.pid || stat.sessionId === this.pid
    return grouped && Number(stat.startTime) >= Number(this.startTime)
  }
}

/** Signals a process only if it is still the same. */
export function signalIf(pid: number, startTime: string, signal: NodeJS.Signals): boolean {
  if (pid <= 1 || pid === process.pid || readStat(pid)?.startTime !== startTime) return false
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
