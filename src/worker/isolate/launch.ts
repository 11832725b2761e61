/**
 * The process of an isolated handler: how it is started, supervised and judged, and the look at the start of the program
 * whether it can be had at all. Translates between jobs and the process folder, like children.ts.
 */
import { existsSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { UntildoneError } from '../../core/errors.js'
import { clip } from '../../core/json.js'
import type { JobContext } from '../../define/context.js'
import type { IsolateSettings, JobHandler } from '../../define/define-job.js'
import { type ProcessOutcome, type ProcessSpec, runProcess } from '../../process/index.js'
import type { Attempt } from '../attempt.js'
import { errorOf, infoOf, killGroup, limitsOf, ProcessError } from '../children.js'
import { writeGroup } from '../groups.js'
import { Isolated, type Launch, type Start } from './host.js'
import { type Frame, Link } from './link.js'

/** What is kept of its output, for the last lines in an error. */
const TAIL_BYTES = 64 * 1024
/** Node fires a longer timer at once; the time limit of the attempt is the real one. */
const TIMER_MAX_MS = 2_147_483_647
const CHECK_MS = 60_000
/** Sooner than the limit by so many times, or a late turn of the loop would count as none. */
const BEATS = 5

const MAIN = fileURLToPath(new URL('../../isolated.js', import.meta.url))

/** Options of Node that say how code is loaded, each alone or with its value behind it. */
const LOADING = /^(?:--(?:import|require|loader|experimental-loader|conditions)|-[rC])$/
const ALONE =
  /^(?:--(?:import|require|loader|experimental-loader|conditions|stack-trace-limit|max-old-space-size)=|--(?:enable-source-maps|preserve-symlinks|no-warnings|(?:no-)?experimental-[a-z-]+)(?:=|$))/

function loadingOf(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((arg, i) => {
    if (LOADING.test(arg)) return execArgv.slice(i, i + 2)
    return ALONE.test(arg) ? [arg] : []
  })
}

function specOf(settings: IsolateSettings, onChannel: (channel: Duplex) => void): ProcessSpec {
  const heap = settings.heapMb === null ? [] : [`--max-old-space-size=${settings.heapMb}`]
  return {
    command: process.execPath,
    args: [...(settings.execArgv ?? loadingOf(process.execArgv)), ...heap, MAIN],
    // The handler is the program's own code: it runs where the program runs, and knows what the program knows.
    cwd: process.cwd(),
    env: Object.fromEntries(
      Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    // A private folder, for temporary files; the process makes it its TMPDIR.
    inputs: {},
    // The folder of the program is not ours to sweep.
    sweepCores: { maxAgeMs: Number.POSITIVE_INFINITY },
    strong: settings.strong,
    graceMs: settings.graceMs,
    keep: 'end',
    maxOutputBytes: TAIL_BYTES,
    onChannel,
    onOutput: (stream, chunk) => void process[stream].write(chunk),
  }
}

const launchOf =
  (settings: IsolateSettings, worker: string): Launch =>
  (attempt, onLine) => {
    const killed = new AbortController()
    let pgid: number | null = null
    let beat: () => void = () => undefined
    let group: ReturnType<typeof writeGroup> | undefined
    const limits = limitsOf(settings.limits)
    const loading = limits.stallMs === undefined ? null : setInterval(() => beat(), limits.stallMs / BEATS)
    const loaded = () => clearInterval(loading ?? undefined)
    const forced = attempt.onForce(() => killGroup(pgid))
    const signals = AbortSignal.any([attempt.signal, killed.signal])
    const spec: ProcessSpec = {
      ...specOf(settings, onLine),
      limits,
      timeoutMs: Math.min(TIMER_MAX_MS, attempt.type.handler.settings.attemptTimeoutMs + CHECK_MS),
      signal: signals,
      onSpawn: (spawned, control) => {
        pgid = spawned.pgid
        beat = control.beat
        const { startTime, bootId } = spawned
        attempt.notes.log('info', `Started a process for the handler (pid ${spawned.pid})`, { pid: spawned.pid })
        if (startTime !== null && bootId !== null)
          group = writeGroup(attempt.store.workers, attempt.clock, {
            ...{ jobId: attempt.id, pgid, startTime, bootId, worker },
          })
      },
    }
    const kill = () => {
      killed.abort(Object.assign(new Error('It is let go.'), { force: true }))
      // Told to stop gently before, it cannot be told again.
      if (attempt.signal.aborted) killGroup(pgid)
    }
    const ended = runProcess(spec).then((outcome) => {
      forced()
      loaded()
      group?.ended()
      const error = endOf(outcome)
      const stopped = outcome.kind === 'aborted'
      if (error && !stopped) attempt.notes.log('warn', error.message, infoOf(outcome))
      return { error, stopped }
    })
    return { ended, beat: () => beat(), loaded, kill }
  }

/** Null for a good end. Node says in words what happened: that its heap is full, or which error nobody has caught. */
function endOf(outcome: ProcessOutcome): ProcessError | null {
  if (outcome.ok) return null
  const error = errorOf(NAME, outcome, infoOf(outcome))
  const { code, exitCode, signal, output, details } = error
  const { stderr } = outcome.tail
  const uncaught = stderr.match(/^(?:Uncaught )?[\w.]*Error(?: \[\w+\])?: .+$/gm)?.at(-1)
  if (code === 'process-signal' && /heap out of memory/.test(stderr))
    return new ProcessError(
      `${NAME} had no more room in its heap.`,
      'process-memory',
      exitCode,
      signal,
      output,
      details,
    )
  if (code === 'process-exit' && uncaught) {
    const message = `${NAME} ended with exit code ${exitCode}: ${clip(uncaught, 500)}`
    return new ProcessError(message, code, exitCode, signal, output, details)
  }
  return error
}

const NAME = "The handler's process"

/** Runs the handler where it belongs. */
export function runIsolated(attempt: Attempt, job: JobContext<any>, worker: string): unknown {
  const { handler } = attempt.type
  const { isolate, version } = handler.settings
  if (isolate === null) return handler.run(job)
  const stallMs = limitsOf(isolate.limits).stallMs
  const start = {
    ...{ type: attempt.type.name, version, module: moduleOf(handler, isolate), project: isolate.project },
    beatMs: stallMs === undefined ? null : Math.max(10, Math.floor(stallMs / BEATS)),
  }
  attempt.isolated = new Isolated(attempt, job, start, launchOf(isolate, worker))
  return attempt.isolated.result
}

/** @throws UntildoneError isolate-failed */
function moduleOf(handler: JobHandler, { module }: IsolateSettings): string {
  const { name } = handler.definition
  if (module === null)
    throw new UntildoneError('isolate-failed', `Nothing says which module exports the handler of "${name}".`, {
      fix: 'Say it with isolate: { module: import.meta.url }; only job files of the CLI are known without.',
      params: { type: name },
    })
  return module
}

/**
 * Starts a process for each module of isolated handlers and asks it for them: what cannot be had is said when the program
 * starts, not by its first job.
 * @throws UntildoneError isolate-failed
 */
export async function checkIsolated(handlers: readonly JobHandler[]): Promise<void> {
  const byModule = new Map<string, JobHandler[]>()
  for (const handler of handlers) {
    const { isolate } = handler.settings
    if (isolate === null) continue
    const module = moduleOf(handler, isolate)
    byModule.set(module, [...(byModule.get(module) ?? []), handler])
  }
  for (const [module, wanted] of byModule) await checkModule(module, wanted)
}

async function checkModule(module: string, handlers: readonly JobHandler[]): Promise<void> {
  const { isolate } = handlers[0]!.settings
  const path = fileURLToPath(module)
  const names = handlers.map(({ definition }) => `"${definition.name}"`).join(', ')
  const failed = (why: string, cause?: unknown) =>
    new UntildoneError('isolate-failed', `The handler of ${names} cannot run in a process of its own: ${why}`, {
      params: { types: handlers.map(({ definition }) => definition.name), module: path },
      cause,
    })
  if (!existsSync(path)) throw failed(`there is no module ${path}.`)
  const asked = { module, project: isolate!.project, type: '', version: null, undoing: false, beatMs: null, job: null }
  const { found, error, outcome } = await ask(isolate!, asked)
  if (error) throw failed(`${path} cannot be loaded there: ${(error as Error).message ?? error}`, error)
  if (!found) throw failed(`${path} was not loaded there: ${endOf(outcome)?.message ?? 'its process ended.'}`)
  for (const { definition, settings } of handlers) {
    const there = found.find(({ name }) => name === definition.name)
    if (!there) throw failed(`${path} does not export the handler of "${definition.name}".`)
    if (there.version !== settings.version)
      throw failed(`${path} exports version ${there.version} of "${definition.name}", not ${settings.version}.`)
  }
}

type Types = Extract<Frame, { t: 'found' }>['types']

async function ask(settings: IsolateSettings, start: Start) {
  let found: Types | null = null
  let error: unknown = null
  const outcome = await runProcess({
    ...specOf(settings, (channel) => {
      const link: Link = new Link(channel, {
        frame: (frame) => {
          if (frame.t === 'found') found = frame.types
          if (frame.t === 'unfit') error = link.wire.decode(frame.error)
          if (found || error) link.send({ t: 'bye' })
        },
        named: () => undefined,
        at: (_, fn) => fn(),
        place: () => null,
        moved: () => undefined,
        closed: () => undefined,
      })
      link.send({ t: 'start', start })
    }),
    timeoutMs: CHECK_MS,
  })
  return { found: found as Types | null, error, outcome }
}
