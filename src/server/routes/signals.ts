/** POST /v1/jobs/{id}/signals/{name} and /v1/callbacks/{token}: what the world tells a job while it waits. */
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { CallbackRequest, SignalRequest } from '../schemas/operate.js'
import { keyOf } from './acting.js'
import { JOB_ID } from './shared.js'

export const signalRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/signals/{name}',
    id: 'signalJob',
    tag: 'Signals',
    scope: ['jobs:signal', 'jobs:operate'],
    summary: 'Send a signal to a job',
    description:
      'Ends the wait of the job for this signal, or is kept until it waits for it; at most 100 are kept unread. The payload ' +
      'must fit what the type declares. Send a `signalId` (or an Idempotency-Key): a repeat with the same one changes nothing.',
    params: { ...JOB_ID, name: { description: 'One of the signals the type declares.', example: 'payment-received' } },
    headers: ['Idempotency-Key'],
    body: {
      schema: SignalRequest,
      component: 'SignalRequest',
      examples: { paid: { payload: { amount: 12.5, currency: 'EUR' }, signalId: 'evt_91' } },
    },
    responses: { 202: { description: 'It is stored.', schema: 'SignalAnswer' } },
    problems: [
      ...(['job-not-found', 'unknown-signal', 'job-already-done', 'payload-invalid', 'quota-exceeded'] as const),
      ...(['idempotency-key-reused', 'idempotency-key-invalid'] as const),
    ],
    handler: async (call) => {
      const { payload = null, signalId } = call.body
      const request = { payload, signalId, key: keyOf(call) }
      return json(await call.server.engine.signal(call.caller, call.params.id!, call.params.name!, request), 202)
    },
  }),
  route({
    method: 'POST',
    path: '/v1/callbacks/{token}',
    id: 'answerCallback',
    tag: 'Signals',
    scope: 'none',
    summary: 'Answer a callback',
    description:
      'For whoever was handed the URL: no key is needed, the URL is the right. It works once, until its time is over; the ' +
      'same answer again is 200, another one 409.',
    params: { token: { description: 'As it was handed out.', example: '5f2c…' } },
    body: {
      schema: CallbackRequest,
      component: 'CallbackRequest',
      examples: {
        completed: { outcome: 'completed', payload: { signedBy: 'Ada' } },
        failed: { outcome: 'failed', error: { code: 'declined', message: 'They will not sign.' } },
      },
    },
    responses: { 200: { description: 'It is stored, and the job goes on.', schema: 'CallbackAnswer' } },
    problems: ['callback-not-found', 'callback-already-used', 'callback-expired', 'store-unavailable'],
    handler: async (call) => {
      await call.server.engine.answerCallback(call.params.token!, call.body)
      return json({ received: true })
    },
  }),
]
