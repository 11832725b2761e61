/**
 * Processes of one system on one database, as an operator starts them: `untildone serve` with roles. Each file of tests has
 * a database of its own and ends every process it started.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createClient, type UntildoneClient } from '../../src/client/index.js'
import { LEASE_MS, SHORT_LEASES } from '../torture/lib/leases.mjs'
import { variant } from '../torture/lib/variant.mjs'
import { ownSchema } from './fresh.js'
import { postgresPrograms } from './postgres.mjs'

export { LEASE_MS }

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))

/** A copy of the library with short leases, for processes. @returns its folder; the one above it is removed with it */
export function shortLeases(): string {
  const dist = variant(join(root, 'dist'), 'leases', SHORT_LEASES)
  copyFileSync(join(root, 'package.json'), join(dirname(dist), 'package.json'))
  return dist
}

export interface Line {
  event: string
  [member: string]: unknown
}

export class Member {
  /** Null where nothing is answered. */
  url: string | null = null
  client = null as unknown as UntildoneClient
  /** What it said, in order. */
  readonly lines: Line[] = []
  private trouble = ''
  private readonly gone: Promise<void>
  private waiting: (() => void)[] = []

  constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line))
      this.wake()
    })
    child.stderr!.on('data', (text) => {
      this.trouble += text
    })
    this.gone = new Promise((resolve) => child.once('close', () => resolve(this.wake())))
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
      if (!this.alive)
        throw new Error(`${this.name} ended before it said "${event}":\n${this.trouble}${JSON.stringify(this.lines)}`)
      await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** Resolves when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal)
    await this.gone
  }
}

export interface Start {
  roles?: string
  /** More options of `serve`. */
  options?: readonly string[]
  env?: Record<string, string>
  /** A program instead of `serve`; it prints the same `ready` line. */
  program?: string
}

export class Cast {
  private readonly members: Member[] = []
  private readonly dist = shortLeases()
  private constructor(
    readonly url: string,
    readonly dir: string,
    private readonly sql: pg.Client,
    private readonly more: Record<string, string>,
  ) {}

  /** @param server address of any database of the server; the cast gets a new one there */
  static async open(server: string, env: Record<string, string> = {}): Promise<Cast> {
    const name = ownSchema()
    await asking(server, `create database ${name}`)
    const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
    const sql = new pg.Client(url)
    await sql.connect()
    return new Cast(url, mkdtempSync(join(tmpdir(), 'untildone cast ')), sql, env)
  }

  /** Where they keep uploaded files, all in one folder. */
  get files(): string {
    return join(this.dir, 'files')
  }

  private get env(): NodeJS.ProcessEnv {
    const PATH = [process.env.PATH, postgresPrograms()].filter(Boolean).join(delimiter)
    return { ...process.env, PATH, UNTILDONE_DATABASE: this.url, ...this.more }
  }

  /** Resolves when it says that it is ready. */
  async start(name: string, { roles, options: more = [], env = {}, program }: Start): Promise<Member> {
    const where = ['--jobs', join(here, 'jobs'), '--data', join(this.dir, name), '--files', this.files]
    const port = roles && !roles.includes('api') ? [] : ['--port', '0']
    const options = [...port, '--slots', '4', '--json', ...(roles ? ['--roles', roles] : []), ...more]
    const serve = [join(this.dist, 'cli/main.js'), 'serve', ...where, ...options]
    const child = spawn(process.execPath, program ? [join(here, program)] : serve, {
      cwd: this.dir,
      env: { ...this.env, WORKER: name, DIST: this.dist, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const member = new Member(name, child)
    this.members.push(member)
    const { url } = await member.saw('ready')
    if (typeof url === 'string') Object.assign(member, { url, client: createClient({ url }) })
    return member
  }

  /** Another command line over the same database. */
  async ud(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ exit: number | null; out: string; err: string }> {
    const main = join(this.dist, 'cli/main.js')
    const child = spawn(process.execPath, [main, ...args], { cwd: this.dir, env: { ...this.env, ...env } })
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

  async query(text: string, values: unknown[] = []): Promise<Record<string, any>[]> {
    return (await this.sql.query(text, values)).rows
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()))
    await this.sql.end()
    for (const folder of [this.dir, dirname(this.dist)]) rmSync(folder, { recursive: true, force: true })
  }
}

/** One question over a connection of its own. */
export async function asking(url: string, sql: string): Promise<Record<string, any>[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
