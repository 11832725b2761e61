/** The snippets of docs/guide/errors.md. */
import { createUntildone, defineJob, sqlite, until } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { expect, it } from 'vitest'
import { z } from 'zod'

const scan = defineJob('scan', { input: z.object({ page: z.number() }) })

// #region engine
class EngineError extends Error {
  constructor(
    message: string,
    readonly code: string,
    version: string,
  ) {
    super(message)
    this.details = { engine: 'tesseract', engineVersion: version }
  }
  readonly details: { engine: string; engineVersion: string }
}
// #endregion

it('is taught what an error means', async () => {
  const handler = scan.handler({ retry: until({ backoff: { from: '20ms', to: '20ms' } }) }, async (job) => {
    await job.step(
      'read',
      () => Promise.reject(new EngineError(`bad strip on page ${job.input.page}`, 'E7', '5.3.1')),
      {
        onHarmless: null,
      },
    )
  })
  const app = await createUntildone({ store: sqlite(':memory:'), handlers: [handler] })
  const listening = await listen(createServer(app.engine), { port: 0 })
  await app.start()
  const client = createClient({ url: listening.url })
  const job = await client.submit(scan, { page: 7 })
  while ((await client.failures.list().page()).items.length === 0) await client.get(job.id)

  // #region client
  const { items } = await client.failures.list({ type: 'scan' }).page()
  const [failure] = items
  const when = { engine: { name: 'tesseract', versions: '5.3.x' } }
  const rule = { verdict: 'harmless', reason: 'noise of the engine', when } as const
  const { matched } = await client.failures.teach(failure!.fingerprint, { ...rule, dryRun: true })
  await client.failures.teach(failure!.fingerprint, rule)
  // #endregion
  expect([failure!.words, matched]).toEqual(['bad strip on page <n>', 1])
  await job.result()
  expect((await client.get(job.id)).warnings).toMatchObject([{ message: 'bad strip on page 7', step: 'read' }])

  // #region explain
  const error = { message: 'bad strip on page 12', code: 'E7', engine: { name: 'tesseract', version: '5.4.0' } }
  const { verdict, looked } = await client.explainError('scan', error)
  // #endregion
  expect([verdict, looked[0]!.why]).toEqual(['transient', 'the version of tesseract is 5.4.0, not 5.3.x'])
  await listening.close()
  await app.stop()
})
