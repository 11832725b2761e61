/** `untildone/server`: the HTTP server of an engine, to be listened on, mounted, or called as a fetch handler. */
export { createServer, type UntildoneServer } from './app.js'
export type { Facade, FacadeAnswer, FacadeRoute } from './facade/index.js'
export { type Listening, type ListenOptions, listen } from './listen.js'
export { toUpgradeHandler, type UpgradeHandler } from './live/upgrade.js'
export { type NodeHandler, toNodeHandler } from './node.js'
export { DEFAULT_LIMITS, type ErrorReport, type Limits, type ServerOptions } from './options.js'
export type { Env } from './route.js'
