// What the shop begins with: an order and a ticket for each thing that can happen.
import type { Shop } from './shop.js'

const DAY = 86_400_000

interface Sample {
  total: number
  text: string
  /** @default 12 */
  paidDaysAgo?: number
}

/** By number: order `O-1` has ticket `T-1`. */
const SAMPLES: Record<string, Sample> = {
  1: { total: 3_900, text: 'The cup arrived broken. Please give me my money back.' },
  2: { total: 24_900, text: 'I ordered a lamp, and it never arrived. I would like a refund.' },
  3: { total: 89_900, text: 'The bicycle is damaged: the frame is bent. I want a refund.' },
  4: { total: 12_000, text: 'The wrong size was sent to me. Please refund 120.00 EUR.' },
  5: { total: 45_000, text: 'The desk is broken. I want my money back.', paidDaysAgo: 90 },
  6: { total: 8_000, text: 'How do I switch it on?' },
  7: { total: 9_900, text: 'The kettle is damaged, I want a refund. On second thoughts, do not refund it, I keep it.' },
  8: { total: 19_900, text: 'The headphones are broken. Please refund me.' },
  9: { total: 10_000, text: 'One of two chairs is damaged. Please refund 900.00 EUR.' },
}

/** Twice does no harm: what is there stays as it is. */
export function fill(shop: Shop, now = Date.now()): Shop {
  for (const [n, { total, text, paidDaysAgo = 12 }] of Object.entries(SAMPLES)) {
    const customer = `customer-${n}`
    const paidAt = new Date(now - paidDaysAgo * DAY).toISOString()
    shop.addOrder({ id: `O-${n}`, customer, total, paidAt })
    const openedAt = new Date(now - DAY).toISOString()
    shop.addTicket({ id: `T-${n}`, order: `O-${n}`, customer, text, openedAt })
  }
  shop.allow('sam', ['refunds:request'])
  return shop
}
