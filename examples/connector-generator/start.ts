// Store, worker, and a server with the older API as a facade, in one process. The one place that puts them together.
import { join } from 'node:path'
import { createUntildone, sqlite, type Untildone, type UntildoneOptions } from 'untildone'
import { createServer, listen } from 'untildone/server'
import { connectorGenerator } from './facade.js'
import { handlersFor } from './handlers.js'
import { openParts, type Parts, type Settings } from './lib/parts.js'

export interface StartOptions extends Settings {
  /** @default 0: any that is free */
  port?: number
  /** Chance and ids, for tests that want no pauses. @default the real ones */
  entropy?: UntildoneOptions['entropy']
}

export interface Running {
  url: string
  app: Untildone
  parts: Parts
  stop(): Promise<void>
}

export async function start({ port = 0, entropy, ...settings }: StartOptions): Promise<Running> {
  const parts = openParts(settings)
  const app = await createUntildone({
    store: sqlite(join(settings.dataDir, 'untildone.db')),
    handlers: handlersFor(parts),
    entropy,
  })
  const listening = await listen(createServer(app.engine, { facades: [connectorGenerator] }), { port })
  await app.start()
  return {
    url: listening.url,
    app,
    parts,
    async stop() {
      await listening.close()
      await app.stop()
      parts.sessions.close()
    },
  }
}
