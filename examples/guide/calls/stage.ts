/** A letter in three stages, each done by a queue of its own; docs/guide/stages-and-queues.md. */
import { createUntildone, defineJob, sqlite, type Untildone, until } from 'untildone'
import { z } from 'zod'
import { carrier, printer } from './far-side.js'

// #region job
export const letter = defineJob('letter', {
  input: z.object({ to: z.string(), text: z.string() }),
  output: z.object({ tracking: z.string() }),
  stages: ['intake', 'print', { name: 'send', label: 'On its way' }],
})

export const letterHandler = letter.handler({ queue: 'intake' }, async (job) => {
  const address = await job.stage('intake', { timeout: '30s' }, () =>
    job.step('address', () => `${job.input.to}, 1 Main Street`),
  )
  const pages = await job.stage(
    'print',
    { queue: 'printers', retry: until({ attempts: 5, backoff: { from: '1s', to: '1m' } }) },
    () => job.step('print', ({ key }) => printer.print(job.input.text, key)),
  )
  return job.stage('send', { queue: 'carriers' }, async () => {
    const tracking = await job.step('send', ({ key }) => carrier.send(address, pages, key))
    return { tracking }
  })
})
// #endregion

export async function start(folder: string): Promise<Untildone> {
  // #region workers
  const app = await createUntildone({
    store: sqlite(`${folder}/letters.db`),
    handlers: [letterHandler],
    worker: [
      { queues: ['intake'], slots: 8 },
      { queues: ['printers'], slots: 1 },
      { queues: ['carriers'], slots: 2 },
    ],
  })
  await app.start()
  // #endregion
  return app
}
