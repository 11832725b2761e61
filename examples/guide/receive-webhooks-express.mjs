/** A receiver of webhooks in an Express application; docs/guide/webhooks.md. */
import express from 'express'
import { verifyWebhook, WebhookVerificationError } from 'untildone/client'

/** @param {(event: import('untildone/client').WebhookEvent) => Promise<void>} take */
export function receiving(take) {
  // #region express
  const web = express()
  // Before express.json(), which would leave an object: a signature is over the bytes.
  web.post('/hooks', express.raw({ type: 'application/json' }), async (request, response) => {
    await take(await verifyWebhook(request.headers, request.body, process.env.WEBHOOK_SECRET ?? ''))
    response.sendStatus(204)
  })
  web.use(express.json())
  web.use((error, _request, response, next) => {
    if (!(error instanceof WebhookVerificationError)) return next(error)
    response.sendStatus(error.status)
  })
  // #endregion
  return web
}

/** The mistake: a parser of the whole application comes first. @param {import('node:http').RequestListener} web */
export function parsedFirst(web) {
  return express().use(express.json()).use(web)
}
