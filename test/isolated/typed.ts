/** A handler in TypeScript, with what Node alone does not read: an enum, and an import that ends in `.js`. */
import { defineJob } from 'untildone'
import { z } from 'zod'
import { double } from './typed-double.js'

enum Factor {
  two = 2,
}

export const typed = defineJob('typed', { input: z.object({ n: z.number() }) })
export const typedHandler = typed.handler(
  { isolate: { module: import.meta.url }, verify: (output) => void ((output as { pid: number }).pid ||= 1) },
  async (job) => ({ n: await job.step('double', () => double(job.input.n) / Factor.two), pid: process.pid }),
)
