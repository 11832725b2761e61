/** A job that is stored with the application's own rows, or not at all; docs/guide/transactional-submit.md. */
import type { Pool } from 'pg'
import { defineJob, type Untildone } from 'untildone'
import { z } from 'zod'

export const welcome = defineJob('welcome', {
  input: z.object({ user: z.string() }),
  output: z.object({ mailed: z.string() }),
})

export const welcomeHandler = welcome.handler({ version: '1' }, async (job) => {
  const { user } = job.input
  await job.step('mail', ({ key }) => post.send(user, key))
  return { mailed: user }
})

// #region register
export async function register(app: Untildone, pool: Pool, user: string) {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('insert into users (name) values ($1)', [user])
    const handle = await app.submit(welcome, { user }, { tx: client, key: `welcome-${user}` })
    await client.query('commit')
    await handle.announce() // optional: without it workers find the job within about a second
    return handle
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}
// #endregion

/** The far side of the example. */
export const post = { sent: [] as string[], send: (user: string, _key: string) => void post.sent.push(user) }
