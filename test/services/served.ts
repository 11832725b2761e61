/** Processes of `untildone serve` that share a PostgreSQL database, as they are started in earnest. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { createClient, type UntildoneClient } from '../../src/client/index.js'
import { freePort, postgresPrograms } from './postgres.mjs'

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'bin/untildone.js')
const JOBS = join(import.meta.dirname, 'jobs')

export interface Line {
  event: string
  [member: string]: unknown
}

export class Fleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'untildone-fleet-'))
  private readonly all: Served[] = []

  private constructor(
    readonly database: string,
    private readonly admin: string,
    private readonly name: string,
  ) {}

  /** A database of its own on this server. */
  static async on(admin: string, name: string): Promise<Fleet> {
    const own = `${name}_${process.pid}`
    await asking(admin, `create database ${own}`)
    const url = new URL(admin)
    url.pathname = `/${own}`
    return new Fleet(url.href, admin, own)
  }

  /** One folder for all of them. */
  get files(): string {
    return join(this.folder, 'files')
  }

  start(roles: string, port = 0): Served {
    const data = join(this.folder, `p${this.all.length}`)
    const args = [
      'serve',
      '--roles',
      roles,
      '--jobs',
      JOBS,
      '--data',
      data,
      '--port',
      `${port}`,
      '--files',
      this.files,
      '--json',
    ]
    const served = new Served(args, this.env, this.folder)
    this.all.push(served)
    return served
  }

  async api(roles = 'api,maintenance'): Promise<{ served: Served; client: UntildoneClient; url: string }> {
    const served = this.start(roles, await freePort())
    const { url } = await served.saw('ready')
    return { served, client: createClient({ url: String(url) }), url: String(url) }
  }

  get env(): NodeJS.ProcessEnv {
    const programs = postgresPrograms()
    const PATH = [process.env.PATH, programs].filter(Boolean).join(delimiter)
    return { ...process.env, PATH, UNTILDONE_DATABASE: this.database }
  }

  /** Another command line over the same database. */
  async ud(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ exit: number | null; out: string; err: string }> {
    const child = spawn(process.execPath, [BIN, ...args], { cwd: this.folder, env: { ...this.env, ...env } })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    const exit = await new Promise<number | null>((resolve) => child.on('close', resolve))
    return { exit, out, err }
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((served) => served.stop()))
    await asking(this.admin, `drop database ${this.name} with (force)`)
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Served {
  readonly lines: Line[] = []
  private readonly child: ChildProcess
  private readonly ended: Promise<void>
  private err = ''
  private waiting: (() => void)[] = []

  constructor(args: string[], env: NodeJS.ProcessEnv, cwd: string) {
    this.child = spawn(process.execPath, [BIN, ...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let rest = ''
    this.child.stdout!.on('data', (chunk) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop()!
      this.lines.push(...parts.map((line) => JSON.parse(line) as Line))
      this.wake()
    })
    this.child.stderr!.on('data', (chunk) => {
      this.err += chunk
    })
    this.ended = new Promise((resolve) => this.child.on('close', () => resolve(this.wake())))
  }

  get pid(): number {
    return this.child.pid!
  }
  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Resolves with the first line about this event. @throws Error when the process ends before it comes */
  async saw(event: string): Promise<Line> {
    for (;;) {
      const line = this.lines.find((one) => one.event === event)
      if (line) return line
      if (!this.alive) throw new Error(`Ended before it said "${event}":\n${this.err}${JSON.stringify(this.lines)}`)
      await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.alive) this.child.kill(signal)
    await this.ended
  }
}

export async function asking(url: string, sql: string): Promise<Record<string, any>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
