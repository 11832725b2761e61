/**
 * A Redis server of one's own: a free port, nothing on disk, no eviction. Tests, demos and benchmarks start it, may kill,
 * freeze, flush and restart it, and leave nothing behind.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './postgres.mjs'

export const REDIS_NEEDS = 'needs redis-server; enable: apt-get install redis-server'

/** Null where there is none. */
export function redisProgram() {
  for (const name of ['redis-server', 'valkey-server'])
    if (spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0) return name
  return null
}

/** @param settings lines of redis.conf by name */
export async function startRedis({ settings = {} } = {}) {
  const program = redisProgram()
  if (!program) throw new Error(REDIS_NEEDS)
  const dir = mkdtempSync(join(tmpdir(), 'untildone-redis-'))
  const server = new RedisServer({ program, dir, port: await freePort(), settings })
  await server.start()
  return server
}

class RedisServer {
  constructor(about) {
    Object.assign(this, about)
    this.url = `redis://127.0.0.1:${this.port}`
    this.process = null
    this.log = ''
    this.onExit = () => this.signal('SIGKILL')
    process.on('exit', this.onExit)
  }

  async start() {
    const all = { port: this.port, bind: '127.0.0.1', dir: this.dir, save: '', appendonly: 'no', ...this.settings }
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])
    const child = spawn(this.program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process = child
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        this.log = (this.log + chunk).slice(-10_000)
      })
    child.once('exit', () => {
      if (this.process === child) this.process = null
    })
    for (const giveUp = Date.now() + 15_000; ; await delay(20)) {
      if (this.process === null || Date.now() > giveUp) throw new Error(`Redis did not start:\n${this.log}`)
      // It may refuse commands of strangers, but it answers.
      if (await this.command('PING').catch((error) => /NOAUTH/.test(error.message))) return
    }
  }

  signal(name) {
    this.process?.kill(name)
  }

  /** @param how `kill`: at once, as with the machine */
  async stop(how = 'kill') {
    const child = this.process
    if (!child) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(how === 'kill' ? 'SIGKILL' : 'SIGTERM')
    await gone
  }

  async restart(how = 'kill') {
    await this.stop(how)
    await this.start()
  }

  /** Resolves to the whole answer of one command: numbers, texts, lists. */
  command(...words) {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1')
      let text = ''
      socket.setEncoding('utf8')
      socket.setTimeout(5000, () => socket.destroy(new Error('Redis does not answer.')))
      socket.on('error', reject)
      socket.on('data', (chunk) => {
        text += chunk
        const found = parse(text, 0)
        if (found === null) return
        socket.destroy()
        if (found.value instanceof Error) reject(found.value)
        else resolve(found.value)
      })
      const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`)
      socket.write(`*${words.length}\r\n${parts.join('')}`)
    })
  }

  async remove() {
    await this.stop()
    process.off('exit', this.onExit)
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** One answer of the protocol (RESP 2) from `at`; null while some of it is still to come. Texts here are ASCII. */
function parse(text, at) {
  const end = text.indexOf('\r\n', at)
  if (end < 0) return null
  const line = text.slice(at + 1, end)
  const next = end + 2
  switch (text[at]) {
    case '+':
      return { value: line, next }
    case '-':
      return { value: new Error(line), next }
    case ':':
      return { value: Number(line), next }
    case '$': {
      const length = Number(line)
      if (length < 0) return { value: null, next }
      return text.length < next + length + 2
        ? null
        : { value: text.slice(next, next + length), next: next + length + 2 }
    }
    default: {
      const values = []
      let from = next
      for (let n = Number(line); n > 0; n--) {
        const found = parse(text, from)
        if (found === null) return null
        values.push(found.value)
        from = found.next
      }
      return { value: values, next: from }
    }
  }
}
