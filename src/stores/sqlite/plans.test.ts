/**
 * How SQLite carries out what is asked all the time: by the index made for it, never by looking at every job, never by
 * sorting. A query that misses its index works in every other test and stops the store for a second at a million jobs.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { LEVELS } from '../../core/job.js'
import { Bench, cancel, SYSTEM } from '../../testing/store-conformance/bench.js'
import { Asked, type Plan } from '../sql/plan.js'
import { SqliteDriver } from './driver.js'
import { sqliteWith } from './open.js'

/** Asks SQLite for the plan of every statement before it is carried out. */
class Explaining extends SqliteDriver {
  static seen: string[] = []
  override transact<T>(plan: () => Plan<T>, write: boolean): Promise<T> {
    return super.transact(() => this.watched(plan()), write)
  }
  private *watched<T>(plan: Plan<T>): Plan<T> {
    let step = plan.next()
    while (!step.done) {
      if (!(step.value instanceof Asked)) {
        const { sql } = step.value
        const steps = this['db'].prepare(`explain query plan ${sql}`).all() as { detail: string }[]
        Explaining.seen.push(...steps.map(({ detail }) => detail))
      }
      step = plan.next(yield step.value)
    }
    return step.value
  }
}

let bench: Bench | null = null
afterEach(async () => {
  await bench?.store.close()
  bench = null
})

/** The steps of all plans that look at rows, without the words that only join them. */
async function stepsOf(doing: () => Promise<unknown>): Promise<string[]> {
  Explaining.seen = []
  await doing()
  const steps = [...new Set(Explaining.seen.filter((step) => /^(SEARCH|SCAN|USE)/.test(step)))]
  expect(steps.length).toBeGreaterThan(0)
  return steps
}

async function open(): Promise<Bench> {
  bench = await Bench.open(sqliteWith(Explaining, ':memory:'))
  // What is paused, and who has webhooks, is read once, and remembered by the one owner of the store.
  await bench.store.lanes()
  await bench.store.markLate(1)
  return bench
}

/** What hangs on each job of a list. */
const NOTES = [
  ...['SEARCH r USING COVERING INDEX jobs_replay (replay_of=?)', 'SEARCH w USING PRIMARY KEY (job_id=?)'],
  ...['SEARCH k USING PRIMARY KEY (job_id=? AND kind=?)', 'SEARCH r USING PRIMARY KEY (job_id=?)'],
]

const CLAIM = { worker: 'w-1', limit: () => 5, levels: LEVELS }
describe('the index made for it', () => {
  const asked: [string, (bench: Bench) => Promise<unknown>, string[]][] = [
    [
      'claim',
      (bench) => bench.claim(5),
      [
        'SEARCH l USING INDEX live_ready (lane=? AND level=? AND run_at>? AND run_at<?)',
        'SEARCH j USING PRIMARY KEY (id=?)',
      ],
    ],
    [
      'claim of delivered jobs',
      (bench) => bench.store.claim({ ...CLAIM, lanes: [{ lane: 'q/t/d', limit: 5, ids: ['a', 'b'] }] }),
      ['SEARCH l USING PRIMARY KEY (id=?)', 'SCAN json_each VIRTUAL TABLE INDEX 1:'],
    ],
    [
      'what to announce',
      (bench) => bench.store.ready([{ lane: 'q/t/d', limit: 5 }], LEVELS),
      [
        'SEARCH l USING INDEX live_ready (lane=? AND level=? AND run_at>? AND run_at<?)',
        // What was found of each level.
        ...['SCAN found0', 'SCAN found1', 'SCAN found2', 'SCAN found3'],
      ],
    ],
    [
      'what still waits of what was announced',
      (bench) => bench.store.waiting(['a', 'b']),
      ['SEARCH l USING PRIMARY KEY (id=?)', 'SCAN json_each VIRTUAL TABLE INDEX 1:'],
    ],
    [
      'the earliest instant of a lane',
      (bench) => bench.store.due('q/t/d'),
      ['SEARCH live USING INDEX live_ready (lane=? AND level=?)'],
    ],
    [
      'all lanes',
      (bench) => bench.store.lanes(),
      [
        'SCAN CONSTANT ROW',
        'SCAN live USING INDEX live_ready',
        'SCAN found',
        'SEARCH live USING INDEX live_ready (lane>?)',
        'SEARCH l USING INDEX live_ready (lane=? AND level=?)',
      ],
    ],
    [
      'failures of a tenant',
      (bench) => bench.store.failures.list({ tenant: 'd', limit: 5, after: { lastAt: 1, fingerprint: 'f' } }),
      ['SEARCH failures USING INDEX failures_last (tenant=? AND last_at<?)'],
    ],
    [
      'failures of a type',
      (bench) => bench.store.failures.list({ tenant: 'd', types: ['t'], limit: 5 }),
      ['SEARCH failures USING INDEX failures_type (tenant=? AND type=?)'],
    ],
    ['waits that are over', (bench) => bench.store.dueWaits(5), ['SEARCH waits USING INDEX waits_due (due_at<?)']],
    [
      'jobs to be woken',
      (bench) => bench.store.dueWakes(5),
      ['SEARCH l USING INDEX live_wake (wake_at<?)', 'SEARCH w EXISTS USING PRIMARY KEY (job_id=?)'],
    ],
    [
      'how much waits and runs',
      (bench) => bench.store.load(5),
      [
        ...['SCAN CONSTANT ROW', 'SCAN live USING INDEX live_ready', 'SCAN found'],
        'SEARCH live USING INDEX live_ready (lane>?)',
        'SEARCH l USING INDEX live_ready (lane=? AND level=?)',
        'SCAN live USING INDEX live_behind',
        'SEARCH live USING INDEX live_behind (lane>?)',
        ...['SEARCH live USING INDEX live_worker (worker>?)', 'USE TEMP B-TREE FOR GROUP BY'],
      ],
    ],
    [
      'places in limits',
      (bench) => bench.store.heal('', 5),
      [
        // As many as jobs with limits run.
        ...['SCAN s USING COVERING INDEX slots_job', 'SEARCH l USING PRIMARY KEY (id=?) LEFT-JOIN'],
        'SEARCH uniques USING PRIMARY KEY (name=?)',
        'SEARCH uniques USING COVERING INDEX uniques_expiry (expires_at<?)',
        ...['SEARCH buckets USING PRIMARY KEY (name=?)', 'SEARCH buckets USING COVERING INDEX buckets_due (due<?)'],
        ...['SCAN CONSTANT ROW', 'SEARCH held USING PRIMARY KEY (name>?)', 'SCAN found'],
        'SEARCH turns USING PRIMARY KEY (name>?)',
      ],
    ],
    // In the order of its primary key, up to the limit.
    ['what is left to do', (bench) => bench.store.duties(5), ['SCAN duties']],
    [
      'jobs of lost workers',
      (bench) => bench.store.orphans(5),
      ['SEARCH l USING INDEX live_worker (worker>?)', 'SEARCH w USING PRIMARY KEY (id=?)'],
    ],
    ['jobs of one worker', (bench) => bench.store.orphans(5, 'w-1'), ['SEARCH l USING INDEX live_worker (worker=?)']],
    [
      'jobs past their deadline',
      (bench) => bench.store.overdue(5),
      ['SEARCH l USING INDEX live_deadline (deadline_at<?)'],
    ],
    [
      'jobs that became late',
      (bench) => bench.store.markLate(5),
      ['SEARCH l USING INDEX live_escalate (escalate_at<?)'],
    ],
    [
      'an effect',
      (bench) => bench.store.effect('default', 'k'),
      ['SEARCH effects USING PRIMARY KEY (tenant=? AND key=?)'],
    ],
    [
      'what ended since an instant',
      (bench) =>
        bench.store.list({
          tenant: 'default',
          statuses: ['completed', 'failed', 'cancelled'],
          updatedAfter: 1,
          order: '-finishedAt',
          after: { value: 5, id: 'x' },
          limit: 5,
        }),
      [
        'SEARCH o USING INDEX outcomes_finished (finished_at>? AND (finished_at,job_id)<(?,?))',
        'SEARCH j USING PRIMARY KEY (id=?)',
        ...['SEARCH l USING PRIMARY KEY (id=?) LEFT-JOIN', 'SEARCH p USING PRIMARY KEY (job_id=?) LEFT-JOIN'],
        ...NOTES,
      ],
    ],
    [
      'what is under way',
      (bench) =>
        bench.store.list({
          tenant: 'default',
          statuses: ['accepted', 'processing', 'blocked'],
          order: 'createdAt',
          after: { value: 5, id: 'x' },
          limit: 5,
        }),
      [
        ...['SEARCH l USING PRIMARY KEY (id>?)', 'SEARCH j USING PRIMARY KEY (id=?)'],
        ...['SEARCH o USING PRIMARY KEY (job_id=?) LEFT-JOIN', 'SEARCH p USING PRIMARY KEY (job_id=?) LEFT-JOIN'],
        ...NOTES,
      ],
    ],
    ['a callback', (bench) => bench.store.callback('h'), ['SEARCH callbacks USING PRIMARY KEY (hash=?)']],
  ]
  it.each(asked)('%s', async (_, doing, steps) => {
    const bench = await open()
    expect(await stepsOf(() => doing(bench))).toEqual(steps)
  })
})

describe('what belongs to one job is found by that job', () => {
  /** A parent that waits for a signal and for a child. */
  async function parent(bench: Bench) {
    const claimed = await bench.started()
    const { id } = claimed.live
    const waits = [bench.wait(id, 'go'), bench.wait(id, 'call', { kind: 'child' })]
    const child = bench.child(id, 'call', { type: 'c' })
    const leave = () => bench.suspend(claimed, waits, { children: [child] })
    return { id, leave, child: child.record.id }
  }
  /** One row, or the rows of one job. */
  const narrow =
    /^SEARCH \S+ USING (PRIMARY KEY|(COVERING )?INDEX \S+) \(\S*(id|tenant|replay_of)=\?|^SCAN (CONSTANT ROW|json_each)/

  it('leaving, with a child; a value; the end of the child; the end of the parent', async () => {
    const bench = await open()
    const { id, leave, child } = await parent(bench)
    const value = '{"is":"value","value":1}'
    const settle = { jobId: id, tenant: 'default', key: 'go', value, actor: SYSTEM, by: 'go' }
    const other = await parent(bench)
    await other.leave()
    const doings: Record<string, () => Promise<unknown>> = {
      leaving: leave,
      'a value': () => bench.store.settle(settle),
      'the end of a child': () => bench.apply(child, cancel()),
      'the end of a parent': () => bench.apply(other.id, cancel()),
    }
    for (const [name, doing] of Object.entries(doings))
      expect(
        (await stepsOf(doing)).filter((step) => !narrow.test(step)),
        name,
      ).toEqual([])
    expect(await bench.store.duties(5)).toMatchObject([{ jobId: other.child }])
    expect((await bench.store.steps(id)).map(({ key }) => key).sort()).toEqual(['call', 'go'])
  })

  it('a signal sorts no more than the waits of its job', async () => {
    const bench = await open()
    const { id, leave } = await parent(bench)
    await leave()
    const steps = await stepsOf(() => bench.signal(id, 'go'))
    expect(steps.filter((step) => !narrow.test(step))).toEqual(['USE TEMP B-TREE FOR ORDER BY'])
    expect(steps).toContain('SEARCH waits USING PRIMARY KEY (job_id=?)')
  })

  it('retention', async () => {
    const bench = await open()
    const claimed = await bench.started()
    await bench.succeed(claimed, {}, { expiresAt: (at) => at })
    const steps = await stepsOf(() => bench.store.expire(5))
    expect(steps).toContain('SEARCH l USING COVERING INDEX outcomes_expiry (expires_at<?)')
    expect(steps).toContain('SEARCH l USING COVERING INDEX tombstones_expired (expired_at<?)')
    // The workers of a day are few rows.
    expect(steps.filter((step) => !narrow.test(step) && !/expir/.test(step))).toEqual(['SCAN workers'])
  })
})
