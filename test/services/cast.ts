/**
 * Processes of one system on one database, as an operator starts them: `untildone serve` with roles. Each file of tests has
 * a database of its own and ends every process it started.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createClient, type UntildoneClient } from '../../src/client/index.js'
import { variant } from '../torture/lib/variant.mjs'
import { ownSchema } from './fresh.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))

/** The times of the leases are shortened in a copy of the library, so that rescues happen while somebody looks. */
export const LEASE_MS = 5000
const SHORT_LEASES: [file: string, text: string, replacement: string][] = [
  ['core/lease.js', 'LEASE_MS = 30_000', `LEASE_MS = ${LEASE_MS}`],
  ['worker/lease.js', 'HEARTBEAT_MS = 5_000', 'HEARTBEAT_MS = 800'],
  ['worker/lease.js', 'SELF_FENCE_MS = 20_000', 'SELF_FENCE_MS = 3300'],
  ['worker/lease.js', 'STALL_MS = 10_000', 'STALL_MS = 2000'],
  ['worker/maintenance.js', 'REAP_MS = 5000', 'REAP_MS = 500'],
  ['worker/maintenance.js', 'HEAL_MS = 5000', 'HEAL_MS = 1000'],
]

export interface Member {
  name: string
  child: ChildProcess
  /** Null where nothing is answered. */
  url: string | null
  client: UntildoneClient
  /** What it said of trouble. */
  said: string[]
  signal(name: NodeJS.Signals): void
  /** Resolves when it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>
}

export interface Start {
  roles?: string
  env?: Record<string, string>
  /** A program instead of `serve`; it prints the same `ready` line. */
  program?: string
}

export class Cast {
  private readonly members = new Set<Member>()
  private readonly dist: string
  private constructor(
    readonly url: string,
    private readonly dir: string,
    readonly sql: pg.Client,
    private readonly env: Record<string, string>,
  ) {
    this.dist = variant(join(root, 'dist'), 'leases', SHORT_LEASES)
    copyFileSync(join(root, 'package.json'), join(dirname(this.dist), 'package.json'))
  }

  /** @param server address of any database of the server; the cast gets a new one there */
  static async open(server: string, env: Record<string, string>): Promise<Cast> {
    const name = ownSchema()
    const admin = new pg.Client(server)
    await admin.connect()
    await admin.query(`create database ${name}`)
    await admin.end()
    const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
    const sql = new pg.Client(url)
    await sql.connect()
    return new Cast(url, mkdtempSync(join(tmpdir(), 'untildone cast ')), sql, env)
  }

  /** Resolves when it says that it is ready. */
  async start(name: string, { roles, env = {}, program }: Start): Promise<Member> {
    const serve = [
      join(this.dist, 'cli/main.js'),
      'serve',
      '--jobs',
      join(here, 'jobs'),
      '--data',
      join(this.dir, name),
    ]
    const options = ['--port', '0', '--slots', '4', '--json', ...(roles ? ['--roles', roles] : [])]
    const child = spawn(process.execPath, program ? [join(here, program)] : [...serve, ...options], {
      cwd: this.dir,
      env: { ...process.env, UNTILDONE_DATABASE: this.url, ...this.env, WORKER: name, DIST: this.dist, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said: string[] = []
    child.stderr!.on('data', (text) => said.push(String(text)))
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const member: Member = {
      ...{ name, child, said, url: null, client: null as unknown as UntildoneClient },
      signal: (signal) => void child.kill(signal),
      end: async (signal = 'SIGKILL') => {
        this.members.delete(member)
        child.kill(signal)
        await gone
      },
    }
    this.members.add(member)
    const ready = await new Promise<{ url: string | null }>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const told = JSON.parse(line)
        if (told.event === 'ready') resolve(told)
        else said.push(line)
      })
      gone.then(() => reject(new Error(`${name} has ended:\n${said.join('\n')}`)))
    })
    if (ready.url !== null) {
      member.url = ready.url
      member.client = createClient({ url: ready.url })
    }
    return member
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, any>[]> {
    return (await this.sql.query(text, values)).rows
  }

  async close(): Promise<void> {
    await Promise.all([...this.members].map((member) => member.end()))
    await this.sql.end()
    for (const folder of [this.dir, dirname(this.dist)]) rmSync(folder, { recursive: true, force: true })
  }
}
