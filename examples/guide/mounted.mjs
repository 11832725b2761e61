/** The HTTP API under a prefix of an Express application; docs/guide/running.md. */
import { createServer as createHttpServer } from 'node:http'
import express from 'express'
import { createServer, toNodeHandler, toUpgradeHandler } from 'untildone/server'

/** @param {import('untildone').Untildone} app */
export function mounted(app) {
  // #region express
  const server = createServer(app.engine, { basePath: '/background' })
  const web = express()
  web.use('/background', toNodeHandler(server))
  // #endregion
  return web
}

/** @param {import('untildone').Untildone} app */
export function mountedWithSockets(app) {
  const server = createServer(app.engine, { basePath: '/background' })
  const web = express()
  web.use('/background', toNodeHandler(server))
  // #region upgrade
  const http = createHttpServer(web)
  const upgrade = toUpgradeHandler(server)
  http.on('upgrade', (request, socket, head) => {
    // False: it is for somebody else.
    if (!upgrade(request, socket, head)) socket.destroy()
  })
  // #endregion
  return http
}
