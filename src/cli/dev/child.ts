/**
 * The child of `untildone dev`: server and worker in one process that may be killed at any time. Says what happens to
 * its parent and ends when the parent does. Must never write to a terminal itself.
 */
import { LOCAL } from '../../index.js'
import { EXIT, type Failure, failureOf } from '../failure.js'
import { inUse } from '../ports.js'
import { type Loaded, type RunningServer, startServer } from '../start-server.js'
import { bytes } from '../text.js'
import { triesOf } from '../tries.js'
import { JobFileWatcher } from './job-file-watcher.js'
import type { ChildSettings, FromChild, JobTypeLine, ToChild } from './messages.js'

const SHOW_EVERY_MS = 50
const SHOW_AT_MOST = 40

const settings = JSON.parse(process.argv[2] ?? '{}') as ChildSettings
const say = (message: FromChild) => void process.send?.(message)

async function main(): Promise<void> {
  const server = await startServer({
    ...settings,
    database: 'dev.db',
    host: '127.0.0.1',
    env: 'dev',
    tolerant: true,
    // Receivers under development run on this machine, without certificates.
    webhooks: { allow: ['localhost', '127.0.0.1', '[::1]'], allowHttp: true, notifyHosts: ['localhost', '127.0.0.1'] },
    onError: (error) => say({ kind: 'trouble', message: error instanceof Error ? error.message : String(error) }),
  })
  reportJobs(server)
  const watcher = new JobFileWatcher(server.jobs.folders, {
    onSaved: () => void reload(server, watcher),
    onTrouble: (message) => say({ kind: 'trouble', message }),
  })
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    watcher.close()
    say({ kind: 'stopping', running: server.app.running })
    await server.stop()
    process.exit(0)
  }
  // Ctrl-C reaches the whole group; what it means is the parent's business.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => void stop())
  process.on('disconnect', () => void stop())
  process.on('message', (message: ToChild) => {
    if (message.kind === 'stop') void stop()
  })
  say({
    kind: 'ready',
    url: server.url ?? '',
    store: await describeStore(server),
    jobs: lines(server.jobs),
    broken: failures(server.jobs),
    facades: server.facades,
    recovered: server.app.recovered.jobs,
    folders: server.jobs.folders,
  })
  for (const message of server.notes) say({ kind: 'trouble', message })
}

/** Tells about changed jobs in small portions: a console that prints thousands of lines tells nothing. */
function reportJobs({ app }: RunningServer): void {
  let changed = new Set<string>()
  let busy = false
  const report = async () => {
    const ids = [...changed]
    changed = new Set()
    for (const id of ids.slice(0, SHOW_AT_MOST)) {
      const job = await app.engine.get(LOCAL, id, ['ops']).catch(() => null)
      if (!job) continue
      // Most jobs have one attempt, and need no look at a second one.
      const attempts = (job.ops?.attempt ?? 0) > 1 ? await app.engine.attempts(LOCAL, id).catch(() => []) : null
      say({ kind: 'job', job: { ...job, result: null }, tries: attempts ? triesOf(job, attempts) : null })
    }
    if (ids.length > SHOW_AT_MOST) say({ kind: 'skipped', changes: ids.length - SHOW_AT_MOST })
    busy = false
    arm()
  }
  const arm = () => {
    if (busy || changed.size === 0) return
    busy = true
    setTimeout(() => void report(), SHOW_EVERY_MS).unref()
  }
  app.engine.follow()
  app.engine.onChange((changes) => {
    for (const { jobId } of changes) changed.add(jobId)
    arm()
  })
}

async function reload(server: RunningServer, watcher: JobFileWatcher): Promise<void> {
  try {
    const loaded = await server.reload()
    watcher.follow(loaded.folders)
    say({ kind: 'reloaded', jobs: lines(loaded), broken: failures(loaded) })
  } catch (error) {
    say({ kind: 'not-reloaded', failure: failureOf(error) })
  }
}

function lines({ handlers, fileOf }: Loaded): JobTypeLine[] {
  return handlers.map(({ definition, settings: { retry } }) => ({
    type: definition.name,
    file: fileOf.get(definition.name) ?? '',
    stages: definition.stages.length,
    withinMs: retry.withinMs,
    inputSchema: definition.inputSchema,
  }))
}

function failures(loaded: Loaded): Failure[] {
  return loaded.broken.map((error) => failureOf(error))
}

async function describeStore({ app, databasePath }: RunningServer): Promise<string> {
  const numbers: Record<string, string | number> = await app.engine.check(LOCAL).catch(() => ({}))
  const path = databasePath ?? ''
  const shown = path.startsWith(`${settings.cwd}/`) ? path.slice(settings.cwd.length + 1) : path
  return `SQLite ${shown}${typeof numbers.bytes === 'number' ? `   ${bytes(numbers.bytes)}` : ''}`
}

function startFailure(error: unknown): Failure {
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    const fix = 'Stop what uses it, or give another port: --port 4885'
    return { what: inUse(settings.port, null), why: null, fix, code: 'port-in-use', exit: EXIT.conflict, details: [] }
  }
  return failureOf(error, process.env.UNTILDONE_DEBUG === '1')
}

main().catch((error) => {
  // Whatever runs already must not keep a process that nobody knows of.
  process.send?.({ kind: 'failed', failure: startFailure(error) } satisfies FromChild, () => process.exit(1))
})
