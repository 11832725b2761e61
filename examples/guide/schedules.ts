/** Schedules in code; docs/guide/schedules.md. */
import { defineJob, defineSchedule } from 'untildone'
import { z } from 'zod'

// #region declare
export const report = defineJob('report.build', {
  input: z.object({ region: z.string() }),
  output: z.object({ day: z.string() }),
})

export const reportHandler = report.handler(async (job) => {
  // The instant the job stands for; it may run later, after an outage for example. By hand there is none.
  const at = job.schedule?.at ?? new Date(await job.step('now', () => Date.now()))
  return { day: at.toISOString().slice(0, 10) }
})

export const nightly = defineSchedule({
  id: 'nightly-report',
  definition: report,
  input: { region: 'eu' },
  cron: '30 3 * * *',
  timeZone: 'Europe/Berlin',
  overlap: 'skip',
})
// #endregion
