/**
 * Main of a process in which one isolated handler runs: imports the module that exports it, and nothing else of the
 * program. Started by worker/isolate/launch.ts with a stream to the worker as fd 3; ends when the worker lets it go or is gone.
 */
import { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UntildoneError } from './core/errors.js'
import { isJobHandler, type JobHandler } from './define/define-job.js'
import { Guest } from './worker/isolate/guest.js'

const CHANNEL_FD = 3
const SOURCE = /\.[cm]?tsx?$/
/** What an import says of TypeScript that this Node does not read, or reads in another way than its author. */
const NOT_READ = new Set([
  ...['ERR_UNKNOWN_FILE_EXTENSION', 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX', 'ERR_MODULE_NOT_FOUND'],
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
])

if (process.env.UNTILDONE_WORK) process.env.TMPDIR = join(process.env.UNTILDONE_WORK, 'tmp')
// The worker says by the abort of job.signal that it is time to stop, and kills after the grace.
process.on('SIGTERM', () => undefined)

/** Handlers of a `createUntildone` in the module: it opens nothing here, and hands them over. */
let handedOver: ((handlers: JobHandler[]) => void) | null = null
Object.assign(globalThis, {
  [Symbol.for('untildone.isolated')]: (handlers: readonly JobHandler[]) => {
    handedOver?.([...handlers])
    return new Promise<never>(() => undefined)
  },
})

async function handlersOf(module: string, project: boolean): Promise<JobHandler[]> {
  const given = new Promise<JobHandler[]>((resolve) => {
    handedOver = resolve
  })
  const exported = load(module, project).then((all) =>
    Object.values(all)
      .flatMap((one) => (Array.isArray(one) ? one : [one]))
      .filter(isJobHandler),
  )
  // A program that is its own job file waits for ever where it would start its server.
  return Promise.race([exported, given])
}

async function load(module: string, project: boolean): Promise<Record<string, unknown>> {
  if (!project) {
    try {
      return await import(module)
    } catch (error) {
      if (!SOURCE.test(module) || !NOT_READ.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  const path = fileURLToPath(module)
  const { loaderFor } = await import('./cli/load-jobs.js')
  return (await loaderFor(join(path, '..'))).import<Record<string, unknown>>(path)
}

const channel = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
new Guest(channel, {
  async load({ module, project, type, version }) {
    const found = (await handlersOf(module, project)).find(({ definition }) => definition.name === type)
    if (!found) throw new UntildoneError('isolate-failed', `${module} does not export the handler of "${type}".`)
    if (found.settings.version !== version)
      throw new UntildoneError(
        'isolate-failed',
        `${module} exports version ${found.settings.version} of "${type}", and the worker has ${version}.`,
        { fix: 'Start the worker again after a deploy.' },
      )
    return found
  },
  async types({ module, project }) {
    const all = await handlersOf(module, project)
    return all.map(({ definition, settings }) => ({ name: definition.name, version: settings.version }))
  },
  leave: (well) => process.exit(well ? 0 : 1),
})
