/** A reminder a week later; docs/guide/waiting.md. */
import { defineJob } from 'untildone'
import { z } from 'zod'
import { mail } from './far-side.js'

// #region job
export const trial = defineJob('trial', { input: z.object({ to: z.string() }) })

export const trialHandler = trial.handler(async (job) => {
  await job.step('welcome', ({ key }) => mail.send(`Welcome, ${job.input.to}`, key))
  await job.sleep('first week', '7d')
  await job.step('ask', ({ key }) => mail.send(`How is it going, ${job.input.to}?`, key))
})
// #endregion
