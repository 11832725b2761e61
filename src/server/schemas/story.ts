/** The story of a job as JSON Schema; `src/core/wire-story.ts` holds the same shapes as types. */
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
