/** Many small things inside one job; docs/guide/waiting.md. */
import { defineJob, Permanent } from 'untildone'
import { z } from 'zod'
import { mail } from './far-side.js'

// #region job
export const newsletter = defineJob('newsletter', {
  input: z.object({ readers: z.array(z.object({ id: z.string(), address: z.string() })) }),
  output: z.object({ sent: z.int() }),
})

export const newsletterHandler = newsletter.handler(async (job) => {
  const sent = await job.map(
    'mail',
    job.input.readers,
    async ({ address }, { key }) => {
      if (!address.includes('@')) throw new Permanent(`"${address}" is no address.`, { code: 'bad-address' })
      await mail.send(`News for ${address}`, key)
      return address
    },
    { concurrency: 10, tolerate: 0.5, key: (reader) => reader.id },
  )
  return { sent: sent.filter((address) => address !== null).length }
})
// #endregion
