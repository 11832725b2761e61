/**
 * The stories of a job and of a type as JSON Schema; `src/core/wire-story.ts` and `wire-type-story.ts` hold the same shapes
 * as types.
 */
import { z } from 'zod'
import { ACTORS, VOICES } from '../../core/index.js'
import { count, instant, Status, uuid } from './job.js'

const voice = z.enum(VOICES)

export const Story = z
  .object({
    jobId: uuid,
    type: z.string(),
    asOf: instant.describe('The instant for which it is told.'),
    status: Status,
    done: z.boolean(),
    voice: voice.describe('In whose words the rest is told.'),
    headline: z.string().describe('What the job is doing, or how it ended, in one sentence.'),
    happened: z
      .array(
        z.object({
          at: instant,
          text: z.string(),
          seq: count.nullable().describe('Its place in the history; null for what is recorded elsewhere.'),
          kind: z.string().describe('An open set: accepted, work, try, step, wait, decision, person, undo, note, end.'),
        }),
      )
      .describe('Oldest first, made from the history and from what was recorded.'),
    why: z.string().nullable(),
    next: z.object({
      text: z.string(),
      at: instant.nullable().describe('When it happens by itself.'),
      giveUpAt: instant.nullable().describe('When it is given up if nothing works until then.'),
    }),
    act: z.object({ who: z.enum(ACTORS), text: z.string(), href: z.string().nullable() }).describe('Who must act.'),
    effects: z
      .array(
        z.object({
          step: z.string(),
          state: z.enum(['happened', 'not-happened', 'unknown', 'undone', 'by-hand']),
          text: z.string(),
        }),
      )
      .describe('What must happen only once, and what is known of it.'),
    resume: z
      .object({
        from: z.string(),
        reusedSteps: z.array(z.string()),
        stage: z.string().nullable(),
        queue: z.string().nullable(),
      })
      .nullable()
      .describe('Where it would go on; null for voices that do not hear of steps.'),
    voices: z
      .object({
        caller: z.string(),
        endUser: z.string(),
        support: z.string().nullable(),
        operator: z.string().nullable(),
      })
      .describe('The headline in each voice; null for those that this key may not hear.'),
  })
  .describe('What happened to a job, why, what happens next and who must act, in plain sentences.')

const flag = z.boolean().nullable()

export const TypeStory = z
  .object({
    type: z.string(),
    version: z.string().nullable(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    source: z.object({
      kind: z.enum(['declaration', 'dry-run', 'job']),
      jobId: z.string().nullable(),
      text: z.string(),
    }),
    sections: z
      .array(z.object({ id: z.string(), title: z.string(), lines: z.array(z.string()) }))
      .describe('Intake, durable write, stages, guards, effects, waits, approvals, ends.'),
    steps: z.array(
      z.object({
        key: z.string(),
        kind: z.string(),
        times: count,
        stage: z.string().nullable(),
        queue: z.string(),
        effect: z.enum(['read', 'idempotent', 'once']).nullable(),
        before: flag,
        confirm: flag,
        undo: flag,
        ownRetry: flag,
        timeoutMs: z.number().nullable(),
        engines: z.array(z.string()).nullable(),
        of: z.string().nullable(),
      }),
    ),
    voices: z.array(
      z.object({
        point: z.string(),
        caller: z.string(),
        endUser: z.string(),
        support: z.string(),
        operator: z.string(),
      }),
    ),
    unknown: z.array(z.string()).describe('What neither the declaration nor the run says.'),
    findings: z
      .array(
        z.object({
          rule: z.enum([
            ...(['once-without-confirm', 'gate-without-expiry', 'no-target'] as const),
            ...(['no-give-up-rule', 'wait-without-timeout', 'undeclared-stage'] as const),
          ]),
          where: z.string(),
          text: z.string(),
          fix: z.string(),
        }),
      )
      .describe('What the type must still say.'),
  })
  .describe('The whole way of a type, from intake to visible end. In `steps`, null is unknown.')
