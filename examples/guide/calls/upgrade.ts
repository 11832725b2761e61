/** Two versions of a job type, as before and after a deploy; docs/guide/deploys.md. */
import { defineJob } from 'untildone'
import { z } from 'zod'
import { mail } from './far-side.js'

export const first = defineJob('greet-later', { input: z.object({ name: z.string() }) })

export const firstHandler = first.handler({ version: '1' }, async (job) => {
  await job.step('note', ({ key }) => mail.send(`Greet ${job.input.name}`, key))
  await job.sleep('until tomorrow', '1d')
  await job.step('greet', ({ key }) => mail.send(`Hello ${job.input.name}`, key))
})

// #region job
export const second = defineJob('greet-later', {
  input: z.object({ names: z.array(z.string()), language: z.enum(['en', 'de']) }),
})

export const secondHandler = second.handler(
  {
    version: '2',
    upgrade: (input: any, fromVersion) => (fromVersion === '1' ? { names: [input.name], language: 'en' } : input),
  },
  async (job) => {
    const { names, language } = job.input
    const hello = language === 'de' ? 'Hallo' : 'Hello'
    await job.step('note', ({ key }) => mail.send(`Greet ${names.join(' and ')}`, key))
    await job.sleep('until tomorrow', '1d')
    await job.step('count', () => names.length)
    await job.step('greet', ({ key }) => mail.send(`${hello} ${names.join(', ')}`, key))
  },
)
// #endregion

// #region pin
export const report = defineJob('report', { input: z.object({ day: z.string() }), output: z.string() })

export const reportHandler = (version: string) =>
  report.handler({ version, pin: true }, async (job) => {
    await job.sleep('until the books are closed', '1h')
    return `${job.input.day}, by version ${version}`
  })
// #endregion
