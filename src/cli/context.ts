/**
 * What a command gets: its io, the global options, the client, and the ways to print. Made once per run, after the
 * options are parsed.
 */
import picocolors from 'picocolors'
import { type ClientClock, createClient, realClock, type UntildoneClient } from '../client/index.js'
import { type Address, addressOf } from './address.js'
import type { Io } from './io.js'
import type { Style } from './text.js'

export interface GlobalOptions {
  url?: string
  apiKey?: string
  json?: boolean
  ndjson?: boolean
  quiet?: boolean
  color?: boolean
}

export interface Context {
  readonly io: Io
  readonly options: GlobalOptions
  readonly address: Address
  /** Connects on first use; tries a few seconds, then says that the server cannot be reached. */
  readonly client: UntildoneClient
  /** Colours for stdout and stderr: either may be a pipe. */
  readonly outStyle: Style
  readonly errStyle: Style
  now(): number
  /** Rejects with the reason of the signal. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** A result, on stdout. */
  print(text: string): void
  /** A result as JSON, indented. */
  printJson(value: unknown): void
  /** Narration, on stderr; nothing with --quiet. */
  say(text: string): void
  /** Aborts on Ctrl-C; commands that wait hand it on. */
  readonly interrupted: AbortSignal
}

export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** Tests put a clock here; a terminal never does. */
export interface Hooks {
  clock?: ClientClock
}

/** A person waits: long enough for a restart, short enough to learn that nothing listens. */
const WHO_KNOWS = { attempts: 5, withinMs: 8000 }
/** The server of this folder is alive: if it does not answer it is being started again, which takes a busy machine a while. */
const WHILE_IT_LIVES = { attempts: 12, withinMs: 60_000 }

export function createContext(io: Io, options: GlobalOptions, interrupted: AbortSignal, hooks: Hooks = {}): Context {
  const clock = hooks.clock ?? realClock
  const address = addressOf(options, io.env, io.cwd)
  let client: UntildoneClient | undefined
  return {
    io,
    options,
    address,
    interrupted,
    outStyle: picocolors.createColors(colourful(io, options, io.outIsTerminal)),
    errStyle: picocolors.createColors(colourful(io, options, io.errIsTerminal)),
    now: () => clock.now(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    get client() {
      client ??= createClient({
        url: address.url,
        key: address.key,
        fetch: io.fetch,
        clock,
        headers: { 'user-agent': 'untildone-cli' },
        retry: address.from === 'note' ? WHILE_IT_LIVES : WHO_KNOWS,
      })
      return client
    },
    print: (text) => io.out(`${text}\n`),
    printJson: (value) => io.out(`${JSON.stringify(value, null, 2)}\n`),
    say: (text) => {
      if (!options.quiet) io.err(`${text}\n`)
    },
  }
}

/** https://no-color.org, TERM=dumb, --no-color, and only where a terminal is. */
function colourful(io: Io, options: GlobalOptions, terminal: boolean): boolean {
  if (options.color === false || io.env.NO_COLOR || io.env.TERM === 'dumb') return false
  if (io.env.FORCE_COLOR && io.env.FORCE_COLOR !== '0') return true
  return terminal && !io.env.CI
}
