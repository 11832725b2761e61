/** The HTTP API under a prefix of an Express application; docs/guide/running.md. */
import express from 'express'
import { createServer, toNodeHandler } from 'untildone/server'

/** @param {import('untildone').Untildone} app */
export function mounted(app) {
  // #region express
  const server = createServer(app.engine, { basePath: '/background' })
  const web = express()
  web.use('/background', toNodeHandler(server))
  // #endregion
  return web
}
