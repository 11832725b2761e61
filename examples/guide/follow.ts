/** What a caller does with a handle; docs/guide/first-job.md. */
import { JobCancelledError, JobFailedError, type UntildoneClient } from 'untildone/client'
import { greet } from './greet.js'

export async function greeting(client: UntildoneClient, name: string): Promise<string> {
  // #region follow
  const handle = await client.submit(greet, { name })
  for await (const job of handle.watch()) console.log(job.status, job.statusText)

  try {
    return (await handle.result()).text
  } catch (error) {
    if (error instanceof JobFailedError) return `Could not be completed (${error.code}): ${error.message}`
    if (error instanceof JobCancelledError) return 'Cancelled.'
    throw error // the server could not be asked; the job carries on
  }
  // #endregion
}
