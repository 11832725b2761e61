/**
 * Runs other programs for the tests that look at Untildone from outside: to their end, or in the background until stopped.
 * Their environment holds nothing of the npm that started the tests.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}
export interface RunOptions {
  cwd: string
  env?: Record<string, string>
  timeoutMs?: number
}

/** The environment of a person at a fresh shell. */
export function plainEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(npm_(package|lifecycle)_|npm_(command|execpath|node_execpath)$|npm_config_(local|global)_prefix$|INIT_CWD$|VITEST|NODE_ENV$|NODE_OPTIONS$|FORCE_COLOR$|UNTILDONE_)/i.test(
        name,
      ),
  )
  return { ...Object.fromEntries(kept), NO_COLOR: '1', npm_config_update_notifier: 'false', ...more }
}

/** Runs a program to its end; a non-zero exit is a value, not an exception. */
export async function exec(command: string, args: string[], options: RunOptions): Promise<Ended> {
  const program = start(command, args, options)
  const timer = setTimeout(() => program.kill('SIGKILL'), options.timeoutMs ?? 120_000)
  const code = await program.ended
  clearTimeout(timer)
  return { code, stdout: program.stdout, stderr: program.stderr }
}

/** The same, for programs that must work. */
export async function must(command: string, args: string[], options: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await exec(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
  return stdout
}

export interface Program {
  readonly pid: number
  readonly stdout: string
  readonly stderr: string
  /** Exit code, or null after a signal. */
  readonly ended: Promise<number | null>
  /** Signals the program alone, or with its whole process group. */
  kill(signal: NodeJS.Signals, group?: 'group'): void
  /** The first match in what it has written to stdout, or an error with everything that it wrote. */
  until(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
}

/** Starts a program in a process group of its own, with nothing on stdin. */
export function start(command: string, args: string[], { cwd, env }: RunOptions): Program {
  const child: ChildProcess = spawn(command, args, {
    cwd,
    env: plainEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const written = { stdout: '', stderr: '' }
  let heard = () => {}
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
      heard()
    })
  }
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      written.stderr += error.message
      resolve(127)
    })
    child.on('close', (code) => resolve(code))
  })
  const describe = () => `${command} ${args.join(' ')}\nstdout: ${written.stdout}\nstderr: ${written.stderr}`
  return {
    pid: child.pid ?? 0,
    get stdout() {
      return written.stdout
    },
    get stderr() {
      return written.stderr
    },
    ended,
    kill(signal, group) {
      try {
        process.kill(group ? -child.pid! : child.pid!, signal)
      } catch {
        // It is gone already.
      }
    },
    until(pattern, timeoutMs = 30_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`No ${pattern} within ${timeoutMs} ms from ${describe()}`)),
          timeoutMs,
        )
        heard = () => {
          const found = pattern.exec(written.stdout)
          if (!found) return
          clearTimeout(timer)
          resolve(found)
        }
        heard()
        void ended.then((code) => {
          clearTimeout(timer)
          reject(new Error(`Ended with ${code} before ${pattern}: ${describe()}`))
        })
      })
    },
  }
}

/** Command lines of the processes whose working directory is inside a folder; Linux only, elsewhere none. */
export function processesIn(folder: string): string[] {
  return pids().flatMap((pid) => {
    try {
      const cwd = readlinkSync(`/proc/${pid}/cwd`)
      const inside = cwd === folder || cwd.startsWith(`${folder}/`)
      return inside ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`] : []
    } catch {
      return []
    }
  })
}

function pids(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}
