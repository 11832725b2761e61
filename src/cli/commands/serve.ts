/** `untildone serve`: server and worker in this process, for production. Refuses to start with a broken job file. */
import { resolve } from 'node:path'
import type { Engine } from '../../engine/api.js'
import type { EngineInside } from '../../engine/engine.js'
import { DATA_DIR, DEFAULT_PORT, removeNote, writeNote } from '../address.js'
import { type CommandSpec, list, webAddress, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { POOLER, placeOf, placeText, SCHEMA, type Target, targetOf } from '../database-option.js'
import { CliError, EXIT, type Exit } from '../failure.js'
import { holderOf, inUse } from '../ports.js'
import { REDIS_PLAINTEXT, redisAddress, redisPlaintext } from '../redis-option.js'
import { ROLES, type Role } from '../roles.js'
import type { RunningServer } from '../start-server.js'
import { Strays } from '../strays.js'
import { clean, count } from '../text.js'
import { Troubles } from '../troubles.js'

export const serve: CommandSpec = {
  usage: 'serve',
  summary: 'run server and worker for production',
  details: `Without API keys it answers on this machine only. TERM and Ctrl-C let running steps end (up to 20 s);
a second one stops at once, and the jobs go on at the next start.`,
  options: [
    { flags: '--port <n>', text: `port (default: ${DEFAULT_PORT})`, parse: wholeNumber(0, 65_535) },
    {
      flags: '--host <address>',
      text: 'address to listen on; others than loopback need an API key first (default: 127.0.0.1)',
    },
    {
      flags: '--public-url <url>',
      text: 'where the outside world reaches it; callback URLs begin with it (default: its address on this machine)',
      parse: webAddress,
    },
    { flags: '--jobs <dir>', text: 'folder of the job files (default: jobs)' },
    { flags: '--facades <file>', text: 'older APIs to keep, as data: a .json or .ts file (default: none)' },
    { flags: '--data <dir>', text: `folder for the database and files (default: ${DATA_DIR})` },
    {
      flags: '--webhook-allow <list>',
      text: 'what webhooks may call though it is not public: hosts, host:port, ranges (default: nothing)',
      parse: list,
    },
    {
      flags: '--notify-hosts <list>',
      text: 'hosts that every submit may name in notify (default: none; then it needs webhooks:manage)',
      parse: list,
    },
    {
      flags: '--database <url>',
      text: 'postgres://user:password@host/name, shared with other processes (default: UNTILDONE_DATABASE, else SQLite in the data folder)',
    },
    SCHEMA,
    POOLER,
    {
      flags: '--redis <url>',
      text: 'redis://host:6379, told of jobs by BullMQ; only with --database, and every process needs the same (default: UNTILDONE_REDIS, else none)',
    },
    REDIS_PLAINTEXT,
    {
      flags: '--roles <list>',
      text: 'what this process does: api, worker, maintenance; fewer than all only with --database (default: all three)',
      parse: list,
    },
    {
      flags: '--files <dir>',
      text: 'folder of uploaded files; processes on several hosts must all see the same one (default: files in the data folder, with PostgreSQL .untildone/files)',
    },
    { flags: '--slots <n>', text: 'jobs at once (default: 16)', parse: wholeNumber(1, 10_000) },
  ],
  examples: [
    ['untildone serve --data /var/lib/untildone', 'behind a proxy on the same machine'],
    ['untildone serve --host 0.0.0.0 --json', 'reachable from elsewhere; needs a key'],
    ['untildone serve --facades facades.json', 'clients of an older API go on as before'],
    ['untildone serve --database postgres://db/jobs --roles api', 'answers only; workers run elsewhere'],
    ['untildone serve --database postgres://db/jobs --roles worker,maintenance', 'as many of these as you need'],
  ],
  async run(context, _args, options) {
    const dataDir = resolve(context.io.cwd, options.data ?? DATA_DIR)
    const say = (json: Record<string, unknown>, text: string) => {
      if (context.options.json || context.options.ndjson) context.io.out(`${JSON.stringify(json)}\n`)
      else context.say(text)
    }
    const strays = new Strays(say)
    const offStray = context.io.onStray((error) => strays.met(error))
    let server: RunningServer | undefined
    const works = async () => server !== undefined && (await server.app.engine.health()).status !== 'down'
    const troubles = new Troubles({ say, clock: context, works })
    try {
      server = await start(context, { ...options, dataDir }, say, troubles)
      if (server === undefined) {
        say({ event: 'stopped' }, 'stopped')
        return EXIT.ok
      }
      return await serving(context, server, { dataDir, say, strays, troubles })
    } finally {
      offStray()
      troubles.close()
    }
  },
}

async function serving(
  context: Context,
  server: RunningServer,
  { dataDir, say, strays, troubles }: { dataDir: string; say: Say; strays: Strays; troubles: Troubles },
): Promise<Exit> {
  const { url, jobs } = server
  const types = jobs.handlers.map((handler) => handler.definition.name)
  if (url !== null)
    writeNote(dataDir, { url, pid: process.pid, kind: 'serve', startedAt: new Date(context.now()).toISOString() })
  const { recovered } = server.app
  const { facades, notes } = server
  const { kind, location } = (server.app.engine as Engine & EngineInside).parts.store.info
  const store = placeText({ kind, location })
  const also = facades.length === 0 ? '' : `  ${count(facades.length, 'facade')}: ${facades.join(', ')}`
  say(
    {
      event: 'ready',
      url,
      api: url && `${url}/v1`,
      store,
      types,
      facades,
      recovered: recovered.jobs,
      pid: process.pid,
    },
    `ready  ${url ? `${url}/v1` : 'no requests are answered here'}  store ${clean(store)}  ${count(types.length, 'job type')}: ${clean(types.join(', '))}${also}`,
  )
  if (recovered.children + recovered.workDirs > 0)
    say(
      { event: 'swept', children: recovered.children, workDirs: recovered.workDirs },
      `swept  ${count(recovered.children, 'process', 'processes')} and ${count(recovered.workDirs, 'work directory', 'work directories')} that a former server left`,
    )
  for (const message of notes) say({ event: 'note', message }, `note  ${clean(message)}`)
  try {
    await untilStopped(context, server, say, strays)
  } finally {
    removeNote(dataDir, process.pid)
  }
  // What was under way when the store was closed may still fail.
  troubles.close()
  say({ event: 'stopped' }, 'stopped')
  return strays.any ? EXIT.unexpected : EXIT.ok
}

type Say = (json: Record<string, unknown>, text: string) => void

/** Nothing when it was asked to stop before it was ready. */
async function start(
  context: Context,
  options: Record<string, any>,
  say: Say,
  troubles: Troubles,
): Promise<RunningServer | undefined> {
  const port: number = options.port ?? DEFAULT_PORT
  // With PostgreSQL `--data` is still the folder of what lies on this machine: it does not mean SQLite.
  const target = targetOf(context, { ...options, data: undefined })
  const redisUrl = redisAddress(context, options)
  // A file has one owner: what this process left out, no other one could do.
  const roles = rolesOf(options.roles)
  if (target.kind === 'sqlite' && !ROLES.every((role) => roles.includes(role)))
    throw new CliError('usage', 'With SQLite one process does everything.', {
      fix: 'Leave --roles out, or name a shared database: --database postgres://…',
    })
  // Keys would be made there that nobody reads.
  if (target.kind === 'sqlite' && redisUrl !== undefined)
    throw new CliError('usage', 'With SQLite one process does everything, and needs no word from others over Redis.', {
      fix: 'Leave out --redis and UNTILDONE_REDIS, or name a shared database: --database postgres://…',
    })
  refuseIdle(options, target.kind, roles)
  // Loaded on demand: the other commands need neither store nor server.
  const { startServer } = await import('../start-server.js')
  try {
    const starting = startServer({
      cwd: context.io.cwd,
      jobsDir: options.jobs ?? 'jobs',
      facadesFile: options.facades ?? null,
      publicUrl: options.publicUrl,
      dataDir: options.dataDir,
      ...(target.kind === 'sqlite' ? {} : { postgres: target }),
      ...(redisUrl === undefined ? {} : { redisUrl, redisPlaintext: redisPlaintext(context, options) }),
      roles,
      database: 'untildone.db',
      host: options.host ?? '127.0.0.1',
      port,
      env: 'live',
      slots: options.slots ?? 16,
      ...(options.files === undefined ? {} : { filesDir: resolve(context.io.cwd, options.files) }),
      webhooks: { allow: options.webhookAllow ?? [], notifyHosts: options.notifyHosts ?? [] },
      tolerant: false,
      onDrain({ id, state, running }) {
        say(
          { event: state === 'gone' ? 'drained' : 'draining', worker: id, running },
          state === 'gone'
            ? `drained  worker ${id} takes no jobs until this process is started again; TERM stops it`
            : `draining  worker ${id} was asked to; ${count(running, 'job')} may end the current step`,
        )
      },
      onError: (error, about) => troubles.met(error, about),
      onOpening: (opened) => {
        if (target.kind === 'postgres') sayWaiting(context, target, opened, say)
      },
      signal: context.interrupted,
    })
    return await unlessInterrupted(context, starting)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw new CliError('port-in-use', inUse(port, holderOf(port)), {
      fix: 'Stop that, or give another port: --port 4885',
      exit: EXIT.conflict,
    })
  }
}

/** How long a database may take to be opened before somebody wonders. */
const QUIET_MS = 1000

function sayWaiting(context: Context, target: Target, opened: Promise<unknown>, say: Say): void {
  const over = new AbortController()
  const end = () => over.abort()
  opened.then(end, end)
  const store = placeText(placeOf(target))
  context.sleep(QUIET_MS, AbortSignal.any([over.signal, context.interrupted])).then(
    () => say({ event: 'waiting', store }, `waiting for ${clean(store)}`),
    () => {},
  )
}

/** Whoever stops it does not wait for a database that may not come; what comes of it later is closed. */
async function unlessInterrupted(
  { interrupted }: Context,
  starting: Promise<RunningServer>,
): Promise<RunningServer | undefined> {
  const stopped = new Promise<undefined>((resolve) => {
    if (interrupted.aborted) resolve(undefined)
    interrupted.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const server = await Promise.race([starting, stopped])
  if (server === undefined) starting.then((late) => late.stop()).catch(() => {})
  return server
}

/** What was named and has no effect was meant otherwise. */
function refuseIdle(options: Record<string, any>, kind: Target['kind'], roles: readonly Role[]): void {
  const given = (...names: string[]) => names.find((name) => options[name] !== undefined)
  const idle = kind === 'sqlite' ? given('pooler', 'schema') : undefined
  if (idle !== undefined)
    throw new CliError('usage', `--${idle} is of PostgreSQL, and no database is named.`, {
      fix: `Name it: --database postgres://…, or UNTILDONE_DATABASE. For SQLite leave --${idle} out.`,
    })
  const deaf = roles.includes('api') ? undefined : given('host', 'port')
  if (deaf !== undefined)
    throw new CliError('usage', `--${deaf} is for requests, which this process does not answer.`, {
      fix: `Leave --${deaf} out, or add api to --roles.`,
    })
}

function rolesOf(given: string[] | undefined): readonly Role[] {
  if (given === undefined) return ROLES
  const wrong = given.filter((role) => !ROLES.includes(role as Role))
  if (wrong.length > 0 || given.length === 0)
    throw new CliError('usage', `There is no role "${wrong.join(', ')}".`, {
      fix: `Roles are ${ROLES.join(', ')}.`,
    })
  return given as Role[]
}

/** Resolves when the server has stopped: gently after the first signal or stray error, at once after a second signal. */
function untilStopped(context: Context, server: RunningServer, say: Say, strays: Strays): Promise<void> {
  return new Promise((resolve, reject) => {
    let asked = false
    let signalled = false
    const interrupted = () => {
      if (signalled) {
        server.app.abort()
        process.exit(strays.any ? EXIT.unexpected : EXIT.ok)
      }
      signalled = true
      stop()
    }
    const stop = () => {
      if (asked) return
      asked = true
      const { running } = server.app
      say(
        { event: 'stopping', running },
        running === 0 ? 'stopping' : `stopping: ${count(running, 'job')} may finish the current step (up to 20 s)`,
      )
      server.stop().then(() => {
        off()
        resolve()
      }, reject)
    }
    const off = context.io.onInterrupt(interrupted)
    strays.onFirst(stop)
    if (context.interrupted.aborted) stop()
  })
}
