/** What the guide shows of PostgreSQL, as it stands there. */
import { Pool } from 'pg'
import { createUntildone } from 'untildone'
import { postgres } from 'untildone/postgres'
import { describe, expect, inject, it } from 'vitest'
import { post, register, welcomeHandler } from '../../examples/guide/within.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')

if (url)
  describe('the guide', () => {
    it('registers a user and a job together, or neither', async () => {
      const schema = `guide_${process.pid}`
      const pool = new Pool({ connectionString: url!, options: `-c search_path=${schema}` })
      const app = await createUntildone({ store: postgres(url!, { schema }), handlers: [welcomeHandler] })
      await app.start()
      try {
        await pool.query('create table users (name text primary key)')
        const handle = await register(app, pool, 'ada')
        expect(await handle.result()).toEqual({ mailed: 'ada' })
        await expect(register(app, pool, 'ada')).rejects.toThrow(/duplicate key/)
        expect((await pool.query('select name from users')).rows).toEqual([{ name: 'ada' }])
        expect(post.sent).toEqual(['ada'])
      } finally {
        await pool.end()
        await app.stop()
      }
    })
  })

if (!url)
  describe('the guide', () => {
    it('registers a user and a job together', (context) => context.skip(POSTGRES_NEEDS))
  })
