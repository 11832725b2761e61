/** A question with a reminder; docs/guide/waiting.md. */
import { defineJob } from 'untildone'
import { z } from 'zod'
import { mail } from './far-side.js'

// #region job
export const question = defineJob('question', {
  input: z.object({ to: z.string() }),
  output: z.object({ answer: z.string().nullable(), reminded: z.boolean() }),
  signals: { answered: z.object({ text: z.string() }) },
})

export const questionHandler = question.handler(async (job) => {
  await job.step('ask', ({ key }) => mail.send(`${job.input.to}, shall we?`, key))
  const answer = job.waitFor('answered', { timeout: '7d' })
  const inTime = await Promise.race([answer.then(() => true), job.sleep('patience', '2d').then(() => false)])
  // The answer lost this race, and is still waited for.
  if (!inTime) await job.step('remind', ({ key }) => mail.send(`${job.input.to}, shall we after all?`, key))
  const { payload } = await answer
  return { answer: payload?.text ?? null, reminded: !inTime }
})
// #endregion
