/** Work beside a wait; docs/guide/waiting.md. */
import { defineJob } from 'untildone'
import { z } from 'zod'
import { mail, printer } from './far-side.js'

// #region job
export const contract = defineJob('contract', {
  input: z.object({ text: z.string() }),
  output: z.object({ sheets: z.int(), signedBy: z.string() }),
  signals: { signed: z.object({ by: z.string() }) },
})

export const contractHandler = contract.handler(async (job) => {
  const print = async () => {
    // Looked up with job.read, so that the job stays until it is there.
    const header = await job.read('header', () => fetchHeader())
    const sheets = await job.step('print', ({ key }) => printer.print(`${header}${job.input.text}`, key))
    await job.step('tell', ({ key }) => mail.send(`${sheets} sheets are ready to be signed`, key))
    return sheets
  }
  const [sheets, signed] = await Promise.all([print(), job.waitFor('signed')])
  return { sheets, signedBy: signed.payload?.by ?? 'nobody' }
})
// #endregion

async function fetchHeader(): Promise<string> {
  await new Promise((resolve) => setImmediate(resolve))
  return '* '
}
