/**
 * Which rights the application's own role needs for jobs in its transactions: those that docs/guide/transactional-submit.md
 * grants, and none of them without need.
 */
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { limitName } from '../../src/core/limits.js'
import { createUntildone, defineJob, file, LOCAL, type SqlTransaction, type Untildone } from '../../src/index.js'
import { postgres } from '../../src/stores/postgres/index.js'
import { as } from './losses.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
const schema = `rights_${process.pid}`
const role = `app_${process.pid}`
const guide = readFileSync(new URL('../../docs/guide/transactional-submit.md', import.meta.url), 'utf8')

/** The statements of one block of the guide, for this schema and this role. */
function granted(block: number): string[] {
  const blocks = [...guide.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, text]) => text!)
  const here = blocks[block]!.replace(/\buntildone\b/g, schema).replace(/\bapp\b/g, role)
  return here.split(';').flatMap((statement) => statement.trim() || [])
}

const schemas = {
  input: z.object({ n: z.number(), text: z.string().optional(), pdf: file().optional() }),
  output: z.number(),
}
const plain = defineJob('plain', schemas)
const only = defineJob('only', schemas)
const limited = defineJob('limited', schemas)
const newest = defineJob('newest', schemas)
const limits = {
  order: ({ n }: { n: number }) => (n < 0 ? 'line' : null),
  concurrency: { limit: 1 },
  rate: { limit: 1, per: '1 h' },
} as const
const unique = { key: ({ n }: { n: number }) => `${n}` }
const run = async () => 1
const handlers = [
  plain.handler({ version: '1' }, run),
  only.handler({ version: '1', unique }, run),
  limited.handler({ version: '1', limits }, run),
  newest.handler({ version: '1', limits, unique: { ...unique, onDuplicate: 'replace' } }, run),
]

if (url)
  describe('the role of the application', () => {
    let app: Untildone
    let upload = ''
    const owner = new Client(url!)
    const user = new Client(as(url!, role))

    beforeAll(async () => {
      app = await createUntildone({ store: postgres(url!, { schema }), handlers, worker: false })
      await owner.connect()
      await owner.query(`create role ${role} login`)
      await user.connect()
      const bytes = async function* () {
        yield Buffer.from('x')
      }
      const about = { contentType: 'text/plain', name: null, maxBytes: 9 }
      upload = (await app.engine.addFile(LOCAL, bytes(), about)).file
      await app.submit(only, { n: 1 })
      await app.submit(newest, { n: -1 })
      // Somebody stands in line already, so that whoever comes joins.
      for (const kind of ['concurrency', 'rate'] as const)
        await owner.query(`insert into ${schema}.held values ($1, 0, 1, 1, 'job', 1)`, [
          limitName(kind, { tenant: LOCAL.tenant, type: 'limited' }, ''),
        ])
    })
    afterAll(async () => {
      await app.stop()
      await user.end()
      await owner.query(`drop owned by ${role}`)
      await owner.query(`drop role ${role}`)
      await owner.end()
    })

    const asked: Record<string, (tx: SqlTransaction) => Promise<unknown>> = {
      plain: (tx) => app.submit(plain, { n: 1 }, { tx, tags: ['new'], group: 'g', metadata: { by: 'test' } }),
      'with a key': async (tx) => {
        const first = await app.submit(plain, { n: 1 }, { tx, key: 'one' })
        expect((await app.submit(plain, { n: 1 }, { tx, key: 'one' })).id).toBe(first.id)
      },
      later: (tx) => app.submit(plain, { n: 1 }, { tx, runAt: new Date(Date.now() + 60_000) }),
      large: (tx) => app.submit(plain, { n: 1, text: 'x'.repeat(100_000) }, { tx }),
      'with a file': (tx) => app.submit(plain, { n: 1, pdf: upload }, { tx }),
      'of a unique name': async (tx) => {
        const first = await app.submit(only, { n: 2 }, { tx })
        expect((await app.submit(only, { n: 2 }, { tx })).duplicateOf).toBe(first.id)
        expect((await app.submit(only, { n: 1 }, { tx })).duplicateOf).not.toBeNull()
      },
      'with limits': async (tx) => {
        for (const n of [1, 2, -1, -2]) await app.submit(limited, { n }, { tx })
      },
      'that tells': (tx) => app.submit(plain, { n: 1 }, { tx, notify: [{ url: 'https://example.com/told' }] }),
    }

    /** Which of these cannot be submitted. */
    async function refused(): Promise<string[]> {
      const names: string[] = []
      for (const [name, submit] of Object.entries(asked)) {
        await user.query('begin')
        await submit(user).catch(({ code, message }) => {
          expect({ code, message }).toEqual({
            code: 'transaction-unusable',
            message: expect.stringMatching(
              /^The role of the transaction lacks a right .*permission denied.*Nothing was stored/,
            ),
          })
          names.push(name)
        })
        // As good as before.
        await user.query('select 1')
        await user.query('rollback')
      }
      return names
    }

    it('without rights it is told which ones it needs', async () => {
      expect(await refused()).toEqual(Object.keys(asked))
      await user.query('begin')
      const { fix } = await app.submit(plain, { n: 1 }, { tx: user }).catch((error) => error)
      await user.query('rollback')
      for (const statement of [...granted(0), ...granted(1)]) expect(fix).toContain(statement.replaceAll(role, 'ROLE'))
    })

    it('with those of the guide it submits everything but what takes the place of another', async () => {
      for (const statement of granted(0)) await owner.query(statement)
      expect(await refused()).toEqual([])
      const replacing = () => app.submit(newest, { n: -1 }, { tx: user })
      await user.query('begin')
      await expect(replacing()).rejects.toMatchObject({ code: 'transaction-unusable' })
      await user.query('rollback')
      for (const statement of granted(1)) await owner.query(statement)
      await user.query('begin')
      expect((await replacing()).duplicateOf).toBeNull()
      await user.query('rollback')
    })

    it('with those of the guide it reads no input and no secret of a webhook', async () => {
      await owner.query(`drop owned by ${role}`)
      for (const statement of granted(0)) await owner.query(statement)
      for (const what of ['input from jobs', 'body from webhooks', 'data from blobs', 'result from outcomes']) {
        const [column, , table] = what.split(' ')
        await expect(owner.query(`select ${column} from ${schema}.${table} limit 1`), what).resolves.toBeDefined()
        await expect(user.query(`select ${column} from ${schema}.${table} limit 1`), what).rejects.toMatchObject({
          code: '42501',
        })
      }
    })

    it('needs every one of them', async () => {
      await owner.query(`drop owned by ${role}`)
      const all = granted(0).flatMap((statement) => {
        const [, rights, on] = /^grant (.+) on (.+) to/.exec(statement)!
        return rights!.split(/, (?![^(]*\))/).flatMap((right) => on!.split(', ').map((what) => `${right} on ${what}`))
      })
      expect(all.length).toBeGreaterThan(15)
      for (const one of all) await owner.query(`grant ${one} to ${role}`)
      expect(await refused()).toEqual([])
      for (const one of all) {
        await owner.query(`revoke ${one} from ${role}`)
        expect(await refused(), one).not.toEqual([])
        await owner.query(`grant ${one} to ${role}`)
      }
    })
  })
else
  describe('the role of the application', () => {
    it('needs what the guide grants', (context) => context.skip(POSTGRES_NEEDS))
  })
