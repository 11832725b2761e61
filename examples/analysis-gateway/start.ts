// API and workers: together in one process, or each in a process of its own over one store. They need nothing of each
// other but the store.
import { createUntildone, type Untildone, type UntildoneOptions } from 'untildone'
import { createServer, listen, type ServerOptions } from 'untildone/server'
import { facadeFor, INFO } from './facade.js'
import { analysisHandler, QUEUES, type Settings } from './jobs/analysis.js'
import { FILE_MAX, REQUEST_MAX } from './jobs/contract.js'
import { type ModelSettings, summariser } from './lib/model.js'
import { keysOf, type TenantKeys } from './tenants.js'

export const ROLES = ['api', 'worker'] as const
export type Role = (typeof ROLES)[number]

export interface StartOptions {
  store: NonNullable<UntildoneOptions['store']>
  /** @default none: workers are told by the store */
  transport?: UntildoneOptions['transport']
  /** @default both, in this process */
  roles?: readonly Role[]
  /** @default 0: any that is free */
  port?: number
  /** @default none: no summaries */
  model?: ModelSettings | null
  modelTimeout?: Settings['modelTimeout']
  /** Uploaded files; the same for all processes that share a store. @default beside the database, where that is a file */
  filesDir?: string
  /** Customers, each with a key of its own that is made here. @default none: this machine only, without a key */
  tenants?: readonly string[]
  limits?: ServerOptions['limits']
  /** Chance and ids, for tests that want no pauses. @default the real ones */
  entropy?: UntildoneOptions['entropy']
}

export interface Running {
  /** Null without the role `api`. */
  url: string | null
  app: Untildone
  /** By tenant; those that this start has made. */
  keys: TenantKeys
  stop(): Promise<void>
}

/** Texts by the processor, summaries by the patience of the model: neither takes the places of the other. */
const WORKERS = [
  { queues: [QUEUES.analysis], slots: 4 },
  { queues: [QUEUES.model], slots: 8 },
]

/** What the contract says, so that what is too large is refused at once. */
const LIMITS = { inputBytes: REQUEST_MAX, fileBytes: FILE_MAX }

export async function start(options: StartOptions): Promise<Running> {
  const { store, roles = ROLES, port = 0, model = null, modelTimeout, tenants = [], limits } = options
  const handler = analysisHandler({ model: model && summariser(model), modelTimeout })
  const app = await createUntildone({
    store,
    handlers: [handler],
    worker: roles.includes('worker') ? WORKERS : false,
    transport: options.transport,
    filesDir: options.filesDir,
    entropy: options.entropy,
  })
  const keys = await keysOf(app.engine, tenants)
  const facades = [facadeFor(handler.definition)]
  const server = () => createServer(app.engine, { facades, info: INFO, limits: { ...LIMITS, ...limits } })
  const listening = roles.includes('api') ? await listen(server(), { port }) : null
  await app.start()
  return {
    url: listening?.url ?? null,
    app,
    keys,
    async stop() {
      await listening?.close()
      await app.stop()
    },
  }
}
