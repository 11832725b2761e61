// What the people of the demo do, each with a key of their own, and what they are told. All of it goes over HTTP.
import type { Job } from 'untildone'
import { createClient, UntildoneApiError, type UntildoneClient } from 'untildone/client'
import { euros } from '../agent/policy.js'
import { refund } from '../jobs/refund.js'
import type { Keys, PersonId } from '../people.js'

export type Say = (who: string, text: string) => void

export class Desk {
  private readonly clients: Record<PersonId, UntildoneClient>

  constructor(
    url: string,
    keys: Keys,
    private readonly say: Say,
  ) {
    const entries = Object.entries(keys).map(([id, key]) => [id, createClient({ url, key })])
    this.clients = Object.fromEntries(entries) as Record<PersonId, UntildoneClient>
  }

  as(person: PersonId): UntildoneClient {
    return this.clients[person]
  }

  /** Sam asks for the refund of order `O-n`; gives the job when it waits for somebody, or has ended. */
  async ask(n: number): Promise<Job> {
    const input = { ticket: `T-${n}`, order: `O-${n}` }
    const handle = await this.as('sam').submit(refund, input, {
      ...{ key: `refund-T-${n}`, onBehalfOf: { id: 'sam', name: 'Sam' }, permissions: ['refunds:request'] },
    })
    this.say('sam', `asks for a refund for ticket T-${n}`)
    return this.settled(handle.id)
  }

  /** Says what the job waits for or how it ended. */
  async settled(id: string): Promise<Job> {
    for await (const job of this.as('sam').watch(id)) {
      if (job.status === 'blocked' || job.done) {
        this.say(job.status, inWords(job))
        return job
      }
    }
    throw new Error(`Job ${id} came to no end.`)
  }

  /** What an approver sees first. */
  async show(job: Job): Promise<void> {
    const { rule, diff, evidence, rollback } = await this.as('mara').approvals.get(job.blockedOn[0]!.id)
    this.say('', rule)
    for (const { target, field, now, after } of diff)
      this.say('', `${target} ${field}: ${JSON.stringify(now)} → ${JSON.stringify(after)}`)
    for (const { label, quote } of evidence) this.say('', `${label}: "${quote}"`)
    this.say('', `If it turns out wrong: ${rollback.plan}`)
  }

  /** @returns the HTTP status */
  async decide(person: PersonId, job: Job, decision: 'approve' | 'reject', reason?: string): Promise<number> {
    const { approvals } = this.as(person)
    const card = await approvals.get(job.blockedOn[0]!.id)
    const what = `${decision === 'approve' ? 'approves' : 'rejects'}${reason ? `: "${reason}"` : ''}`
    try {
      const { state, quorum } = await approvals.decide(card.id, { decision, reason, evidenceDigest: card.digest })
      const counts = state === 'pending' ? `${quorum.filled} of ${quorum.needed}` : state
      this.say(person, `${what}   200 ${counts}`)
      return 200
    } catch (error) {
      if (!(error instanceof UntildoneApiError)) throw error
      this.say(person, `${what}   ${error.status} ${error.code}`)
      this.say('', error.message)
      return error.status
    }
  }
}

function inWords({ status, result, error, blockedOn }: Job): string {
  const { amount, receipt, decidedBy } = (result ?? {}) as { amount?: number; receipt?: string; decidedBy?: string[] }
  if (status === 'completed') {
    const by = `decided by ${decidedBy!.join(' and ')}`
    return receipt ? `${euros(amount!)}, receipt ${receipt}, ${by}` : `declined, ${by}`
  }
  if (blockedOn[0]?.kind === 'approval') return blockedOn[0].title
  return `${error?.code} (${error?.class}, ${error?.origin}): ${error?.message}`
}
