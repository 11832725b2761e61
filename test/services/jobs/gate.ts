/** Jobs of the fleet: one that says which process did it, and one whose step lasts until a file is there. */
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { defineJob } from 'untildone'
import { z } from 'zod'

export const quick = defineJob('quick', { input: z.object({}), output: z.number() }).handler({}, () => process.pid)

export const other = defineJob('other', { input: z.object({}), output: z.number() }).handler(
  { queue: 'other' },
  () => process.pid,
)

export const gate = defineJob('gate', { input: z.object({ file: z.string() }), output: z.array(z.number()) }).handler(
  {},
  async (job) => {
    const before = await job.step('hold', async () => {
      while (!existsSync(job.input.file)) await delay(20)
      return process.pid
    })
    return [before, await job.step('after', () => process.pid)]
  },
)
