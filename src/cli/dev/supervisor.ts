/**
 * Keeps the child of `dev` running: starts it, starts it again when it was killed or died, stops it gently. Knows
 * processes and messages, not jobs. Must never leave a child behind.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ChildSettings, FromChild, ToChild } from './messages.js'

export interface SupervisorEvents {
  onMessage(message: FromChild): void
  /** A line that a handler printed. */
  onOutput(line: string): void
  /** The child ended by itself; it is started again after `againInMs`. */
  onDied(how: string, againInMs: number): void
  /** It could not start, or ended before it was ready: nothing is started again. */
  onGivenUp(how: string): void
}

const SOON_MS = 500
const LATEST_MS = 10_000

export class Supervisor {
  private child: ChildProcess | null = null
  private state: 'running' | 'killed' | 'stopping' = 'running'
  private ready = false
  private everReady = false
  private deaths = 0
  private timer: NodeJS.Timeout | null = null
  private gone: (() => void) | null = null

  constructor(
    private readonly settings: ChildSettings,
    private readonly events: SupervisorEvents,
  ) {}

  get pid(): number | undefined {
    return this.child?.pid
  }

  start(): void {
    this.timer = null
    this.ready = false
    this.state = 'running'
    const path = fileURLToPath(new URL('./child.js', import.meta.url))
    const child = fork(path, [JSON.stringify(this.settings)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
    })
    this.child = child
    child.on('message', (message: FromChild) => {
      if (message.kind === 'ready') {
        this.ready = true
        this.everReady = true
      }
      this.events.onMessage(message)
    })
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.events.onOutput(line))
    }
    child.on('error', (error) => this.events.onOutput(error.message))
    child.on('exit', (code, signal) => this.ended(signal ?? `exit code ${code}`))
  }

  /** SIGKILL, as a crash would be; it is started again at once. False when there is nothing to kill. */
  kill(): boolean {
    if (!this.child || !this.ready || this.state !== 'running') return false
    this.state = 'killed'
    return this.child.kill('SIGKILL')
  }

  /** Asks the child to stop; resolves when it is gone. */
  stop(): Promise<void> {
    this.state = 'stopping'
    if (this.timer) clearTimeout(this.timer)
    if (!this.child) return Promise.resolve()
    const gone = new Promise<void>((resolve) => {
      this.gone = resolve
    })
    if (this.child.connected) this.child.send({ kind: 'stop' } satisfies ToChild)
    else this.child.kill('SIGTERM')
    return gone
  }

  /** Ends it now; its jobs go on at the next start. */
  stopNow(): void {
    this.state = 'stopping'
    this.child?.kill('SIGKILL')
  }

  private ended(how: string): void {
    this.child = null
    if (this.state === 'stopping') {
      this.gone?.()
      return
    }
    if (this.state === 'killed') {
      this.start()
      return
    }
    if (!this.everReady) {
      this.events.onGivenUp(how)
      return
    }
    this.deaths = this.ready ? 1 : this.deaths + 1
    const pause = Math.min(LATEST_MS, SOON_MS * 2 ** (this.deaths - 1))
    this.events.onDied(how, pause)
    this.timer = setTimeout(() => this.start(), pause)
  }
}
