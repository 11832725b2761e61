// A refund from request to receipt. Three queues, each a place from which it can go on: intake checks who asks, agents read
// and propose, payments waits for people and moves the money.
import { defineJob, Permanent, Review, until } from 'untildone'
import { z } from 'zod'
import type { Propose } from '../agent/agent.js'
import { ANSWER, payout } from '../agent/payout.js'
import { objection, POLICY } from '../agent/policy.js'
import type { ShopClient } from '../shop/client.js'

const Result = z.object({
  status: z.enum(['refunded', 'declined']),
  amount: z.int().nullable(),
  receipt: z.string().nullable(),
  decidedBy: z.array(z.string()),
})
type Result = z.infer<typeof Result>

export const refund = defineJob('agent.refund', {
  title: 'Refund for a ticket',
  input: z.object({ ticket: z.string().min(1), order: z.string().min(1) }),
  output: Result,
  stages: [
    { name: 'intake', label: 'Checking who asks' },
    { name: 'execution', label: 'Reading the ticket' },
    { name: 'finalization', label: 'Approval and payment' },
  ],
  approvals: { payout: z.object({ amount: z.int().positive() }) },
})

export interface Parts {
  shop: ShopClient
  propose: Propose
}

export const refundHandler = ({ shop, propose }: Parts) =>
  refund.handler(
    {
      queue: 'intake',
      requireIdempotencyKey: true,
      target: { p95: '1d' },
      retry: until({ within: '7d', backoff: { from: '1s', to: '5m' } }),
      // A model may do better the next time. That it was the model, and not the network, is kept with the attempt.
      errors: [{ code: 'model-answer-invalid', is: 'transient', origin: 'model' }],
    },
    async (job) => {
      const { ticket, order } = job.input
      const requester = job.onBehalfOf
      if (!requester) throw new Permanent('Say who asks for it, in onBehalfOf.', { code: 'no-requester' })
      // Out here it is read in every attempt, and by itself once more right before money moves.
      const allowed = await job.read('permissions', () => shop.permissions(requester.id))

      const before = await job.stage('intake', { timeout: '1m' }, async () => {
        const { refunds } = await job.read('order', () => shop.order(order))
        const found = refunds.find((one) => one.ticket === ticket && !one.voided) ?? null
        const may = allowed.includes('refunds:request')
        const path = `intake/${found ? 'refunded-before' : may ? 'accepted' : 'not-permitted'}`
        job.decision({ ...POLICY, tools: ['shop.people', 'shop.order'], path })
        if (found || may) return found
        throw new Review(`${requester.name ?? requester.id} may not ask for refunds.`, { code: 'not-permitted' })
      })
      if (before) return { status: 'refunded', amount: before.amount, receipt: before.receipt, decidedBy: [] }

      for (let wishes: string[] = []; ; ) {
        const budget = until({ attempts: 8, within: '2h', onExhausted: 'review' })
        const plan = await job.stage('execution', { queue: 'agents', retry: budget, timeout: '10m' }, async () => {
          const read = async () => ({ order: await shop.order(order), ticket: await shop.ticket(ticket) })
          const about = await job.read('case', read)
          // The model is asked again only when the ticket says something new.
          const name = `propose-v${about.ticket.version}`
          const plan = await job.step(name, (step) => propose({ ...about, wishes }, step), { timeout: '2m' })
          const { model, version, tools, amount } = plan
          job.decision({ model, version, tools, path: 'execution/proposed', amount })
          const no = objection(plan, about.order, about.ticket)
          job.decision({ ...POLICY, path: `execution/${no?.code ?? 'allowed'}` })
          if (no) throw no
          return plan
        })

        const end = await job.stage('finalization', { queue: 'payments' }, async (): Promise<Result | string[]> => {
          const decision = await job.approve('payout', async () => payout(plan, await shop.order(order), ticket))
          const { outcome } = decision
          const decidedBy = decision.by.map(({ id }) => id)
          job.decision({ ...POLICY, model: 'people', path: `finalization/${outcome}`, decidedBy })
          if (outcome === 'changes-requested')
            return [...decision.feedback.map(({ text }) => text), ...(decision.reason ? [decision.reason] : [])]
          if (outcome !== 'approved') return { status: 'declined', amount: null, receipt: null, decidedBy }

          const { amount } = decision.data
          const paid = await job.step('pay', (step) => shop.refund(order, { amount, ticket }, step), {
            effect: 'once',
            approvedBy: decision,
            timeout: '30s',
            before: async () => {
              if ((await shop.ticket(ticket)).state === 'closed')
                throw new Review(`Somebody else has closed ticket ${ticket}.`, { code: 'ticket-closed' })
            },
            confirm: async ({ key }) => {
              const found = await shop.findRefund(key)
              // Made, and taken back by somebody in the shop: only a person can say what that means.
              if (found?.voided) return 'unknown'
              return found ? { happened: true, result: found } : { happened: false }
            },
            undo: ({ receipt }, step) => shop.voidRefund(receipt, step),
            errors: [{ code: 'not-refundable', is: 'review', origin: 'policy' }],
          })
          // Two answers to one ticket would be two decisions: where it cannot be given, the refund is taken back.
          await job.step('answer', (step) => shop.answer(ticket, ANSWER, step), { timeout: '30s' })
          return { status: 'refunded', amount: paid.amount, receipt: paid.receipt, decidedBy }
        })
        if (!Array.isArray(end)) return end
        wishes = [...wishes, ...end]
      }
    },
  )
