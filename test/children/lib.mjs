// What is left on this machine of the children of one supervisor.
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export function stateOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], ppid: Number(fields[1]), startTime: fields[19] }
  } catch {
    return null
  }
}

export const processes = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** Processes that still bear a mark which begins so, and zombies that `parent` has not reaped. */
export function leftovers(mark, parent = process.pid) {
  const left = { running: [], zombies: [] }
  for (const pid of processes()) {
    if (pid === process.pid) continue
    const stat = stateOf(pid)
    if (!stat) continue
    if (stat.state === 'Z') {
      if (stat.ppid === parent) left.zombies.push(pid)
      continue
    }
    let env = ''
    try {
      env = readFileSync(`/proc/${pid}/environ`, 'latin1')
    } catch {
      continue
    }
    if (env.split('\0').some((one) => one.startsWith(`UNTILDONE_CHILD=${mark}`))) left.running.push(pid)
  }
  return left
}

export const workDirs = (root) => readdirSync(root).filter((name) => name.startsWith('untildone-run-'))

/** Directories of runs come and go while they are looked at: what is gone takes no room. */
export function bytesIn(dir) {
  let bytes = 0
  for (const entry of entriesOf(dir)) {
    const path = join(dir, entry.name)
    bytes += entry.isDirectory() ? bytesIn(path) : (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}

function entriesOf(dir) {
  try {
    return readdirSync(dir, { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

/** mulberry32: the same seed gives the same run. */
export function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
