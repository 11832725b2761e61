// What a job costs in statements, counted through a driver: jobs without limits pay nothing for limits, uniqueness and
// pauses; and what limits leave behind is removed with the job.
import { expect, it } from 'vitest'
import { factsFrom } from '../../core/error-facts.js'
import { Bench, errored } from '../../testing/store-conformance/bench.js'
import { SqliteDriver } from '../sqlite/driver.js'
import { sqliteWith } from '../sqlite/open.js'
import { Asked, all, type Plan, type Statement } from './plan.js'

/** Every statement that was carried out, in order. */
function counting(seen: Statement[], made: SqliteDriver[] = []): typeof SqliteDriver {
  return class extends SqliteDriver {
    constructor(...args: ConstructorParameters<typeof SqliteDriver>) {
      super(...args)
      made.push(this)
    }
    override transact<T>(plan: () => Plan<T>, write: boolean): Promise<T> {
      return super.transact(() => spied(plan(), seen), write) as Promise<T>
    }
  }
}
function* spied<T>(plan: Plan<T>, seen: Statement[]): Plan<T> {
  let step = plan.next()
  while (!step.done) {
    if (!(step.value instanceof Asked)) seen.push(step.value)
    step = plan.next(yield step.value)
  }
  return step.value
}

const LIMIT_TABLES = /\b(slots|held|turns|buckets|uniques|pauses)\b(?! is| in| =|,)/

async function open(seen: Statement[], made: SqliteDriver[] = []): Promise<Bench> {
  return Bench.open(sqliteWith(counting(seen, made), ':memory:'))
}

it('a job without limits: the statements of submit, claim and end are these, and none is about limits', async () => {
  const seen: Statement[] = []
  const bench = await open(seen)
  const costs: Record<string, number> = {}
  const count = async <T>(what: string, work: Promise<T>): Promise<T> => {
    seen.length = 0
    const done = await work
    costs[what] = seen.length
    expect(seen.filter(({ sql }) => LIMIT_TABLES.test(sql)).map(({ sql }) => sql)).toEqual([])
    return done
  }
  // What is paused is asked once, and then only after a change of it.
  await bench.claim()
  await count('submit', bench.submitOne())
  const [claimed] = await count('claim', bench.claim())
  await count('end', bench.succeed(claimed!))
  await count('idle claim', bench.claim())
  expect(costs).toEqual({ submit: 3, claim: 6, end: 4, 'idle claim': 4 })
  await bench.store.close()
})

it('an error that no rule decides costs a few statements, and one that was met before no more', async () => {
  const seen: Statement[] = []
  const bench = await open(seen)
  const failure = { tenant: 'default', type: 't', fingerprint: 'a', input: 'i', attempt: 1, at: 1, taught: null }
  const costs: number[] = []
  for (const failures of [[], [], [{ ...failure, facts: factsFrom({ message: 'x' }) }]]) {
    for (let n = 0; n < 2; n++) {
      const claimed = await bench.started()
      const { id, epoch } = claimed.live
      seen.length = 0
      await bench.settle(claimed, errored('permanent'), {
        expiresAt: (at) => at,
        ...(failures.length > 0 ? { record: { jobId: id, epoch, failures } } : {}),
      })
      costs.push(seen.length)
    }
  }
  const plain = costs[0]!
  expect(costs).toEqual([plain, plain, plain, plain, plain + 4, plain + 3])
  await bench.store.close()
})

it('a scan uses the index of ready jobs, and is not correlated with anything', async () => {
  const seen: Statement[] = []
  const made: SqliteDriver[] = []
  const bench = await open(seen, made)
  await bench.claim(1)
  const scan = seen.find(({ sql }) => sql.includes('cross join jobs j'))!
  const explain = function* () {
    return yield* all<{ detail: string }>(`explain query plan ${scan.sql}`, ...scan.params[0]!)
  }
  const plan = (await made[0]!.transact(explain, false)).map(({ detail }) => detail).join('\n')
  expect(plan).toContain('SEARCH l USING INDEX live_ready (lane=? AND level=? AND run_at>? AND run_at<?)')
  expect(plan).not.toMatch(/SUBQUERY|SCAN|TEMP B-TREE/)
  await bench.store.close()
})

it('limits cost a fixed number of statements per claim, however many jobs wait in line', async () => {
  const costs: number[] = []
  for (const waiting of [3, 300]) {
    const seen: Statement[] = []
    const bench = await open(seen)
    const limits = { concurrency: { key: 'k', limit: 1 } }
    await bench.submit(...Array.from({ length: waiting }, () => ({ limits })))
    let running = await bench.claim(1)
    while ((await bench.store.load(1000))[0]!.ready > 0) await bench.claim(1)
    seen.length = 0
    for (let n = 0; n < 2; n++) {
      await bench.succeed(running[0]!)
      running = await bench.claim(1)
    }
    costs.push(seen.length / 2)
    await bench.store.close()
  }
  expect(costs[1]).toBe(costs[0])
  expect(costs[0]).toBeLessThan(30)
})

it('nothing of limits and names is left when the jobs are done', async () => {
  const made: SqliteDriver[] = []
  const bench = await open([], made)
  const limits = { concurrency: { key: 'k', limit: 1 }, order: 'o', rate: { key: 'r', limit: 10, perMs: 1000 } }
  await bench.submit(
    ...Array.from({ length: 5 }, (_, i) => ({ limits, unique: { key: `${i}` } })),
    ...Array.from({ length: 5 }, (_, i) => ({
      limits: { ...limits, order: `${i}` },
      unique: { key: `w${i}`, for: 5000 },
    })),
  )
  for (let n = 0; n < 60; n++) {
    for (const claimed of await bench.claim()) await bench.succeed(claimed)
    await bench.clock.advance(100)
  }
  await bench.clock.advance(5000)
  await bench.store.heal('', 100)
  const rows = function* () {
    return yield* all<{ n: number }>(
      `select (select count(*) from slots) + (select count(*) from held) + (select count(*) from turns) + (select count(*) from buckets) + (select count(*) from uniques) + (select count(*) from live) as n`,
    )
  }
  expect((await made[0]!.transact(rows, false))[0]!.n).toBe(0)
  await bench.store.close()
})
