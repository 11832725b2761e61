// The handler can be interrupted anywhere: the process dies at each commit, each call of `job` fails once, and what comes
// out is the same, each effect once under its key.
import { assertReplaySafe, fake } from 'untildone/testing'
import { it } from 'vitest'
import { readTicket } from './agent/agent.js'
import { approvals } from './agent/policy.js'
import { refundHandler } from './jobs/refund.js'
import { shopHere } from './shop/client.js'
import { fill } from './shop/samples.js'
import { Shop } from './shop/shop.js'
import { WORKERS } from './start.js'
import { MARA, SAM } from './support.js'

const shop = new Shop(':memory:')
const registered = fake('shop', shopHere(shop), { reads: ['order', 'ticket', 'permissions', 'findRefund'] })
const handler = refundHandler({ shop: registered, propose: readTicket })

it('is safe to replay, with the shop as a registered fake', { timeout: 60_000 }, async () => {
  await assertReplaySafe(
    handler,
    { ticket: 'T-2', order: 'O-2' },
    {
      reset: () => fill(shop.clear()),
      answer: (job, rig) => rig.approve(job, { by: MARA }),
      submit: { key: 'refund-T-2', onBehalfOf: SAM, permissions: ['refunds:request'] },
      rig: { approvals, worker: WORKERS },
    },
  )
})
