/**
 * `untildone dev`: the dev console. Supervises one child with server and worker, shows what happens to the jobs, and
 * takes single keys. On a terminal with colour and keys; anywhere else one plain line, or one JSON value, per event.
 */
import { resolve } from 'node:path'
import { createClient } from '../../client/index.js'
import type { Json } from '../../core/json.js'
import { ownVersion } from '../../server/version.js'
import { DATA_DIR, DEFAULT_PORT, readNote, removeNote, writeNote } from '../address.js'
import { type CommandSpec, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { banner, firstDone, jobLines, keysLine } from '../dev/banner.js'
import { entryJson, JobFeed, renderEntry } from '../dev/feed.js'
import type { FromChild, JobTypeLine } from '../dev/messages.js'
import { openInBrowser } from '../dev/open.js'
import { sampleInput } from '../dev/sample-input.js'
import { Supervisor } from '../dev/supervisor.js'
import { CliError, EXIT, type Exit, type Failure, failureOf, renderFailure } from '../failure.js'
import { freePort, holderOf, inUse, isFree } from '../ports.js'
import { clean, clockTime, count } from '../text.js'

export const dev: CommandSpec = {
  usage: 'dev',
  summary: 'run server and worker here, reload job files when they are saved',
  details: `Keys on a terminal
  t  run the sample job, or the first one     k  kill the worker in the middle of its work
  o  open the API reference                   q  quit (Ctrl-C too)`,
  options: [
    {
      flags: '--port <n>',
      text: `port (default: ${DEFAULT_PORT}, or the next free one)`,
      parse: wholeNumber(1, 65_535),
    },
    { flags: '--jobs <dir>', text: 'folder of the job files (default: jobs)' },
    { flags: '--facades <file>', text: 'older APIs to keep, as data: a .json or .ts file, read at the start' },
    { flags: '--data <dir>', text: `folder for the database and files (default: ${DATA_DIR})` },
    { flags: '--slots <n>', text: 'jobs at once (default: 16)', parse: wholeNumber(1, 1000) },
  ],
  examples: [
    ['npx untildone dev', 'then press t'],
    ['CI=1 npx untildone dev --json', 'one JSON value per line; the first is {"event":"ready",…}'],
  ],
  async run(context, _args, options) {
    const console_ = new DevConsole(context, {
      jobsDir: options.jobs ?? 'jobs',
      facadesFile: options.facades ?? null,
      dataDir: resolve(context.io.cwd, options.data ?? DATA_DIR),
      port: await choosePort(context, options.port, resolve(context.io.cwd, options.data ?? DATA_DIR)),
      slots: options.slots ?? 16,
    })
    return console_.run()
  },
}

async function choosePort(context: Context, wanted: number | undefined, dataDir: string): Promise<number> {
  const note = readNote(dataDir)
  if (note) {
    throw new CliError('store-in-use', `A server runs here already: ${note.url} (${note.kind}, pid ${note.pid}).`, {
      fix: 'Use it, stop it, or give another folder: --data other',
      exit: EXIT.conflict,
    })
  }
  const host = '127.0.0.1'
  if (wanted !== undefined) {
    if (await isFree(wanted, host)) return wanted
    throw new CliError('port-in-use', inUse(wanted, holderOf(wanted)), {
      fix: 'Stop that, or leave --port out to take the next free one.',
      exit: EXIT.conflict,
    })
  }
  const port = await freePort(DEFAULT_PORT, host)
  if (port !== DEFAULT_PORT) context.say(`${inUse(DEFAULT_PORT, holderOf(DEFAULT_PORT))} Using ${port}.`)
  return port
}

interface Settings {
  jobsDir: string
  facadesFile: string | null
  dataDir: string
  port: number
  slots: number
}

class DevConsole {
  private readonly supervisor: Supervisor
  private readonly feed = new JobFeed()
  private readonly begun: number
  private readonly live: boolean
  private url = ''
  private jobs: JobTypeLine[] = []
  private ready = false
  private toldFirst = false
  private stopping = false
  private end: (exit: Exit) => void = () => {}
  private failure: Failure | null = null

  constructor(
    private readonly context: Context,
    private readonly settings: Settings,
  ) {
    const { io, options } = context
    this.begun = performance.now()
    this.live = io.inIsTerminal && io.outIsTerminal && !io.env.CI && !options.json && !options.ndjson
    this.supervisor = new Supervisor(
      { cwd: io.cwd, ...settings },
      {
        onMessage: (message) => this.heard(message),
        onOutput: (line) =>
          this.event({ event: 'output', line }, `            ${this.context.outStyle.dim('|')} ${clean(line)}`),
        onDied: (how, ms) =>
          this.event(
            { event: 'worker-died', how, againInMs: ms },
            this.line(`the worker ended (${how}); starting it again`),
          ),
        onGivenUp: (how) => this.givenUp(how),
      },
    )
  }

  async run(): Promise<Exit> {
    const ended = new Promise<Exit>((resolve) => {
      this.end = resolve
    })
    const offKey = this.live ? this.context.io.onKey((key) => this.pressed(key)) : () => {}
    const offInterrupt = this.context.io.onInterrupt(() => this.interrupt())
    // The program's own listener has aborted the signal already when Ctrl-C came before this one was there.
    if (this.context.interrupted.aborted) this.interrupt()
    // Should this process end in any way that skips the rest, the child must not stay.
    const last = () => this.supervisor.stopNow()
    process.once('exit', last)
    this.supervisor.start()
    try {
      return await ended
    } finally {
      offKey()
      offInterrupt()
      process.off('exit', last)
      removeNote(this.settings.dataDir, process.pid)
    }
  }

  private heard(message: FromChild): void {
    if (message.kind === 'ready') this.started(message)
    else if (message.kind === 'failed') this.failure = message.failure
    else if (message.kind === 'job') this.showJob(message)
    else if (message.kind === 'reloaded') {
      this.jobs = message.jobs
      const names = message.jobs.map((job) => job.type)
      const took = message.broken.length === 0 ? this.line(`reloaded: ${clean(names.join(', '))}`) : null
      if (took) this.event({ event: 'reloaded', types: names }, took)
      this.showBroken(message.broken, 'so the last good version keeps running')
    } else if (message.kind === 'not-reloaded')
      this.showFailure('reload', message.failure, 'The last good version keeps running.')
    else if (message.kind === 'skipped')
      this.event({ event: 'skipped', changes: message.changes }, this.line(`and ${message.changes} changes more`))
    else if (message.kind === 'trouble')
      this.event({ event: 'trouble', message: message.message }, this.line(clean(message.message)))
    else if (message.kind === 'stopping') this.sayStopping(message.running)
  }

  private started(message: Extract<FromChild, { kind: 'ready' }>): void {
    const { outStyle, io } = this.context
    this.url = message.url
    this.jobs = message.jobs
    writeNote(this.settings.dataDir, {
      url: message.url,
      pid: process.pid,
      kind: 'dev',
      startedAt: new Date(this.context.now()).toISOString(),
    })
    if (this.ready) {
      const back = message.recovered > 0 ? `; ${count(message.recovered, 'job')} goes on where it was` : ''
      this.event(
        { event: 'restarted', url: message.url, recovered: message.recovered },
        this.line(`the worker is back${back.replace('jobs goes', 'jobs go')}`),
      )
      return
    }
    this.ready = true
    const readyMs = performance.now() - this.begun
    const width = io.columns() ?? 100
    const facts = {
      version: ownVersion(),
      readyMs,
      url: message.url,
      store: message.store,
      jobsDir: this.settings.jobsDir,
      facades: message.facades,
      jobs: this.jobs,
      sample: this.sample()?.type ?? null,
    }
    const keys = this.live ? `\n\n${keysLine(facts.sample, width)}\n` : ''
    const also = message.facades.length === 0 ? '' : `  facades ${message.facades.join(', ')}`
    const plain = [`ready  ${message.url}/v1  store ${message.store}${also}`, ...jobLines(facts, width)].join('\n')
    const types = this.jobs.map((job) => job.type)
    this.event(
      {
        event: 'ready',
        url: message.url,
        api: `${message.url}/v1`,
        docs: `${message.url}/docs`,
        types,
        facades: message.facades,
        readyMs: Math.round(readyMs),
        pid: process.pid,
      },
      this.live ? `${banner(facts, outStyle, width)}${keys}` : plain,
    )
    this.showBroken(message.broken, 'so it is left out until it is saved without it')
  }

  private showJob({ job, tries }: Extract<FromChild, { kind: 'job' }>): void {
    const now = this.context.now()
    const entries = this.feed.take(job, now, `${this.url}${job.links.self}`, tries ?? job.ops?.attempt)
    const { outStyle, io } = this.context
    const typeWidth = Math.min(24, Math.max(5, ...this.jobs.map((one) => one.type.length)))
    for (const entry of entries)
      this.event(entryJson(entry), renderEntry(entry, outStyle, typeWidth, io.columns() ?? 100))
    if (entries.length === 0 || job.status !== 'completed' || this.toldFirst || !this.live) return
    this.toldFirst = true
    const known = this.jobs.find((one) => one.type === job.type)
    if (!known) return
    const input = sampleInput(known.inputSchema as Json)?.value ?? {}
    io.out(`${firstDone(this.url, job.type, known.file, input, this.feed.wasHurt(job.id))}\n`)
  }

  private showBroken(broken: readonly Failure[], then: string): void {
    for (const failure of broken) {
      const what = failure.what.replace(' has an error. (', ` has an error, ${then}. (`)
      this.showFailure('job-file-broken', { ...failure, what }, null)
    }
  }

  private showFailure(event: string, failure: Failure, why: string | null): void {
    const { code, what, fix } = failure
    this.event(
      { event, code, message: what, fix },
      `\n${renderFailure({ ...failure, why: why ?? failure.why }, this.context.outStyle)}`,
    )
  }

  private line(text: string): string {
    return `  ${this.context.outStyle.dim(clockTime(this.context.now()))}  ${text}`
  }

  /** One event: JSON or words, on stdout either way, because it is what `dev` is run for. */
  private event(json: Record<string, unknown>, text: string): void {
    const { io, options } = this.context
    if (options.json || options.ndjson) io.out(`${JSON.stringify(json)}\n`)
    else if (!options.quiet || json.event === 'ready') io.out(`${text}\n`)
  }

  /** The sample if it is there, else the first job that can be given a made-up input. */
  private sample(): { type: string; input: Json } | null {
    const order = [...this.jobs].sort((a, b) => Number(b.type === 'hello') - Number(a.type === 'hello'))
    for (const job of order) {
      const input = sampleInput(job.inputSchema as Json)
      if (input) return { type: job.type, input: input.value }
    }
    return null
  }

  private pressed(key: string): void {
    if (key === '\u0003' || key === 'q' || key === '\u0004') {
      this.interrupt()
      return
    }
    if (this.stopping) return
    if (key === 't') void this.runSample()
    else if (key === 'k') this.kill()
    else if (key === 'o') void this.openDocs()
  }

  private async runSample(): Promise<void> {
    const sample = this.sample()
    if (!sample)
      return this.event(
        { event: 'note' },
        this.line('no job can be run without an input of yours: untildone submit <type> name=value'),
      )
    try {
      const client = createClient({
        url: this.url,
        fetch: this.context.io.fetch,
        retry: { attempts: 5, withinMs: 8000 },
      })
      await client.submit(sample.type, sample.input, { wait: 0 })
    } catch (error) {
      this.showFailure('submit', failureOf(error), null)
    }
  }

  private kill(): void {
    const { pid } = this.supervisor
    if (this.supervisor.kill())
      this.event({ event: 'killed', pid }, this.line(`worker killed (SIGKILL, pid ${pid}); starting it again`))
  }

  private async openDocs(): Promise<void> {
    const address = `${this.url}/docs`
    const opened = await openInBrowser(address, this.context.io.env)
    this.event(
      { event: 'open', url: address },
      this.line(opened ? `opened ${address}` : `open it yourself: ${address}`),
    )
  }

  private sayStopping(running: number): void {
    if (running === 0) {
      this.event({ event: 'stopping', running }, this.line('stopping'))
      return
    }
    const text = `${count(running, 'job is', 'jobs are')} running. Finishing ${running === 1 ? 'its' : 'their'} current step (up to 20 s). Ctrl-C again stops now; ${running === 1 ? 'it resumes' : 'they resume'} on the next start.`
    this.event({ event: 'stopping', running }, `\n  ${text}`)
  }

  /** First: let running steps end. Again: stop now. Both are an orderly end. */
  private interrupt(): void {
    if (this.stopping) {
      this.supervisor.stopNow()
      return
    }
    this.stopping = true
    void this.supervisor.stop().then(() => {
      this.event({ event: 'stopped' }, this.line('stopped'))
      this.end(EXIT.ok)
    })
  }

  private givenUp(how: string): void {
    const failure =
      this.failure ??
      failureOf(
        new CliError('worker-ended', `The worker ended before it was ready (${how}).`, {
          fix: 'What it printed is above; correct that and start again.',
          exit: EXIT.unexpected,
        }),
      )
    const { io, errStyle, options } = this.context
    io.err(
      options.json || options.ndjson ? `${JSON.stringify({ error: failure })}\n` : renderFailure(failure, errStyle),
    )
    this.end(failure.exit)
  }
}
