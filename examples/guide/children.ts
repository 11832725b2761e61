// Snippets of docs/guide/children.md: native programs under supervision.
import { join } from 'node:path'
import { defineJob, type ErrorRule } from 'untildone'
import { runProcess, sweepFiles } from 'untildone/process'
import { z } from 'zod'

// #region limits
export const convert = defineJob('convert', {
  input: z.object({ path: z.string(), outDir: z.string() }),
  output: z.object({ path: z.string() }),
})

export const convertHandler = convert.handler(
  {
    errors: [
      { code: 'process-memory', is: 'review', as: 'too-large-for-engine' },
      { match: /password required/, exit: 3, is: 'permanent', as: 'locked-document' },
    ],
  },
  async (job) => {
    const path = join(job.input.outDir, `${job.id}.txt`)
    await job.process('convert', {
      command: 'sort',
      args: ['input/document', '-o', 'output/text'],
      inputs: { document: { path: job.input.path } },
      collect: [{ from: 'output/text', to: path }],
      timeout: '10m',
      limits: { rssMb: 1024, cpuSeconds: 300, processes: 8, fileBytes: 200_000_000, workBytes: 1_000_000_000 },
    })
    return { path }
  },
)
// #endregion

export const read = defineJob('read', {
  input: z.object({ command: z.string(), version: z.string() }),
  output: z.string(),
})

// #region engine
const errors: ErrorRule[] = [
  { exit: 3, match: /bad tile/, engine: { name: 'reader', versions: '>=2.1 <2.2' }, is: 'permanent', as: 'tile-bug' },
  { match: /^glyph cache/, engine: { name: 'reader', versions: '2.x' }, is: 'harmless', as: 'glyph-cache' },
]

export const readHandler = read.handler({ errors }, async (job) => {
  const { command, version } = job.input
  return job.process('read', { command, engine: { name: 'reader', version } })
})
// #endregion

// #region alone
export async function thumbnail(page: Uint8Array): Promise<Buffer> {
  const outcome = await runProcess({
    command: 'cat',
    stdin: page,
    timeoutMs: 30_000,
    limits: { silentMs: 10_000 },
    secrets: ['licence-key-of-the-engine'],
  })
  if (!outcome.ok) throw new Error(`${outcome.cause}: ${outcome.tail.stderr}`)
  return outcome.stdout
}
// #endregion

// #region sweep
/** Engines that write to a folder of their own choice: what nobody holds open, older than an hour, goes. */
export const sweepEngineFiles = (folder: string) =>
  sweepFiles(folder, { names: /^lu\d+\w*\.tmp$/, olderThanMs: 3_600_000 })
// #endregion
