/** From a server as its users hold it to its inside, for what is not a request: upgrades of connections. */
import type { ServerContext } from './route.js'

const contexts = new WeakMap<object, ServerContext>()

export function rememberContext(server: object, context: ServerContext): void {
  contexts.set(server, context)
}

/** @throws TypeError for what createServer did not make */
export function contextOf(server: object): ServerContext {
  const context = contexts.get(server)
  if (!context) throw new TypeError('This is no server that createServer made.')
  return context
}
