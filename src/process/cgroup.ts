// A cgroup v2 of its own for each child, below a folder that was delegated to us by name: memory and process limits of the
// kernel, a kill that nobody escapes, and a counter that tells a kill for memory from any other.
// Must never touch a cgroup that was not named: the one we run in belongs to whoever started us.
import { accessSync, constants, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { numberAfter } from './oom.js'
import { readText } from './procfs.js'
import type { ProcessLimits } from './spec.js'

/** Names the delegated folder, such as `/sys/fs/cgroup/system.slice/untildone.service/children`. */
const CGROUP_ENV = 'UNTILDONE_CGROUP'

/** The folder that the environment names; `ok` = it can be used. Null when none is named. */
export function delegatedCgroup(): { dir: string; ok: boolean; why: string } | null {
  const dir = process.env[CGROUP_ENV]
  if (!dir) return null
  const controllers = readText(`${dir}/cgroup.subtree_control`)?.trim().split(' ')
  if (!controllers) return { dir, ok: false, why: 'it is no cgroup v2 folder' }
  const missing = ['memory', 'pids'].filter((name) => !controllers.includes(name))
  if (missing.length > 0) return { dir, ok: false, why: `its cgroup.subtree_control lacks ${missing.join(' and ')}` }
  try {
    accessSync(dir, constants.W_OK)
    return { dir, ok: true, why: '' }
  } catch {
    return { dir, ok: false, why: 'this user may not write to it' }
  }
}

/** The cgroup of one child. */
export class Cgroup {
  private constructor(private readonly path: string) {}

  /** Null when none is delegated or it cannot be made: then the other limits hold alone. */
  static make(nonce: string, limits: Pick<ProcessLimits, 'rssMb' | 'processes'>): Cgroup | null {
    const delegated = delegatedCgroup()
    if (!delegated?.ok) return null
    const group = new Cgroup(`${delegated.dir}/untildone-${nonce}`)
    try {
      mkdirSync(group.path)
      if (limits.rssMb !== undefined) group.#write('memory.max', Math.floor(limits.rssMb * 1024 * 1024))
      if (limits.rssMb !== undefined) group.#try('memory.swap.max', 0)
      if (limits.processes !== undefined) group.#write('pids.max', limits.processes)
      return group
    } catch {
      group.#tryRemove()
      return null
    }
  }

  /** To be called in the tick of the spawn, before the program can have forked. False when the kernel refuses. */
  take(pid: number): boolean {
    return this.#try('cgroup.procs', pid)
  }

  /** Kills all that is in it, whatever it did to get away. */
  kill(): void {
    this.#try('cgroup.kill', 1)
  }

  get killedForMemory(): boolean {
    return (numberAfter('oom_kill', readText(`${this.path}/memory.events`)) ?? 0) > 0
  }

  get peakBytes(): number | null {
    const text = readText(`${this.path}/memory.peak`)
    return text ? Number(text) : null
  }

  /** Kills the rest and removes it; the kernel refuses as long as somebody is in it. */
  async remove(): Promise<boolean> {
    this.kill()
    for (let step = 2; step < 1_500; step *= 2) {
      if (this.#tryRemove()) return true
      await delay(step)
    }
    return this.#tryRemove()
  }

  #write(name: string, value: number): void {
    writeFileSync(`${this.path}/${name}`, String(value))
  }

  #try(name: string, value: number): boolean {
    try {
      this.#write(name, value)
      return true
    } catch {
      return false
    }
  }

  #tryRemove(): boolean {
    try {
      rmdirSync(this.path)
      return true
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT'
    }
  }
}
