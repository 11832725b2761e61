/**
 * A server with its worker in this process: job files, store, engine, HTTP. Shared by `serve` and by the child of `dev`.
 * The only place of the CLI that knows the composition root.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { UntildoneError } from '../core/errors.js'
import type { JobHandler, ScheduleDeclaration } from '../define/index.js'
import type { Engine } from '../engine/api.js'
import type { EngineInside } from '../engine/engine.js'
import { createUntildone, sqlite, type Untildone, type UntildoneOptions } from '../index.js'
import { createServer, type ErrorReport, type Listening, listen } from '../server/index.js'
import { postgres } from '../stores/postgres/index.js'
import type { StoreFactory } from '../stores/store.js'
import { bullmq } from '../transports/bullmq/index.js'
import type { Pooler } from './database-option.js'
import { inFile, loadFacades, unhandled } from './load-facades.js'
import { type Exported, loadJobs } from './load-jobs.js'
import { ROLES, type Role } from './roles.js'

export interface ServerRequest {
  cwd: string
  jobsDir: string
  /** File with the facades, or null for none. */
  facadesFile: string | null
  /** Where the outside world reaches it; callback URLs begin with it. @default its address on this machine */
  publicUrl?: string
  dataDir: string
  /** Address of a PostgreSQL database, the schema of its tables and what stands before it; absent: SQLite in the data folder. */
  postgres?: { url: string; schema: string; pooler: Pooler }
  /** Address of a Redis that tells workers of jobs. @default none: they look for themselves */
  redisUrl?: string
  /** It may be on another host without TLS. @default false */
  redisPlaintext?: boolean
  /** What this process does. @default all of it */
  roles?: readonly Role[]
  /** Folder of uploaded files. @default `files` in the data folder; with a shared database what the store says */
  filesDir?: string
  /** File name of the database inside the data folder. */
  database: string
  host: string
  port: number
  /** Word in API keys made here. */
  env: string
  /** Jobs at once. */
  slots: number
  /** Whom webhooks may call besides public https addresses. */
  webhooks?: UntildoneOptions['webhooks']
  /** Start although a job file is broken; the others run. */
  tolerant: boolean
  onError(error: unknown, about?: ErrorReport): void
  /** Told that the store is about to be opened, which takes as long as it is away: `opened` settles then. */
  onOpening?(opened: Promise<unknown>): void
  /** Whoever asked does not want it any more: nothing is started. */
  signal?: AbortSignal
  /** @default nobody is told */
  onDrain?: UntildoneOptions['onDrain']
}

export interface Loaded {
  handlers: JobHandler[]
  schedules: ScheduleDeclaration[]
  fileOf: Map<string, string>
  broken: UntildoneError[]
  folders: string[]
}

export interface RunningServer {
  /** As people type it: localhost instead of a loopback number. Null where nothing is answered. */
  url: string | null
  app: Untildone
  jobs: Loaded
  /** Names of the facades that are on. */
  facades: readonly string[]
  /** What whoever starts it should know, in sentences. */
  notes: readonly string[]
  /** Null for one that is not a file here. */
  databasePath: string | null
  /** Loads the job files again; a broken one goes on with what it was. @throws UntildoneError, and nothing changed then */
  reload(): Promise<Loaded>
  /** Takes no more requests, lets running steps end (20 s), closes the store. */
  stop(): Promise<void>
}

/** @throws UntildoneError `no-jobs-found`, `duplicate-job-type`, `job-file-broken`, `bad-definition`, `store-in-use`, …; CliError; EADDRINUSE */
export async function startServer(request: ServerRequest): Promise<RunningServer> {
  const { cwd, jobsDir, onError } = request
  let lastGood = new Map<string, Exported>()
  const load = async (): Promise<Loaded> => {
    const { goodOf, ...loaded } = await loadJobs({ dir: jobsDir, cwd, lastGood })
    lastGood = goodOf
    return loaded
  }
  const jobs = await load()
  if (!request.tolerant && jobs.broken[0]) throw jobs.broken[0]
  const { facadesFile } = request
  const facades = facadesFile === null ? [] : await loadFacades(facadesFile, cwd)
  const dataDir = resolve(cwd, request.dataDir)
  mkdirSync(dataDir, { recursive: true })
  const { postgres: shared, roles = ROLES } = request
  const databasePath = shared ? null : join(dataDir, request.database)
  // A folder of this machine, where nobody else writes to the database.
  const filesDir = request.filesDir ?? (databasePath === null ? undefined : join(dataDir, 'files'))
  const app = await createUntildone({
    store: announced(
      shared ? postgres(shared.url, { schema: shared.schema, pooler: shared.pooler }) : sqlite(databasePath!),
      request,
    ),
    handlers: jobs.handlers,
    worker: roles.includes('worker') ? { slots: request.slots } : false,
    maintenance: roles.includes('maintenance'),
    ...(request.redisUrl === undefined
      ? {}
      : { transport: bullmq(request.redisUrl, { plaintext: request.redisPlaintext ?? false }) }),
    ...(filesDir === undefined ? {} : { filesDir }),
    env: request.env,
    ...(request.webhooks ? { webhooks: request.webhooks } : {}),
    onError: (error) => onError(error),
    ...(request.onDrain ? { onDrain: request.onDrain } : {}),
  })
  let listening: Listening | undefined
  try {
    request.signal?.throwIfAborted()
    const { parts } = app.engine as Engine & EngineInside
    if (request.publicUrl !== undefined) parts.publicUrl = request.publicUrl.replace(/\/+$/, '')
    if (roles.includes('api')) {
      const server = createServer(app.engine, { onError, facades })
      // The port first: when it cannot be had, no job may have been started.
      listening = await listen(server, { port: request.port, host: request.host })
      // Known only now when any free port was asked for; no job has begun yet.
      if (request.publicUrl === undefined) parts.publicUrl = urlOf(request.host, listening.port)
    }
    await app.replaceSchedules(jobs.schedules, jobs.broken.length === 0)
    await app.start()
  } catch (error) {
    await listening?.close().catch(() => {})
    await app.stop().catch(() => {})
    throw facadesFile === null ? error : inFile(error, facadesFile, cwd)
  }
  const running: RunningServer = {
    url: listening ? urlOf(request.host, listening.port) : null,
    app,
    jobs,
    facades: facades.map(({ name }) => name),
    notes: unhandled(facades, jobs.handlers),
    databasePath,
    async reload() {
      const fresh = await load()
      app.replaceHandlers(fresh.handlers)
      try {
        await app.replaceSchedules(fresh.schedules, fresh.broken.length === 0)
      } catch (error) {
        app.replaceHandlers(running.jobs.handlers)
        throw error
      }
      running.jobs = fresh
      return fresh
    },
    async stop() {
      await Promise.all([listening?.close(), app.stop()])
    },
  }
  return running
}

function announced(store: StoreFactory, { onOpening }: ServerRequest): StoreFactory {
  return {
    open(env) {
      const opened = store.open(env)
      onOpening?.(opened)
      return opened
    },
  }
}

/** The address on this machine. */
function urlOf(host: string, port: number): string {
  const local = ['127.0.0.1', '::1', '::', '0.0.0.0'].includes(host)
  return `http://${local ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}`
}
