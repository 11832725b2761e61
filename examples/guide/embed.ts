/** Server, worker and client in a program of one's own; docs/guide/running.md. */
import { createUntildone, sqlite } from 'untildone'
import { createClient } from 'untildone/client'
import { createServer, listen } from 'untildone/server'
import { greet, greetHandler } from './greet.js'

export async function embed(folder: string): Promise<string> {
  // #region embed
  const app = await createUntildone({
    store: sqlite(`${folder}/jobs.db`),
    handlers: [greetHandler],
    queues: { default: { concurrency: 4 } },
    worker: { slots: 8 },
  })
  const server = createServer(app.engine)
  const listening = await listen(server, { port: 0 })
  await app.start()
  // #endregion

  // #region client
  const client = createClient({ url: listening.url })
  const handle = await client.submit(greet, { name: 'Ada' }, { key: 'welcome-ada' })
  const { text } = await handle.result()
  // #endregion

  // #region local
  const local = await app.submit(greet, { name: 'Ada' }, { key: 'welcome-ada' })
  const again = await local.result()
  // #endregion

  // #region stop
  await listening.close()
  await app.stop()
  // #endregion
  return `${text} ${again.text} ${local.id === handle.id}`
}
