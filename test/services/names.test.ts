// Who waits for whom: transactions that hold names and rows take them in one order, so that none is run a second time
// because two waited for each other. Each case is forced: what both need is held until both stand there.
import pg from 'pg'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import type { Plan } from '../../src/stores/sql/plan.js'
import { audit, Bench, CALLER, cancel, step } from '../../src/testing/store-conformance/bench.js'
import { fail, seen } from '../../src/testing/store-conformance/failures.js'
import { setPause } from '../../src/testing/store-conformance/pauses.js'
import { ownSchema } from './fresh.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
const limits = { concurrency: { key: 'k', limit: 9 } }

/** Two processes of one database, and how often a commit of theirs was begun again. */
async function two() {
  let again = 0
  class Counting extends PostgresDriver {
    override transact<T>(plan: () => Plan<T>, write: boolean): Promise<T> {
      let tries = 0
      return super.transact(() => {
        if (write && tries++ > 0) again++
        return plan()
      }, write)
    }
  }
  const schema = ownSchema()
  const bench = await Bench.open(postgresWith(Counting, url!, { schema }))
  const [a, b] = await bench.beside()
  const before = again
  return { a, b, schema, again: () => again - before }
}

/** Holds what a statement holds, until those who need it stand there. */
class Keeper {
  private constructor(
    private readonly client: pg.Client,
    private readonly pid: number,
  ) {}

  static async of(statement: string): Promise<Keeper> {
    const client = new pg.Client(url!)
    await client.connect()
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query('begin')
    await client.query(statement)
    return new Keeper(client, rows[0].pid)
  }
  static name(schema: string, name: string): Promise<Keeper> {
    return Keeper.of(`select pg_advisory_xact_lock(hashtextextended('${schema}/${name}', 0))`)
  }

  /** At least so many wait for it, or for one who does. */
  async awaited(count: number): Promise<void> {
    const behind = `with recursive behind(pid) as (select ${this.pid} union
      select a.pid from pg_stat_activity a join behind b on b.pid = any (pg_blocking_pids(a.pid))) select count(*)::int - 1 as n from behind`
    const other = new pg.Client(url!)
    await other.connect()
    try {
      await expect
        .poll(async () => (await other.query(behind)).rows[0].n, { timeout: 8000, interval: 20 })
        .toBeGreaterThanOrEqual(count)
    } finally {
      await other.end()
    }
  }

  /** One after the other they come to it; then it is let go. */
  async between<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
    const one = first()
    await this.awaited(1)
    const other = second()
    await this.awaited(2)
    await this.client.end()
    return Promise.all([one, other])
  }
}

if (url)
  describe('names and rows are taken in one order', () => {
    let benches: Bench[] = []
    afterEach(async () => {
      for (const bench of benches.splice(0)) await bench.close()
    })
    async function opened() {
      const both = await two()
      benches = [both.a]
      return both
    }

    it('steps of one job in two commits of its process: the second waits for the first', async () => {
      const { a, schema, again } = await opened()
      const { live } = await a.started()
      const { id: jobId, epoch } = live
      const records = [
        { steps: [step('s1', { undo: 'due' })] },
        { steps: [step('s2', { undo: 'due' })] },
        { waits: [a.wait(jobId, 'w1')] },
        { waits: [a.wait(jobId, 'w2')], steps: [step('s3')] },
      ]
      for (const [one, other] of [records.slice(0, 2), records.slice(2)]) {
        const keeper = await Keeper.of(`select 1 from ${schema}.live where id = '${jobId}' for update`)
        const record = (more: object | undefined) => () => a.store.record({ jobId, epoch, ...more })
        expect(await keeper.between(record(one), record(other))).toEqual([true, true])
      }
      expect((await a.store.steps(jobId)).map(({ key }) => key).sort()).toEqual(['s1', 's2', 's3'])
      expect(again()).toBe(0)
    })

    it('two jobs take the same files, named in another order', async () => {
      const { a, b, schema, again } = await opened()
      const files = [await a.addFile(), await a.addFile()]
      const last = [...files].sort().at(-1)!
      const first = files.find((file) => file !== last)!
      for (const [held, one, other] of [
        [first, [first, last], [last, first]],
        [last, [last, first], [first, last]],
      ] as const) {
        const keeper = await Keeper.of(`select 1 from ${schema}.files where id = '${held}' for update`)
        const submit = (bench: Bench, files: readonly string[]) => () =>
          bench.store.submit([bench.job({ files: [...files] })])
        const answers = await keeper.between(submit(a, one), submit(b, other))
        expect(answers).toMatchObject([[{ outcome: 'created' }], [{ outcome: 'created' }]])
      }
      expect(again()).toBe(0)
    })

    it('an error that ends a job with limits, and one that is counted beside a new job with limits', async () => {
      const { a, b, schema, again } = await opened()
      const [limited, free] = [await a.started({ limits }), await b.started({ type: 'other' })]
      const keeper = await Keeper.name(schema, 'limits')
      await keeper.between(
        () => Promise.all([b.submit({ limits, type: 'third' }), fail(b, free, [seen('f', { input: 'b' })])]),
        () => fail(a, limited, [seen('f', { input: 'a' })]),
      )
      expect(await a.store.failures.get('default', 'f')).toMatchObject({ count: 2, jobs: 2, inputs: 2 })
      expect(again()).toBe(0)
    })

    it('a job with limits that is audited as it is stored, and one as it is cancelled', async () => {
      const { a, b, schema, again } = await opened()
      const id = await b.submitOne({ limits })
      const keeper = await Keeper.name(schema, 'limits')
      await keeper.between(
        () => a.store.submit([{ ...a.job({ limits }), audit: audit({ action: 'job.replay' }) }]),
        () => b.apply(id, cancel(), { audit: audit() }),
      )
      const trail = await a.store.audit('default', 0, 9)
      expect(trail.map(({ action }) => action).sort()).toEqual(['job.cancel', 'job.replay'])
      expect(again()).toBe(0)
    })

    it('a taught rule that is forgotten, and one that has decided beside an action of the same tenant', async () => {
      const { a, b, schema, again } = await opened()
      const by = CALLER
      const taught = {
        tenant: 'default',
        type: 't',
        when: { fingerprint: 'f' },
        is: 'harmless',
        reason: 'noise',
        by,
      } as const
      const { id: rule } = await a.store.rules.teach(taught, () => audit({ action: 'rule.teach' }))
      const claimed = await b.started()
      const other = await b.submitOne({ type: 'other' })
      const keeper = await Keeper.name(schema, 'audit/default')
      await keeper.between(
        () =>
          Promise.all([b.apply(other, cancel(), { audit: audit() }), fail(b, claimed, [seen('f', { taught: rule })])]),
        () =>
          a.store.rules.forget({ tenant: 'default', id: rule, by, reason: 'wrong' }, audit({ action: 'rule.forget' })),
      )
      expect(await a.store.rules.list('default', true)).toMatchObject([{ used: 1, forgotten: { reason: 'wrong' } }])
      expect(again()).toBe(0)
    })

    it('a pause, and a claim beside an action of the same tenant', async () => {
      const { a, b, schema, again } = await opened()
      const id = await b.submitOne({ type: 'other' })
      const keeper = await Keeper.name(schema, 'audit/default')
      const [paused] = await keeper.between(
        () => setPause(a, {}, true),
        () => Promise.all([b.claim(), b.apply(id, cancel(), { audit: audit() })]),
      )
      expect(paused).toBe(true)
      expect(again()).toBe(0)
    })

    it('two pauses, each beside a claim of its process', async () => {
      const { a, b, schema, again } = await opened()
      const [one, two] = [await a.submitOne({ type: 'other' }), await b.submitOne({ type: 'other' })]
      const keeper = await Keeper.of(`select 1 from ${schema}.live for update`)
      const both = (bench: Bench, id: string) => () =>
        Promise.all([bench.apply(id, cancel()), setPause(bench, { name: id }, true), bench.claim()])
      const answers = await keeper.between(both(a, one), both(b, two))
      expect(answers.map(([, paused]) => paused)).toEqual([true, true])
      expect(again()).toBe(0)
    })
  })

if (!url)
  describe('names', () => {
    it('are taken in one order', (context) => context.skip(POSTGRES_NEEDS))
  })
