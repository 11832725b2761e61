/** Runs the guide's job files in memory, with no waiting between attempts. */
import { createHash, randomBytes } from 'node:crypto'
import { createUntildone, type Job, type JobHandler, LOCAL, sqlite, type Untildone } from 'untildone'
import { uuidv7 } from 'uuidv7'

/** Full jitter of nothing: the pause before a further attempt is random(0, …), and here random is 0. */
const noPauses = {
  jobId: () => uuidv7(),
  token: (bytes: number) => randomBytes(bytes).toString('base64url'),
  random: () => 0,
  sha256: (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex'),
}

export interface Rig {
  app: Untildone
  /** Submits and waits until the job is done or needs a person. */
  run(type: string, input: unknown): Promise<Job>
  attempts(id: string): Promise<string[]>
  steps(id: string): Promise<string[]>
}

export async function rig(handlers: readonly JobHandler[]): Promise<Rig> {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers, entropy: noPauses })
  await app.start()
  return {
    app,
    async run(type, input) {
      const { id } = await app.submit(type, input)
      return app.engine.wait(LOCAL, id, { until: 'attention', timeoutMs: 20_000 })
    },
    attempts: async (id) =>
      (await app.engine.attempts(LOCAL, id)).map(({ outcome, verdict }) =>
        verdict ? `${outcome} ${verdict}` : outcome,
      ),
    steps: async (id) => (await app.engine.steps(LOCAL, id)).map(({ name }) => name),
  }
}
