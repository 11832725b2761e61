// For the tests of the demos: runs one as people run it, the program alone and without a terminal, and looks at what it
// printed.
import { spawn } from 'node:child_process'
import { expect } from 'vitest'

interface DemoRun {
  cwd: string
  env?: Record<string, string>
  args?: string[]
  /** What it prints when it is to be told to stop. */
  stopAt?: RegExp
}

/** Runs it to its end; `silentMs` is the longest time for which it said nothing. Nothing of it goes on running. */
export async function runDemo(program: string, { cwd, env = {}, args = [], stopAt }: DemoRun) {
  const child = spawn(process.execPath, [program, ...args], { cwd, env: { ...process.env, ...env }, detached: true })
  let printed = ''
  let spoke = Date.now()
  let silentMs = 0
  let stopped = false
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      silentMs = Math.max(silentMs, Date.now() - spoke)
      spoke = Date.now()
      printed += text
      if (stopAt?.test(printed) && !stopped) stopped = child.kill('SIGTERM')
    })
  try {
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
    return { code, printed, silentMs }
  } finally {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  }
}

/** Each pattern is looked for behind the one before it. */
export function expectInOrder(text: string, patterns: RegExp[]): void {
  let from = 0
  for (const pattern of patterns) {
    const match = pattern.exec(text.slice(from))
    expect(match, `${pattern} in:\n${text.slice(from)}`).not.toBeNull()
    from += match!.index + match![0].length
  }
}
