// The scale demo: two APIs and three workers over one PostgreSQL, and a Redis where there is one, under load, while parts of
// it are killed. It starts all of it by itself in a temporary folder, tells what each blow did to the analyses in flight, and
// ends with a reckoning.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort, type PostgresServer, postgresPrograms, startPostgres } from '../../../../test/services/postgres.mjs'
import { type RedisServer, redisProgram, startRedis } from '../../../../test/services/redis.mjs'
import { type Program, program } from '../../program.js'
import { type Aftermath, Customers, type Requests } from './customers.js'
import { reckon } from './journal.js'
import { Teller } from './teller.js'

export const NEEDED = `This demo needs PostgreSQL 14 or newer: the programs initdb and postgres, on PATH or where Debian puts them.
It need not be running: the demo starts one of its own, and removes it again.
  Debian, Ubuntu   apt-get install postgresql
  Fedora           dnf install postgresql-server
  macOS            brew install postgresql@17, then put its bin folder on PATH`

const NO_REDIS = 'not installed, so PostgreSQL tells workers of jobs (apt-get install redis-server)'

/** Instants in seconds after the first order. */
interface Plan {
  customers: number
  worker: number | null
  database: number
  away: number
  redis: number
  api: number
  close: number
  /** What is still under way then is given so long. */
  patience: number
}
const LONG: Plan = { customers: 48, worker: 5, database: 14, away: 3, redis: 22, api: 27, close: 40, patience: 60 }
/** Without the killed worker, who is missed only after 30 s. */
const SHORT: Plan = { customers: 16, worker: null, database: 2, away: 1, redis: 5, api: 7, close: 10, patience: 30 }

export async function scale(args: readonly string[]): Promise<number> {
  const short = args.includes('--short')
  const unknown = args.find((arg) => arg !== '--short')
  if (unknown !== undefined) {
    console.error(`${unknown} is not known. There is --short: 15 s of load instead of 40, and no killed worker.`)
    return 2
  }
  if (!postgresPrograms()) {
    console.error(NEEDED)
    return 2
  }
  const demo = new Demo(short ? SHORT : LONG)
  const stopped = (code: number) => {
    // Whoever asks twice does not wait.
    if (demo.ended) process.exit(code)
    void demo.end().finally(() => process.exit(code))
  }
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.on(signal, () => stopped(code))
  process.once('exit', () => demo.killAll())
  try {
    return await demo.run()
  } catch (error) {
    if (!demo.ended) console.error(`\nThe demo cannot go on: ${(error as Error).message}`)
    return 1
  } finally {
    await demo.end()
  }
}

class Demo {
  private readonly dir = mkdtempSync(join(tmpdir(), 'untildone-scale-'))
  private readonly journal = join(this.dir, 'journal.jsonl')
  private readonly ledger = join(this.dir, 'witness.jsonl')
  private readonly teller = new Teller()
  private readonly running = new Map<string, Program>()
  private env: Record<string, string> = {}
  private opening: Promise<PostgresServer> | null = null
  private database: PostgresServer | null = null
  private openingRedis: Promise<RedisServer> | null = null
  private redis: RedisServer | null = null
  private witness: ReturnType<typeof spawn> | null = null
  private ending: Promise<void> | null = null

  constructor(private readonly plan: Plan) {}

  async run(): Promise<number> {
    const { teller } = this
    teller.line(
      'One gateway in many processes, under load, while parts of it are killed. Nothing leaves this machine.\n',
    )
    const ports = await this.start()
    const customers = new Customers(
      ports.map((port) => `http://127.0.0.1:${port}`),
      this.journal,
    )
    teller.begin(() => progressOf(customers))
    const came = customers.come(this.plan.customers)
    teller.event(
      `${this.plan.customers} customers come: each orders an analysis, waits for its end, and orders the next`,
    )
    await this.blows(customers, ports)
    await this.until(this.plan.close)
    teller.event('no more orders; what is under way goes on to its end')
    customers.close()
    const late = setTimeout(() => customers.abort(), this.plan.patience * 1000)
    await came
    await Promise.all(this.stories)
    clearTimeout(late)
    teller.quiet()
    return this.reckoning()
  }

  private async start(): Promise<number[]> {
    const { teller } = this
    teller.begin(() => 'starting PostgreSQL, two APIs and three workers')
    this.opening = startPostgres({ settings: { shared_buffers: '64MB' } })
    this.database = await this.opening
    this.goOn()
    teller.fact('PostgreSQL', `of its own, in a temporary folder, fsync on; port ${this.database.port}`)
    this.openingRedis = redisProgram() ? startRedis() : null
    this.redis = await this.openingRedis
    this.goOn()
    teller.fact('Redis', this.redis ? `of its own, port ${this.redis.port}: BullMQ tells workers of jobs` : NO_REDIS)
    const file = fileURLToPath(new URL('witness.mjs', import.meta.url))
    const [quickest, slowest] = ['200', '900']
    this.witness = spawn(process.execPath, [file, this.ledger, quickest, slowest], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [address] = await once(createInterface({ input: this.witness.stdout! }), 'line')
    teller.fact(
      'witness',
      `a vendor outside at ${address}: writes down each effect, answers after ${quickest} to ${slowest} ms`,
    )
    this.env = {
      ...{ DATABASE_URL: this.database.url, OPENAI_BASE_URL: address, OPENAI_MODEL: 'witness' },
      GATEWAY_COMPILED: join(this.dir, 'compiled'),
      ...(this.redis ? { REDIS_URL: this.redis.url } : {}),
    }
    const ports = [await freePort(), await freePort()]
    // The first one compiles for all.
    await this.api(1, ports[0]!)
    await Promise.all([this.api(2, ports[1]!), this.worker(1), this.worker(2), this.worker(3)])
    const pids = (word: string) =>
      [...this.running]
        .filter(([name]) => name.startsWith(word))
        .map(([, { pid }]) => pid)
        .join(', ')
    teller.fact('APIs', `2 processes, ports ${ports.join(' and ')}, pids ${pids('API')}`)
    teller.fact('workers', `3 processes, pids ${pids('worker')}\n`)
    return ports
  }

  private began = 0
  private readonly stories: Promise<void>[] = []

  /** Waits for the instant, so many seconds after the first order. */
  private async until(second: number): Promise<void> {
    await delay(Math.max(0, this.began + second * 1000 - Date.now()))
  }

  private async blows(customers: Customers, ports: readonly number[]): Promise<void> {
    const { plan } = this
    this.began = Date.now()
    if (plan.worker !== null) {
      await this.until(plan.worker)
      await this.withoutWorker(customers)
    }
    await this.until(plan.database)
    await this.withoutDatabase(customers)
    if (this.redis) {
      await this.until(plan.redis)
      await this.withoutMemory(customers, this.redis)
    }
    await this.until(plan.api)
    await this.withoutApi(customers, ports[0]!)
  }

  private async withoutWorker(customers: Customers): Promise<void> {
    const { teller } = this
    await this.kill('worker 2')
    const { inFlight, after } = customers.follow()
    teller.event(`worker 2 is killed (SIGKILL), with ${inFlight} analyses in flight; nobody is told`)
    this.tell(after, (told) => {
      const { lost } = told
      return lost.length === 0
        ? `${ended(told)} that were in flight when worker 2 was killed have ended; it had none of them in hand`
        : `worker 2 had ${lost.length} of ${inFlight} in hand. Its lease ran out, others went on from what was on record: ${ended(told)} have ended, those ${spread(lost)} after the kill`
    })
    this.stories.push(this.worker(2).then(() => teller.event('a new worker 2 is at work')))
  }

  private async withoutDatabase(customers: Customers): Promise<void> {
    const { plan, teller } = this
    // What the kill itself breaks off is counted.
    customers.since()
    await this.database!.stop('kill')
    const { inFlight, after } = customers.follow()
    const before = customers.completed
    teller.event(`PostgreSQL is killed (SIGKILL, all of it), with ${inFlight} analyses in flight`)
    await delay(plan.away * 1000)
    const { completed } = customers
    await this.database!.start()
    const back = Date.now()
    teller.event(`PostgreSQL is there again, from its log; meanwhile ${completed - before} had ended`)
    while (customers.completed === completed && Date.now() < back + 30_000) await delay(50)
    const { refused, broken, slowest } = customers.since()
    const first = customers.completed > completed ? 'the first end after it,' : 'no end after it yet,'
    teller.event(
      `${first} ${seconds(Date.now() - back)} later. Requests have had to wait up to ${seconds(slowest)} until now; refused with 503: ${refused}; broken off: ${broken.orders + broken.looks}`,
    )
    this.tell(after, (told) => {
      const { lost } = told
      const rest = lost.length > 0 ? `; ${lost.length} had been in the hands of a process that was killed` : ''
      return `${ended(told)} that were in flight when PostgreSQL was killed have ended: workers held on to ${told.ended - lost.length}${rest}`
    })
  }

  private async withoutMemory(customers: Customers, redis: RedisServer): Promise<void> {
    const { teller } = this
    const keys = await redis.command('DBSIZE')
    await redis.command('FLUSHALL')
    const { inFlight, after } = customers.follow()
    teller.event(`Redis is emptied (FLUSHALL, ${keys} keys), with ${inFlight} analyses in flight`)
    this.tell(
      after,
      (told) => `${ended(told)} that were in flight when Redis was emptied have ended: it held word of jobs, no job`,
    )
  }

  private async withoutApi(customers: Customers, port: number): Promise<void> {
    const { teller } = this
    // What the kill itself breaks off is counted.
    customers.since()
    await this.kill('API 1')
    const { inFlight, after } = customers.follow()
    teller.event(`API 1 is killed (SIGKILL), with ${inFlight} analyses in flight`)
    this.tell(
      after,
      (told) => `${ended(told)} that were in flight when API 1 was killed have ended: an API holds nothing`,
    )
    const again = this.api(1, port).then(() => {
      const { broken, unheard } = customers.since()
      teller.event(
        `API 1 answers again. ${requests(broken)} had broken off, ${requests(unheard)} had found nobody there; orders were repeated with their keys`,
      )
    })
    this.stories.push(again)
  }

  private tell(after: Promise<Aftermath>, sentence: (told: Aftermath) => string): void {
    this.stories.push(after.then((told) => this.teller.event(sentence(told))))
  }

  private reckoning(): number {
    const { accepted, completed, lost, doubled, repeats, others } = reckon(this.journal, this.ledger)
    const { teller } = this
    teller.line('\nFrom the journal of the customers and the ledger of the witness:\n')
    teller.fact('accepted', `${accepted}`)
    teller.fact('completed', `${completed}, each with the result of its own order`)
    teller.fact('lost', `${lost.length}${some(lost)}`)
    teller.fact('doubled', `${doubled.length}${some(doubled)}`)
    teller.fact(
      'repeats',
      `${repeats === 1 ? '1 request' : `${repeats} requests`} came to the witness once more, by whoever took over: known by the key, no effect`,
    )
    for (const other of others.slice(0, 5)) teller.fact('trouble', other)
    const kept = accepted > 0 && completed === accepted && lost.length + doubled.length + others.length === 0
    if (!kept) teller.line('\nThis is not what was promised, so it ends with exit code 1.')
    return kept ? 0 : 1
  }

  private async api(n: number, port: number): Promise<void> {
    await this.launch(`API ${n}`, [String(port), '--roles', 'api']).url()
  }
  private async worker(n: number): Promise<void> {
    const said = await this.launch(`worker ${n}`, ['--roles', 'worker']).said
    if (!/^worker +ready$/m.test(said)) throw new Error(`Worker ${n} did not start:\n${said}`)
  }
  private launch(name: string, args: string[]): Program {
    this.goOn()
    const started = program(args, { cwd: this.dir, env: this.env })
    this.running.set(name, started)
    void started.ended.then((printed) => {
      if (this.running.get(name) !== started || this.ended) return
      // Nobody has asked it to: whatever starts processes on a machine would do the same.
      this.teller.event(`${name} has ended by itself (${lastWord(printed)}) and is started again`)
      this.launch(name, args)
    })
    return started
  }

  private async kill(name: string): Promise<void> {
    const killed = this.running.get(name)
    this.running.delete(name)
    await killed?.kill()
  }

  get ended(): boolean {
    return this.ending !== null
  }

  /** @throws when it was told to stop meanwhile: nothing more may be started */
  private goOn(): void {
    if (this.ended) throw new Error('it was told to stop.')
  }

  /** In good order, and nothing is left behind. */
  end(): Promise<void> {
    this.ending ??= (async () => {
      this.teller.quiet()
      await Promise.all([...this.running.values()].map((one) => one.kill()))
      this.witness?.kill('SIGKILL')
      await this.openingRedis?.then((redis) => redis.remove()).catch(() => {})
      await this.opening?.then((database) => database.remove()).catch(() => {})
      rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 })
    })()
    return this.ending
  }

  /** The last resort, when this process ends without having waited for that. */
  killAll(): void {
    for (const { pid } of this.running.values()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
    this.witness?.kill('SIGKILL')
  }
}

/** The line of its output that says why. */
function lastWord(printed: string): string {
  const lines = printed.split('\n').filter((line) => line.trim() !== '')
  return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'without a word').trim()
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
const some = (orders: readonly number[]) => (orders.length > 0 ? `: orders ${orders.slice(0, 10).join(', ')}` : '')

function spread(times: readonly number[]): string {
  const [first, last] = [Math.min(...times), Math.max(...times)]
  return last - first < 1000 ? seconds(last) : `${seconds(first)} to ${seconds(last)}`
}

const ended = ({ inFlight, ended }: Aftermath) => (ended === inFlight ? `all ${inFlight}` : `${ended} of ${inFlight}`)

function requests({ orders, looks }: Requests): string {
  return `${orders} ${orders === 1 ? 'order' : 'orders'} and ${looks} ${looks === 1 ? 'look' : 'looks'}`
}

function progressOf(customers: Customers): string {
  const { accepted, completed } = customers
  return `accepted ${accepted}, completed ${completed}, in flight ${customers.waiting}`
}
