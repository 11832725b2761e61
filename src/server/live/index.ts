/** What a server has for live streams. Other parts of the server enter through here. */
import type { Engine } from '../../engine/api.js'
import type { Settings } from '../options.js'
import { Credentials } from './credentials.js'
import { Tickets } from './tickets.js'
import { Watcher } from './watcher.js'

export type { StreamFilter } from './filter.js'
export { streamJob } from './job-stream.js'
export { SUBPROTOCOL } from './socket.js'
export { streamJobs } from './stream.js'

export class Live {
  readonly watcher: Watcher
  readonly credentials: Credentials
  readonly tickets: Tickets

  constructor(engine: Engine, { base, limits }: Settings) {
    this.watcher = new Watcher(engine, base, limits.streamChanges)
    this.credentials = new Credentials(engine.clock, limits.credentialMs)
    this.tickets = new Tickets(engine)
  }

  close(): void {
    this.watcher.close()
  }
}
