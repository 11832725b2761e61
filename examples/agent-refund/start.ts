// Store, three workers and a server in one process. The one place that puts them together: the worker for payments runs one
// refund at a time, and a flood of tickets for the agents holds up no payment.
import { join } from 'node:path'
import { createUntildone, sqlite, type Untildone, type UntildoneOptions } from 'untildone'
import { createServer, listen } from 'untildone/server'
import { agentFrom, type Propose } from './agent/agent.js'
import { approvals } from './agent/policy.js'
import { refundHandler } from './jobs/refund.js'
import { shopAt } from './shop/client.js'

export const WORKERS = [
  { queues: ['intake'], slots: 8 },
  { queues: ['agents'], slots: 2 },
  { queues: ['payments'], slots: 1 },
]

export interface StartOptions {
  /** Folder of the database. */
  dataDir: string
  /** Where the shop is. */
  shop: string
  /** @default 0: any that is free */
  port?: number
  /** @default the model of OPENAI_BASE_URL and OPENAI_MODEL, else the reader */
  propose?: Propose
  /** Chance and ids, for tests that want no pauses. @default the real ones */
  entropy?: UntildoneOptions['entropy']
}

export interface Running {
  url: string
  app: Untildone
  stop(): Promise<void>
}

export async function start(options: StartOptions): Promise<Running> {
  const { dataDir, shop, port = 0, propose = agentFrom(process.env), entropy } = options
  const app = await createUntildone({
    store: sqlite(join(dataDir, 'untildone.db')),
    handlers: [refundHandler({ shop: shopAt(shop), propose })],
    worker: WORKERS,
    approvals,
    entropy,
  })
  const listening = await listen(createServer(app.engine), { port })
  await app.start()
  return {
    url: listening.url,
    app,
    async stop() {
      await listening.close()
      await app.stop()
    },
  }
}
