/**
 * Several writers and what is swept, expired, rescued and removed meanwhile: whoever comes first, nothing that somebody
 * relies on is gone, and nothing is counted twice.
 */
import { expect } from 'vitest'
import type { NewJob } from '../../stores/store.js'
import { audit, type Bench, CALLER, cancel, errored } from './bench.js'
import type { Suite } from './index.js'
import { firing, jobAt, putSchedule, schedule } from './schedules.js'
import { putWebhook, webhook } from './webhooks.js'
import { expectOneStory, times } from './writers.js'

export function upkeepTests({ test }: Suite): void {
  test('a file that is swept while a job takes it: the job has it, or is told that it is gone', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const now = bench.clock.now()
      const file = await bench.addFile({ expiresAt: now + (round % 2 ? 1 : 0) })
      const submit = () => a.store.submit([a.job({ files: [file] })])
      const [[answer], swept] = await Promise.all([submit(), b.store.files.sweep(now + 1, 10)])
      const kept = (await bench.store.files.get(file)) !== null
      expect(answer!.outcome).toBe(kept ? 'created' : 'file-missing')
      expect(swept).toEqual(kept ? [] : [file])
    }
  })

  test('the last job of a file expires while another takes it: it stays', async (bench) => {
    const [a, b] = await bench.beside()
    for (const _ of times(30)) {
      const file = await bench.addFile()
      await a.succeed(await a.started({ files: [file] }), 1, { expiresAt: () => bench.clock.now() })
      const [[answer]] = await Promise.all([a.store.submit([a.job({ files: [file] })]), b.store.expire(10)])
      expect(answer!.outcome).toBe('created')
      expect((await bench.store.files.get(file))!.expiresAt).toBeNull()
      for (const one of await bench.claim()) await bench.succeed(one)
    }
  })

  test('two fire the same schedule: each instant has one job', async (bench) => {
    const [a, b] = await bench.beside()
    await putSchedule(bench, schedule('s'))
    for (const round of times(20)) {
      const { revision } = (await bench.store.schedules.get('default', 's'))!
      const fire = (one: Bench) =>
        one.store.schedules.fire(
          firing('s', { revision, jobs: [jobAt(one, 's', 1000 * (round + 1))], nextAt: 1000 * (round + 2) }),
        )
      const answers = await Promise.all([fire(a), fire(b)])
      expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['fired', 'stale'])
    }
    expect(await bench.store.schedules.get('default', 's')).toMatchObject({ firedCount: 20, previousAt: 20_000 })
    expect(await bench.store.check()).toMatchObject({ unfinished: 20 })
  })

  test('two empty the outbox: each delivery is stored once', async (bench) => {
    const [a, b] = await bench.beside()
    await putWebhook(bench, webhook('wh_1'))
    for (const round of times(15)) {
      await bench.submit({}, {}, {})
      const happened = await bench.store.webhooks.outbox(9)
      const tell = (one: Bench) => {
        const jobs = new Map(
          happened.map(({ id }): [string, NewJob[]] => [id, [one.job({ tenant: '~default', type: 'd' })]]),
        )
        return one.store.webhooks.tell({ happened: round % 2 && one === b ? [...happened].reverse() : happened, jobs })
      }
      const told = await Promise.all([tell(a), tell(b)])
      expect(told[0]! + told[1]!).toBe(3)
    }
    expect(await bench.store.list({ tenant: '~default', order: 'createdAt', limit: 99 })).toHaveLength(45)
  })

  test('a webhook that another has just made: the next job of each is heard of, and so is whoever empties the outbox', async (bench) => {
    const [a, b, c] = await bench.beside()
    for (const _ of times(10)) {
      // Each has learned that nobody listens.
      await Promise.all([a.submit({}), b.submit({})])
      const heard = [a, b].map(
        (one) =>
          new Promise<void>((resolve) => {
            const stop = one.store.webhooks.onHappened(() => {
              stop()
              resolve()
            })
          }),
      )
      await putWebhook(c, webhook('wh_1'))
      const ids = await Promise.all([a.submitOne(), b.submitOne()])
      await Promise.all(heard)
      const told = (await c.store.webhooks.outbox(99)).map(({ jobId, type }) => `${type} ${jobId}`)
      expect(told.sort()).toEqual(ids.map((id) => `job.accepted ${id}`).sort())
      await c.store.webhooks.tell({ happened: await c.store.webhooks.outbox(99), jobs: new Map() })
      await c.store.webhooks.change({ tenant: 'default', id: 'wh_1', decide: () => null, audit: null })
      await Promise.all([a.submit({}), b.submit({})])
      expect(await c.store.webhooks.outbox(99)).toEqual([])
    }
  })

  test('two make a webhook where there is room for one: one is made', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(10)) {
      const make = (one: Bench, i: number) =>
        one.store.webhooks.change({
          ...{ tenant: `t-${round}`, id: `wh_${i}`, audit: audit({ tenant: `t-${round}` }) },
          decide: (_before, _now, count) => (count < 1 ? webhook(`wh_${i}`, { tenant: `t-${round}` }) : undefined),
        })
      await Promise.all(stores.map(make))
      expect(await bench.store.webhooks.list(`t-${round}`)).toHaveLength(1)
    }
  })

  test('two mark what has become late: each job once', async (bench) => {
    const [a, b] = await bench.beside()
    await putWebhook(bench, webhook('wh_1'))
    const at = bench.clock.now() + 10
    for (const _ of times(10)) {
      await bench.submit(...times(6).map(() => ({ escalateAt: at })))
      await bench.clock.advance(10)
      const marked = await Promise.all([a.store.markLate(99), b.store.markLate(99)])
      expect(marked[0]! + marked[1]!).toBe(6)
    }
    const late = (await bench.store.webhooks.outbox(999)).filter(({ type }) => type === 'job.late')
    expect(late).toHaveLength(60)
  })

  test('two expire at once: each job goes once, and what somebody needs stays', async (bench) => {
    const [a, b, c] = await bench.beside()
    for (const _ of times(10)) {
      const ids = await bench.submit(...times(12).map(() => ({ tags: ['x'] })))
      for (const claimed of await bench.claim()) await bench.succeed(claimed, 1, { expiresAt: (at) => at })
      const replay = c.job({ replayOf: ids[0]! })
      const [x, y, [answer]] = await Promise.all([a.store.expire(99), b.store.expire(99), c.store.submit([replay])])
      expect(answer!.outcome).toBe('created')
      const gone = await Promise.all(ids.map((id) => bench.store.find(id)))
      const buried = gone.filter((one) => one !== null && 'expiredAt' in one)
      expect(x + y).toBe(buried.length)
      expect(buried.length).toBeGreaterThanOrEqual(11)
      await bench.apply(replay.record.id, cancel())
      await bench.store.expire(99)
    }
  })

  test('two do an action with the same id: it is done once', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(20)) {
      const { live } = await bench.started()
      const retried = (one: Bench) =>
        one.apply(live.id, { type: 'pauseRequested', actor: CALLER }, { operationId: `op-${round}`, tenant: 'default' })
      const answers = await Promise.all([retried(a), retried(b)])
      expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['moved', 'repeated'])
      await expectOneStory(bench, live.id)
    }
  })

  test('ends of different stores in one commit each, and jobs retried between: nothing is lost', async (bench) => {
    const stores = await bench.beside()
    const ids = await bench.submit(...times(60).map(() => ({})))
    for (const round of times(6)) {
      await Promise.all(
        stores.map(async (one, s) => {
          const claimed = await one.claim(15, { worker: `w-${s}` })
          await Promise.all(
            claimed.map((job, i) => (i % 2 || round === 5 ? one.succeed(job, round) : one.settle(job, errored()))),
          )
        }),
      )
    }
    for (const one of await bench.claim(1000)) await bench.succeed(one)
    for (const id of ids) {
      await expectOneStory(bench, id)
      const { outcome } = await bench.stored(id)
      const attempts = await bench.store.attempts(id)
      expect(outcome).toMatchObject({ status: 'completed', epoch: attempts.length })
      expect(attempts.at(-1)!.outcome).toBe('ok')
    }
  })
}
