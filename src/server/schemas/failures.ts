/**
 * Failures and taught rules as JSON Schema. `src/core/wire-failure.ts` holds the answers as types, and a test keeps the two
 * equal.
 */
import { z } from 'zod'
import { VERDICTS } from '../../core/index.js'
import { Actor, count, instant, uuid } from './base.js'

const cursor = z.string().nullable().describe('Hand it back as `cursor`; null when this was the last page.')
const verdict = z
  .enum(VERDICTS)
  .describe(
    '`transient`: tried again. `permanent`: fails for good. `harmless`: noise; the work goes on, with a warning. ' +
      '`review`: blocked until a person has looked.',
  )
const fingerprint = z.string().regex(/^[0-9a-f]{16}$/)
const type = z.string().min(1).max(128)
const word = z.string().min(1).max(100)
const exit = z.int().min(-1).max(4_294_967_295)

const conditions = {
  match: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('Text that code, name, message or output contain; `/…/i` is a regular expression.'),
  code: word.optional().describe('`code` of the error.'),
  status: z.int().min(100).max(599).optional().describe('HTTP status that it carries.'),
  exit: exit.optional().describe('Exit code of a child process.'),
  signal: word.optional().describe('Signal that ended a child process, e.g. SIGSEGV.'),
}

const When = z
  .object({
    fingerprint: fingerprint.optional(),
    ...conditions,
    engine: z.object({ name: z.string(), versions: z.string().nullable() }).optional(),
  })
  .describe('What must hold; all of it.')

const teach = {
  verdict,
  reason: z.string().min(1).max(2048).describe('Why; kept with the rule and in the audit trail.'),
  ...conditions,
  engine: z
    .strictObject({
      name: word.describe('As the error names it in `details.engine`.'),
      versions: word
        .nullable()
        .optional()
        .describe('Range of its versions, e.g. `5.3.x`, `>=5 <5.4`, `^5.3`, `4.1.1 || >=5.3`. Default all.'),
    })
    .optional()
    .describe('Only for errors of this engine.'),
  dryRun: z.boolean().optional().describe('Store nothing, and answer what it would match. Default false.'),
}

export const TeachRequest = z
  .strictObject(teach)
  .describe(
    'Without match, code, status, exit and signal the rule is for the fingerprint; with some of them it is for whatever they match.',
  )
export const AddRuleRequest = z
  .strictObject({ type, ...teach })
  .describe('A rule for an error of this type that was not seen yet; it needs a match, code, status, exit or signal.')

export const ExplainErrorRequest = z
  .strictObject({
    type,
    message: z.string().max(8192),
    name: word.optional().describe('Class of the error. Default Error, with exit or signal ProcessError.'),
    code: word.optional().describe('Default what a child process has with such an exit or signal.'),
    status: z.int().min(100).max(599).optional(),
    exit: exit.optional(),
    signal: word.optional().describe('Default what a shell means by such an exit: 139 is SIGSEGV.'),
    output: z.string().max(16_384).optional().describe('Last lines of a child process.'),
    engine: z.strictObject({ name: word, version: word.nullable().optional() }).optional(),
  })
  .describe('An error as you have it, to be judged as if a job of the type had met it now.')

export const Failure = z
  .object({
    fingerprint,
    type: z.string(),
    words: z.string().describe('Its message without numbers, paths, ids, instants and quoted values.'),
    count: count.describe('How often an attempt, or a step that went on, met it.'),
    jobs: count.describe('In how many jobs.'),
    inputs: count.describe('With how many different inputs: few for many jobs means that it is about the input.'),
    recent: z
      .object({ jobs: count, met: count })
      .optional()
      .describe('With a single failure: of the latest 200 jobs of the type, how many met it.'),
    firstSeenAt: instant,
    lastSeenAt: instant,
    example: z
      .object({
        jobId: uuid,
        attempt: count,
        name: z.string(),
        message: z.string(),
        code: z.string().nullable(),
        status: z.number().nullable(),
        exit: z.number().nullable(),
        signal: z.string().nullable(),
        output: z.string(),
        engine: z.object({ name: z.string(), version: z.string().nullable() }).nullable(),
      })
      .describe('The latest one, clipped.'),
    verdict: verdict.describe('What becomes of it now.'),
    rule: z.string().describe('The rule that decides now.'),
    taught: z.int().nullable().describe('Number of the taught rule that decides; null when none does.'),
    links: z.object({ self: z.string(), teach: z.string(), job: z.string() }),
  })
  .describe('Errors that no rule of the code decides, by what they have in common.')
export const FailurePage = z.object({ items: z.array(Failure), nextCursor: cursor })

export const TaughtRule = z
  .object({
    id: z.int().describe('Per tenant; attempts name it: `taught[12] by …`.'),
    type: z.string(),
    when: When,
    verdict,
    reason: z.string(),
    by: Actor,
    at: instant,
    used: count.describe('Attempts, and steps that went on, which it has decided.'),
    lastUsedAt: instant.nullable(),
    inForce: z.boolean(),
    forgotten: z.object({ at: instant, by: Actor, reason: z.string() }).nullable(),
    links: z.object({ self: z.string() }),
  })
  .describe('What somebody has taught about errors of a type.')
export const TaughtRuleList = z.object({ items: z.array(TaughtRule), nextCursor: cursor })

export const Teaching = z
  .object({
    rule: TaughtRule.nullable().describe('Null in a dry run: nothing was stored.'),
    when: When,
    matches: z
      .array(
        z.object({
          fingerprint,
          words: z.string(),
          count,
          lastSeenAt: instant,
          before: verdict.describe('What became of it before this rule.'),
          decides: z.boolean().describe('False: a rule of the code comes first.'),
        }),
      )
      .describe('Recorded failures that it matches, the latest first, 100 at most.'),
    matched: count.describe('All of them.'),
  })
  .describe('What was taught, or would be.')

export const ExplainedError = z
  .object({
    type: z.string(),
    fingerprint,
    verdict,
    rule: z.string(),
    by: z.enum(['step', 'type', 'taught', 'built-in']),
    taught: TaughtRule.nullable(),
    looked: z
      .array(
        z.object({
          table: z.enum(['step', 'type', 'taught', 'built-in']),
          rule: z.string(),
          is: verdict,
          matched: z.boolean(),
          why: z.string().describe('What does not hold, or that it decides.'),
        }),
      )
      .describe('Every rule that was looked at, in order; the last one decides.'),
    failure: Failure.nullable().describe('What has been counted under this fingerprint.'),
    notes: z.array(z.string()).describe('What this explanation cannot know.'),
  })
  .describe('Which rule would decide about an error, and why.')
