/**
 * Approvals as JSON Schema: the card, the line of the inbox, and what a decision sends. `src/core/wire-approval.ts` holds
 * the same shapes as types, and a test keeps the two equal.
 */
import { z } from 'zod'
import {
  APPROVAL_STATES,
  DECISIONS,
  type DecisionInput,
  type Json,
  ON_EXPIRE,
  ON_REJECT,
  RISKS,
  TOUCHES,
} from '../../core/index.js'
import type { BatchDecision } from '../../engine/api.js'
import { Actor, anyJson, count, instant, Person, Status, uuid } from './base.js'

const approvalId = z.string().meta({ example: 'apr_7Qm2VxkT9hTz4nWc1pLs' })
const digest = z.string().describe('`sha256-…` of what is shown; a decision names it as `evidenceDigest`.')
const outcome = z.enum(['approved', 'rejected', 'changes-requested', 'expired'])
const need = z.object({ group: z.string(), n: count })
export const MayDecide = z.object({
  may: z.boolean(),
  why: z.string().nullable().describe('Why not, in one sentence.'),
})

const itemMembers = {
  id: approvalId,
  jobId: uuid,
  jobType: z.string(),
  gate: z.string(),
  state: z.enum(APPROVAL_STATES),
  risk: z.enum(RISKS),
  riskRule: z.string().describe('The rule of the policy that set the tier.'),
  summary: z.string().describe('What is to be done, in one sentence.'),
  requesters: z.array(Person).describe('Who asked. From medium risk upwards none of them counts.'),
  quorum: z.object({ filled: count, needed: count, open: z.array(need) }),
  assignees: z.array(z.string()).describe('Groups that are asked.'),
  digest,
  round: count.describe('+1 after each wish for changes.'),
  proposal: count.describe('+1 for each edit, and when it was asked again with other content.'),
  version: count,
  requestedAt: instant,
  dueAt: instant,
  decidedAt: instant.nullable(),
  outcome: outcome.nullable(),
  mayDecide: z
    .object({ approve: MayDecide, reject: MayDecide, requestChanges: MayDecide })
    .describe('What you may do now.'),
  links: z.object({ self: z.string(), decision: z.string(), job: z.string() }),
}

export const ApprovalItem = z.object(itemMembers).describe('A line of the inbox.')

export const Feedback = z.object({
  about: z.string().nullable().describe('JSON Pointer into the request, e.g. `/data/amount`; null = the whole.'),
  text: z.string(),
})

export const Decision = z
  .object({
    by: Person,
    actor: Actor.describe('How they were authenticated.'),
    groups: z.array(z.string()).describe('Their groups at that moment.'),
    decision: z.enum(DECISIONS),
    at: instant,
    afterMs: count.describe('Time since the request was made.'),
    reason: z.string().nullable(),
    digest: z.string().nullable().describe('Of what they saw.'),
    proposal: count.describe('The version of the proposal that it counts for.'),
    data: z.record(z.string(), anyJson).nullable().describe('Members of `data` as edited.'),
    changes: z.array(Feedback),
  })
  .describe('What one person decided.')

export const DiffRow = z.object({
  target: z.string(),
  operation: z.string(),
  object: z.string().nullable(),
  href: z.string().nullable(),
  irreversible: z.boolean(),
  field: z.string(),
  now: anyJson,
  after: anyJson,
  change: z.enum(['added', 'removed', 'changed', 'unchanged']),
})

const write = z.object({
  target: z.string(),
  operation: z.string(),
  object: z.string().nullable(),
  href: z.string().nullable(),
  irreversible: z.boolean(),
  touches: z.array(z.enum(TOUCHES)),
  fields: z.array(z.object({ field: z.string(), now: anyJson, after: anyJson, from: z.string().nullable() })),
})

const changed = z.object({
  part: z.enum(['write', 'evidence', 'impact', 'rollback', 'data']),
  of: z.string(),
  field: z.string().nullable(),
  side: z.enum(['now', 'after']).nullable(),
  before: anyJson,
  after: anyJson,
})

const earlier = z.object({
  approvalId,
  digest,
  round: count,
  proposal: count,
  why: z.enum(['edited', 'changes-requested', 'asked-again']),
  at: instant,
  by: Person.nullable(),
  reason: z.string().nullable(),
  changes: z.array(Feedback),
  diff: z.array(DiffRow),
  data: anyJson,
  changed: z.array(changed).describe('What differs between it and what is shown now.'),
})

export const Approval = z
  .object({
    ...itemMembers,
    key: z.string().describe('Where in the job it is asked.'),
    tenant: z.string(),
    jobStatus: Status.nullable(),
    because: z.string(),
    confidenceNotes: z.array(z.string()).describe('What the job was not sure about.'),
    actor: z.object({ model: z.string().nullable(), version: z.string().nullable(), tools: z.array(z.string()) }),
    riskWhy: z.string(),
    rule: z.string().describe('What the tier asks for, in a sentence.'),
    policyVersion: z.string(),
    writes: z.array(write),
    diff: z.array(DiffRow).describe('The writes as rows: what is, what will be.'),
    evidence: z
      .array(
        z.object({
          label: z.string(),
          quote: z.string().nullable(),
          href: z.string().nullable(),
          version: z.string().nullable(),
          asOf: instant.nullable(),
        }),
      )
      .describe('Empty: the job said that there is none.'),
    impact: z.object({
      description: z.string(),
      affects: z.array(z.string()),
      people: z.number().nullable(),
      money: z.object({ amount: z.number(), currency: z.string() }).nullable(),
      visibility: z.enum(['internal', 'customers', 'public']).nullable(),
    }),
    rollback: z.object({
      available: z.boolean(),
      plan: z.string(),
      withinMs: z.number().nullable(),
      by: z.string().nullable(),
    }),
    data: anyJson.describe('What the job goes on with.'),
    allow: z.object({ edit: z.array(z.string()), changes: z.boolean() }),
    maxRounds: count,
    decisions: z.array(Decision),
    earlier: z.array(earlier).describe('What was shown before, oldest first.'),
    escalations: z.array(z.object({ at: instant, to: z.string().nullable(), doneAt: instant.nullable() })),
    endsAt: instant.describe('From then on nobody can decide.'),
    onExpire: z.enum(ON_EXPIRE),
    atExpiry: z.string().describe('What happens then, in one sentence.'),
    onReject: z.enum(ON_REJECT),
    withdrawnBecause: z.string().nullable(),
  })
  .describe('A request for approval: what is to be written, why, on what evidence, and how it is undone.')

export const ApprovalPage = z.object({
  items: z.array(ApprovalItem),
  nextCursor: z.string().nullable().describe('Hand it back as `cursor`; null when this was the last page.'),
})

const decision = z.enum(DECISIONS)
const reason = z
  .string()
  .max(2048)
  .nullable()
  .optional()
  .describe('Needed to reject, to ask for changes, and to approve at high risk.')

/** @param problem the schema of a problem, which stands elsewhere */
export const batchDecisionAnswer = <P extends z.ZodType>(problem: P) =>
  z.object({
    items: z.array(
      z.object({
        id: z.string(),
        approval: Approval.nullable().describe('As it is now; null when it was not decided.'),
        problem: problem.nullable().describe('Why it was not decided.'),
      }),
    ),
  })

export const DecisionRequest: z.ZodType<DecisionInput> = z
  .strictObject({
    decision,
    reason,
    evidenceDigest: z
      .string()
      .max(200)
      .nullable()
      .optional()
      .describe('The `digest` of what you saw. Needed from medium risk upwards, and once the request has changed.'),
    data: z
      .record(z.string(), z.custom<Json>())
      .nullable()
      .optional()
      .describe('With `approve`: members of `data` as you want them, as far as `allow.edit` says.'),
    changes: z
      .array(z.strictObject({ about: z.string().max(200).nullable().optional(), text: z.string().min(1).max(2048) }))
      .max(50)
      .nullable()
      .optional()
      .describe('With `requestChanges`: the wishes one by one.'),
  })
  .describe('What you decide.')

export const BatchDecisionRequest: z.ZodType<BatchDecision> = z
  .strictObject({
    ids: z.array(z.string().min(1).max(100)).min(1).max(100),
    decision,
    reason,
    opened: z.array(z.string().max(200)).max(100).optional().describe('Digests of those that you looked at.'),
  })
  .describe('One decision for several requests of the same shape, where their tier allows it.')
