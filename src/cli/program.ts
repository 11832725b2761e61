/**
 * The command line as a whole: builds the parser from the command specs, runs one command, and turns every error into
 * text and an exit code. Knows no command by itself and touches the process only through io.
 */
import { Command, CommanderError, Option } from 'commander'
import picocolors from 'picocolors'
import type { CommandSpec } from './command.js'
import { COMMANDS } from './commands/index.js'
import { type Context, createContext, type GlobalOptions, type Hooks, Interrupted } from './context.js'
import { CliError, EXIT, type Exit, failureOf, renderFailure } from './failure.js'
import type { Io } from './io.js'

const GROUPS: Record<string, string> = {
  jobs: 'see jobs and act on them',
  groups: 'jobs that belong together',
  inbox: 'what waits for people, and their decisions',
  types: 'the catalogue of job types',
  queues: 'what waits where; pause and resume',
  workers: 'who runs jobs; draining one',
  schedules: 'timetables that make jobs',
  webhooks: 'who is told of events, and what became of it',
  failures: 'errors that the code says nothing of; teach what to do about them',
  rules: 'what people have taught about errors',
  files: 'bytes too large for an input',
  keys: 'API keys',
  audit: 'who did what, and why',
  db: 'the database: its state, schema, copies, and what has had its time',
}

const EXIT_CODES = `
Exit codes
  0 worked            10 job failed        13 time to wait is over, the job carries on
  2 usage             11 job cancelled    130 interrupted
  3 no server         12 job is blocked
  4 not allowed        5 not found          6 conflict`

/** Runs one command line (without `node` and the script) and gives its exit code. Never throws. */
export async function run(argv: readonly string[], io: Io, hooks: Hooks = {}): Promise<Exit> {
  const stop = new AbortController()
  let listening = io.onInterrupt(() => {
    stop.abort(new Interrupted())
    // A second Ctrl-C ends the process the ordinary way.
    listening()
    listening = () => {}
  })
  let exit: Exit = EXIT.ok
  let globals: GlobalOptions = {}
  let group: string | undefined
  const program = buildProgram(io, async (command, spec, args) => {
    const options = optionsOf(command)
    globals = options
    group = spec.usage.split(' ')[0]
    const context: Context = createContext(io, options, stop.signal, hooks)
    exit = (await spec.run(context, args, options)) ?? EXIT.ok
  })
  try {
    await program.parseAsync(argv.length === 0 ? ['--help'] : normalise(argv), { from: 'user' })
    return exit
  } catch (error) {
    if (error instanceof Interrupted || (stop.signal.aborted && error === stop.signal.reason)) return EXIT.interrupted
    if (error instanceof CommanderError && isHelp(error)) return error.code === 'commander.help' ? EXIT.usage : EXIT.ok
    const failure = failureOf(
      error instanceof CommanderError ? usageError(error, argv) : error,
      io.env.UNTILDONE_DEBUG === '1',
      group,
    )
    const asJson = globals.json || globals.ndjson || argv.includes('--json') || argv.includes('--ndjson')
    if (asJson) io.err(`${JSON.stringify({ error: failure })}\n`)
    else
      io.err(
        renderFailure(
          failure,
          picocolors.createColors(
            io.errIsTerminal && !io.env.NO_COLOR && io.env.TERM !== 'dumb' && globals.color !== false,
          ),
        ),
      )
    return failure.exit
  } finally {
    listening()
  }
}

type Execute = (command: Command, spec: CommandSpec, args: unknown[]) => Promise<void>

/** The parser; exported so that a test can walk through all help texts. */
export function buildProgram(io: Io, execute: Execute): Command {
  const program = globalOptions(prepare(new Command('untildone'), io))
    .description(
      'Durable long-running jobs. When your job is done, it tells you accurately; until then, it keeps retrying.',
    )
    .enablePositionalOptions()
    .addHelpText('after', `${EXIT_CODES}\n\nStart here\n  npx untildone init --sample && npx untildone dev`)
  const groups = new Map<string, Command>()
  for (const spec of COMMANDS) {
    const [first, second] = spec.usage.split(' ')
    const grouped = second !== undefined && /^[a-z]/.test(second)
    if (grouped && !groups.has(first!)) {
      const group = prepare(program.command(first!), io)
        .description(GROUPS[first!] ?? '')
        .helpCommand(false)
      groups.set(first!, group)
    }
    addCommand(
      grouped ? groups.get(first!)! : program,
      spec,
      grouped ? spec.usage.slice(first!.length + 1) : spec.usage,
      io,
      execute,
    )
  }
  return program
}

function addCommand(parent: Command, spec: CommandSpec, usage: string, io: Io, execute: Execute): void {
  const command = prepare(parent.command(usage), io).summary(spec.summary)
  command.description(spec.details ? `${capital(spec.summary)}.\n\n${spec.details}` : `${capital(spec.summary)}.`)
  for (const { flags, text, parse } of spec.options ?? []) {
    const option = new Option(flags, text)
    if (parse) option.argParser(parse as (value: string, previous: unknown) => unknown)
    command.addOption(option)
  }
  const width = Math.max(...spec.examples.map(([line]) => line.length))
  const fits = width <= 60
  const examples = spec.examples.map(([line, text]) =>
    fits ? `  ${line.padEnd(width)}  ${text}` : `  ${line}\n      ${text}`,
  )
  globalOptions(
    command,
    (spec.options ?? []).some(({ flags }) => flags.startsWith('--key ')),
  )
  command.addHelpText('after', `\nExamples\n${examples.join('\n')}`)
  command.action(async (...parameters: unknown[]) => execute(command, spec, parameters.slice(0, -2)))
}

/** On every command, so that they may stand anywhere. `--key` is the API key unless the command has its own `--key`. */
function globalOptions(command: Command, ownKey = false): Command {
  command
    .optionsGroup('Everywhere:')
    .option(
      '--url <url>',
      'address of the server (UNTILDONE_URL; default: the one running here, else http://localhost:4884)',
    )
    .option('--api-key <key>', `API key (UNTILDONE_KEY)${ownKey ? '' : '; --key for short'}`)
    .option('--json', 'result as JSON')
    .option('--ndjson', 'lists as one JSON value per line')
    .option('--quiet', 'no narration; lists and submits print ids only')
    .option('--no-color', 'no colour (NO_COLOR)')
  if (!ownKey) command.addOption(new Option('--key <key>').hideHelp())
  return command
}

function prepare(command: Command, io: Io): Command {
  return command
    .exitOverride()
    .helpOption('-h, --help', 'show help')
    .configureHelp({ helpWidth: Math.min(io.columns() ?? 100, 100), sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Errors are written once, by run().
      outputError: () => {},
    })
}

/** Options as given anywhere on the line; the command's own win. */
function optionsOf(command: Command): GlobalOptions & Record<string, unknown> {
  const chain: Command[] = []
  for (let at: Command | null = command; at; at = at.parent) chain.unshift(at)
  const options: Record<string, unknown> = {}
  for (const one of chain) {
    for (const [name, value] of Object.entries(one.opts())) {
      if (one.getOptionValueSource(name) === 'default') continue
      // `--key` before the command is the API key, even when the command has a key of its own.
      if (name === 'key' && (one !== command || !ownsKey(one))) options.apiKey ??= value
      else options[name] = value
    }
  }
  return options
}

function ownsKey(command: Command): boolean {
  return command.options.some((option) => option.long === '--key' && !option.hidden)
}

/** Where `--wait` may have a duration; elsewhere it has none. */
const TIMED = COMMANDS.filter(({ options = [] }) => options.some(({ flags }) => flags === '--wait [duration]')).map(
  ({ usage }) => usage.split(' ')[0]!,
)

/** `--wait` takes a duration only when one follows; otherwise `--wait name=Ada` would swallow the pair. */
function normalise(argv: readonly string[]): string[] {
  const first = argv.find((word) => COMMANDS.some(({ usage }) => usage.split(' ')[0] === word))
  if (!first || !TIMED.includes(first)) return [...argv]
  return argv.map((word, i) =>
    word === '--wait' && !/^\d+(\.\d+)?(ms|s|m|h|d|w)/.test(argv[i + 1] ?? '') ? '--wait=' : word,
  )
}

function isHelp(error: CommanderError): boolean {
  return (
    error.code === 'commander.helpDisplayed' || error.code === 'commander.help' || error.code === 'commander.version'
  )
}

/** `error: unknown option '--jsn'\n(Did you mean --json?)` in our own form. */
function usageError(error: CommanderError, argv: readonly string[]): CliError {
  const [what = '', hint] = error.message.replace(/^error: /, '').split('\n')
  const words = argv.filter((word) => /^[a-z]+$/.test(word)).slice(0, 2)
  const known = COMMANDS.map((spec) =>
    spec.usage
      .split(' ')
      .filter((word) => /^[a-z]/.test(word))
      .join(' '),
  )
  const command = [words.join(' '), words[0] ?? ''].find((text) => known.includes(text) || text in GROUPS)
  const help = `untildone ${command ? `${command} ` : ''}--help`
  const near = /Did you mean (?:one of )?(.+)\?/.exec(hint ?? '')?.[1]
  const fix = near ? `Did you mean ${near}? Everything there is: ${help}` : `See ${help}`
  return new CliError('usage', capital(what.replace(/\.?$/, '.')), { fix })
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
