/**
 * A PostgreSQL server of one's own: a fresh data folder, a free port, settings as in production (fsync included). Tests,
 * demos and benchmarks start it, may kill, freeze and restart it, and leave nothing behind.
 */
import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export const POSTGRES_NEEDS = 'needs PostgreSQL 14 or newer; enable: apt-get install postgresql'

/** Folder with `initdb` and `postgres`; null where there is none. */
export function postgresPrograms() {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...versions.map((v) => join(debian, v, 'bin'))]
  return folders.find((dir) => existsSync(join(dir, 'initdb')) && existsSync(join(dir, 'postgres'))) ?? null
}

/** PostgreSQL refuses to run as root. */
function unprivileged() {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag, name) => Number(spawnSync('id', [flag, name]).stdout?.toString().trim() || Number.NaN)
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = [idOf('-u', name), idOf('-g', name)]
    if (Number.isInteger(uid) && Number.isInteger(gid)) return { uid, gid }
  }
  return { uid: 65534, gid: 65534 }
}

/** Processes that this one has started, where the system says so. */
function childrenOf(pid) {
  const listed = spawnSync('ps', ['-A', '-o', 'pid=,ppid=']).stdout?.toString() ?? ''
  const pairs = listed.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child)
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/**
 * @param settings lines of postgresql.conf by name
 * @param inMemory keeps the data in memory where there is such a folder: what a sync costs is then not what is asked
 */
export async function startPostgres({ settings = {}, inMemory = false } = {}) {
  const programs = postgresPrograms()
  if (!programs) throw new Error(POSTGRES_NEEDS)
  const as = unprivileged()
  const base = mkdtempSync(join(inMemory && existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'untildone-pg-'))
  const data = join(base, 'data')
  const options = { ...as, cwd: base, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C.UTF-8' } }
  if (as.uid !== undefined) chownSync(base, as.uid, as.gid)
  const made = spawnSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'untildone', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    options,
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const port = await freePort()
  const all = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 100,
    shared_buffers: '128MB',
    max_wal_size: '1GB',
    ...settings,
  }
  const server = new PostgresServer({ base, data, port, programs, options, settings: all })
  await server.start()
  return server
}

class PostgresServer {
  constructor(about) {
    Object.assign(this, about)
    this.url = `postgres://untildone@127.0.0.1:${this.port}/postgres`
    this.process = null
    this.log = ''
    this.onExit = () => {
      this.signal('SIGKILL')
      try {
        rmSync(this.base, { recursive: true, force: true })
      } catch {}
    }
    process.on('exit', this.onExit)
  }

  async start() {
    const giveUp = Date.now() + 30_000
    while (!(await this.#startOnce(giveUp))) await delay(50)
  }

  /** @returns false where what was killed has not quite gone yet */
  async #startOnce(giveUp) {
    const args = Object.entries(this.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(join(this.programs, 'postgres'), ['-D', this.data, ...args], {
      ...this.options,
      detached: true,
    })
    this.process = child
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
      this.log = (this.log + chunk).slice(-20_000)
    })
    child.stdout.resume()
    child.once('exit', () => {
      if (this.process === child) this.process = null
    })
    for (;;) {
      if (said.includes('database system is ready to accept connections')) {
        said = ''
        return true
      }
      // What it said may come after its end.
      if (this.process === null) await delay(30)
      const early = this.process === null && /shared memory block|another server|Address already in use/.test(said)
      if (early && Date.now() < giveUp) return false
      if (this.process === null || Date.now() > giveUp) throw new Error(`PostgreSQL did not start:\n${this.log}`)
      await delay(30)
    }
  }

  /** To the server and all its backends, each of which is a process group of its own. */
  signal(name) {
    const { pid } = this.process ?? {}
    if (!pid) return
    // The server first and last: what it starts meanwhile must not be left out.
    const send = (to, what) => {
      try {
        process.kill(to, what)
      } catch {}
    }
    if (name !== 'SIGCONT') send(pid, 'SIGSTOP')
    for (const child of childrenOf(pid)) send(child, name)
    send(pid, name)
  }

  /** @param how `kill`: everything at once, as with the machine; `crash`: without a checkpoint; `fast`: an orderly stop */
  async stop(how = 'fast') {
    const child = this.process
    if (!child) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    if (how === 'kill') this.signal('SIGKILL')
    else child.kill(how === 'crash' ? 'SIGQUIT' : 'SIGINT')
    await gone
  }

  async restart(how = 'fast') {
    await this.stop(how)
    await this.start()
  }

  async remove() {
    await this.stop('crash')
    process.off('exit', this.onExit)
    rmSync(this.base, { recursive: true, force: true })
  }
}
