// Which page engines run below a process right now, as the operating system tells it (procfs, or ps where there is none).
// It looks from outside: it must never ask the product, and it changes nothing.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** @typedef {{ pid: number, engine: string, page: number }} RunningEngine */

/** @param {number} root @returns {RunningEngine[]} */
export function findEngines(root) {
  const all = existsSync('/proc/self/stat') ? fromProcfs() : fromPs()
  const parents = new Map(all.map(({ pid, parent }) => [pid, parent]))
  return all.flatMap(({ pid, command }) => {
    // A program that is only about to become the engine (setpriv, prlimit) does not begin with Node's name.
    const match = /engines\/(fast|robust|native)\.mjs .+ (\d+)$/.exec(command)
    if (!match || !command.startsWith(`${process.execPath} `) || !isBelow(pid, root, parents)) return []
    return [{ pid, engine: match[1], page: Number(match[2]) }]
  })
}

/** @param {number} pid @param {number} root @param {Map<number, number>} parents */
function isBelow(pid, root, parents) {
  for (let at = parents.get(pid), steps = 0; at && steps < 100; at = parents.get(at), steps += 1) {
    if (at === root) return true
  }
  return false
}

function fromProcfs() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
        // The name in field 2 may hold blanks and parentheses; what follows it are the state and the parent.
        const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replace(/\0$/, '').replaceAll('\0', ' ')
        return [{ pid: Number(name), parent: Number(parent), command }]
      } catch {
        return []
      }
    })
}

function fromPs() {
  return execFileSync('ps', ['-axo', 'pid=,ppid=,command='], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => {
      const match = /^\s*(\d+)\s+(\d+)\s+(.*\S)\s*$/.exec(line)
      return match ? [{ pid: Number(match[1]), parent: Number(match[2]), command: match[3] }] : []
    })
}
