/** A model that sorts letters, and a record of why; docs/guide/decisions.md. */
import { defineJob, Review } from 'untildone'
import { z } from 'zod'
import { model } from './far-side.js'

// #region job
export const triage = defineJob('triage', {
  input: z.object({ letter: z.string() }),
  output: z.object({ label: z.string() }),
})

export const triageHandler = triage.handler(async (job) => {
  const { label, score } = await job.step('classify', () => model.classify(job.input.letter))
  job.decision({
    model: model.name,
    version: model.version,
    tools: [],
    path: `triage/${label}`,
    score,
  })
  if (score < 0.6) throw new Review(`The model is not sure: ${label}?`, { origin: 'model', code: 'not-sure' })
  return { label }
})
// #endregion
