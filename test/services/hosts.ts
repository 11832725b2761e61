/** Several hosts of one system in one process: apps with one PostgreSQL schema, one Redis, and handlers that tests hold. */
import { z } from 'zod'
import { LOCAL } from '../../src/engine/api.js'
import { createUntildone, defineJob, type JobHandler, type Untildone, type UntildoneOptions } from '../../src/index.js'
import { postgres } from '../../src/stores/postgres/index.js'
import type { StoreFactory } from '../../src/stores/store.js'
import { type BullmqOptions, bullmq } from '../../src/transports/bullmq/index.js'
import type { RedisServer } from './redis.mjs'

let schemas = 0

export interface HostOptions extends Partial<Omit<UntildoneOptions, 'handlers'>> {
  handlers?: readonly JobHandler[]
  bullmq?: BullmqOptions
}

export class Hosts {
  readonly errors: any[] = []
  private readonly apps: Untildone[] = []
  readonly store: StoreFactory

  constructor(
    postgresUrl: string,
    private readonly redis: RedisServer,
  ) {
    this.store = postgres(postgresUrl, { schema: `bullmq_${process.pid}_${++schemas}`, connections: 2 })
  }

  async start(jobs: Jobs, { bullmq: about, ...options }: HostOptions = {}): Promise<Untildone> {
    // Over Redis, also while a worker of the same host does nothing: that is what is tested here.
    const app = await createUntildone({
      ...{ store: this.store, handlers: jobs.handlers, transport: bullmq(this.redis.url, { direct: false, ...about }) },
      onError: (error) => void this.errors.push(error),
      ...options,
    })
    this.apps.push(app)
    await app.start()
    return app
  }

  async stop(app?: Untildone): Promise<void> {
    const apps = app ? [app] : this.apps.splice(0)
    for (const one of apps) one.abort()
    await Promise.all(apps.map((one) => one.stop()))
  }

  numbers(app: Untildone): Promise<Record<string, any>> {
    return app.engine.check(LOCAL)
  }

  /** Every key that BullMQ has. */
  keys(pattern = '*'): Promise<string[]> {
    return this.redis.command('KEYS', pattern)
  }

  /** Messages of all queues that wait or are being delivered, and ids of what else is kept of messages. */
  async messages(): Promise<number> {
    let count = 0
    for (const list of [...(await this.keys('*:wait')), ...(await this.keys('*:active'))])
      count += await this.redis.command('LLEN', list)
    const kept = (await this.keys()).filter((key) => /:[0-9a-f]{8}-[0-9a-f-]{27,}-\d+$/.test(key)).length
    return Math.max(count, kept)
  }
}

/** Handlers that note what they ran, and jobs that stay until they are let go. */
export class Jobs {
  readonly ran: number[] = []
  running = 0
  most = 0
  readonly handlers: JobHandler[]
  private gate: { promise: Promise<void>; open: () => void } | null = null

  constructor() {
    const input = z.object({ n: z.number() })
    const run = async ({ input: { n } }: { input: { n: number } }) => {
      this.ran.push(n)
      this.most = Math.max(this.most, ++this.running)
      await this.gate?.promise
      this.running--
      return { n }
    }
    this.handlers = ['quick', 'other', 'rare'].map(
      (name) => defineJob(name, { input }).handler(run) as unknown as JobHandler,
    )
  }

  /** From now on jobs stay until the returned function is called. */
  hold(): () => void {
    let open = () => {}
    const promise = new Promise<void>((resolve) => {
      open = resolve
    })
    this.gate = { promise, open }
    return () => {
      this.gate = null
      open()
    }
  }
}

/** Looks until it is so. */
export async function until(so: () => boolean | Promise<boolean>, what = 'it', ms = 20_000): Promise<void> {
  for (const giveUp = Date.now() + ms; !(await so()); ) {
    if (Date.now() > giveUp) throw new Error(`Waited ${ms} ms for ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}
