// What `untildone dev --jobs` and `untildone serve --jobs` find, with the shop of SHOP_URL. The command line knows no risk
// policy but its own, which takes every refund for high risk; ../start.ts has the one of this example.
import { agentFrom } from '../agent/agent.js'
import { shopAt } from '../shop/client.js'
import { refundHandler } from './refund.js'

export const handler = refundHandler({
  shop: shopAt(process.env.SHOP_URL ?? 'http://127.0.0.1:8001'),
  propose: agentFrom(process.env),
})
