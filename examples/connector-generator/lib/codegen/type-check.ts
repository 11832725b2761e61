// Has the compiler look at connectors, in a child process that the product supervises.
import { fileURLToPath } from 'node:url'
import type { JobContext } from 'untildone'
import { z } from 'zod'
import type { SourceFile } from './connector.js'

const PROGRAM = fileURLToPath(new URL('../../engines/type-check.mjs', import.meta.url))
const answer = z.object({ typescript: z.string(), findings: z.array(z.string()) })

/** @param rounds one connector each @param onRound told how many rounds are done */
export function typeCheck(
  job: JobContext<unknown>,
  rounds: readonly SourceFile[][],
  onRound: (done: number) => void,
): Promise<z.output<typeof answer>> {
  return job.process('check', {
    command: process.execPath,
    args: [PROGRAM],
    stdin: JSON.stringify(rounds),
    envelope: true,
    timeout: '5m',
    onLine: (line) => {
      const done = /^round (\d+)$/.exec(line)?.[1]
      if (done) onRound(Number(done))
    },
    parse: ({ envelope }) => answer.parse(envelope),
  })
}
