import { defineJob } from 'untildone'
import { z } from 'zod'

export const greet = defineJob('greet', {
  input: z.object({ name: z.string() }),
  output: z.object({ text: z.string() }),
})

export const greetHandler = greet.handler(async (job) => {
  const text = await job.step('write', () => `Hello ${job.input.name}`)
  return { text }
})
