/** Schedules: guarded changes, what is due, and firing: jobs and the new place in the timetable together or not at all. */
import { expect } from 'vitest'
import type { Schedule, ScheduleDefinition } from '../../core/schedule.js'
import type { Firing, NewJob, ScheduleChanged } from '../../stores/store.js'
import { audit, type Bench, CALLER, DAY } from './bench.js'
import type { Suite } from './index.js'

const definition = (more: Partial<ScheduleDefinition> = {}): ScheduleDefinition => ({
  ...{ type: 't', description: null, cron: '* * * * *', everyMs: null, timeZone: 'UTC', startAt: null, endAt: null },
  ...{ jitterMs: 0, missed: 'latest', missedLimit: 100, overlap: 'allow', priority: 0 },
  ...{ groupId: null, operationKey: null, tags: ['a'], metadata: { b: 'c' } },
  ...more,
})
export const schedule = (id: string, more: Partial<Schedule> = {}): Schedule => ({
  ...{ tenant: 'default', id, definition: definition(), input: '{"n":1}', declared: false, paused: null },
  ...{ nextAt: 1000, decidedAt: 5, previousAt: null, lastJobId: null, lastProblem: null },
  ...{ firedCount: 0, missedCount: 0, skippedCount: 0, problemCount: 0 },
  ...{ createdBy: CALLER, createdAt: 5, updatedAt: 5, version: 1, revision: 1 },
  ...more,
})

export const putSchedule = (bench: Bench, next: Schedule, files?: string[]): Promise<ScheduleChanged> =>
  bench.store.schedules.change({
    tenant: next.tenant,
    id: next.id,
    decide: () => ({
      next,
      ...(files ? { files } : {}),
      audit: audit({ tenant: next.tenant, action: 'schedule.create' }),
    }),
  })
export const jobAt = (bench: Bench, id: string, at: number, more = {}): { at: number; job: NewJob } => {
  const job = bench.job({ key: `${id}/${at}`, ...more })
  job.idempotency!.operation = 'schedule'
  job.record.options.schedule = { id, at }
  return { at, job }
}
export const firing = (id: string, more: Partial<Firing> = {}): Firing => ({
  ...{ tenant: 'default', id, revision: 1, jobs: [], afterPrevious: false, nextAt: 2000, missed: 0, problems: 0 },
  ...{ problem: null, missingFile: (file, at) => ({ code: 'file-not-found', message: file, at, occurredAt: 1 }) },
  ...more,
})
const row = async ({ store }: Bench, id: string) => (await store.schedules.get('default', id))!

export function scheduleTests({ test }: Suite): void {
  test('a schedule is kept as it was put, audited, and belongs to one tenant', async (bench) => {
    const { schedules } = bench.store
    const rows = [
      schedule('b', { declared: true, nextAt: null, previousAt: 7, lastJobId: 'x', input: 'null' }),
      schedule('a', {
        paused: { by: 'person', actor: CALLER, note: 'why', at: 3 },
        lastProblem: { code: 'c', message: 'm', at: 1, occurredAt: 2 },
        definition: definition({ cron: null, everyMs: 5000, startAt: 1, endAt: 2 }),
      }),
      schedule('a', { tenant: 'other' }),
    ]
    for (const one of rows) expect(await putSchedule(bench, one)).toEqual({ outcome: 'written', schedule: one })
    for (const one of rows) expect(await schedules.get(one.tenant, one.id)).toEqual(one)
    const bare = rows.map((one) => ({ ...one, input: 'null' }))
    expect(await schedules.list('default', null, 9)).toEqual([bare[1], bare[0]])
    expect(await schedules.list('default', 'a', 9)).toEqual([bare[0]])
    expect(await schedules.list('default', null, 1)).toEqual([bare[1]])
    expect(await schedules.get('default', 'x')).toBeNull()
    expect(await bench.store.audit('default', 0, 9)).toHaveLength(2)
  })

  test('a change sees what is there, and writes all of it or nothing', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    const seen: unknown[] = []
    const change = (id: string, next: Schedule | null | 'leave') =>
      schedules.change({
        tenant: 'default',
        id,
        decide: (before, now) => {
          seen.push(before?.version ?? null, now === bench.clock.now())
          return next === 'leave' ? null : { next, audit: null }
        },
      })
    expect(await change('a', 'leave')).toEqual({ outcome: 'left' })
    expect(await change('x', 'leave')).toEqual({ outcome: 'left' })
    const next = schedule('a', { version: 2, nextAt: 9, declared: true, input: '2' })
    expect(await change('a', next)).toEqual({ outcome: 'written', schedule: { ...next, revision: 2 } })
    expect(await row(bench, 'a')).toEqual({ ...next, revision: 2 })
    expect(await change('a', null)).toEqual({ outcome: 'written', schedule: null })
    expect(await schedules.get('default', 'a')).toBeNull()
    expect(seen).toEqual([1, true, null, true, 1, true, 2, true])
    expect(await bench.store.audit('default', 0, 9)).toHaveLength(1)
  })

  test('due gives what is not paused and has come, of these types, soonest first; and what a clock ahead decided', async (bench) => {
    const now = bench.clock.now()
    const at = (nextAt: number | null, more: Partial<Schedule> = {}) => ({ nextAt, decidedAt: now, ...more })
    const rows = [
      schedule('late', at(now - 9)),
      schedule('now', at(now)),
      schedule('soon', at(now + 9)),
      schedule('later', at(now + 10)),
      schedule('ended', at(null)),
      schedule('paused', at(now - 9, { paused: { by: 'code', actor: CALLER, note: null, at: 1 } })),
      schedule('other', at(now - 9, { definition: definition({ type: 'u' }) })),
      schedule('ahead', at(null, { decidedAt: now + 1 })),
      schedule('tenant', at(now - 10, { tenant: 'other' })),
    ]
    for (const one of rows) await putSchedule(bench, one)
    const due = async (types: string[], until: number, limit = 99) =>
      (await bench.store.schedules.due(types, until, limit)).map(({ id }) => id)
    expect((await due(['t', 'v'], now + 9)).filter((id) => id !== 'ahead')).toEqual(['tenant', 'late', 'now', 'soon'])
    expect(await due(['t'], now + 9)).toContain('ahead')
    expect(await due(['u'], now)).toEqual(['other'])
    expect(await due([], now)).toEqual([])
    expect(await due(['t'], now, 2)).toHaveLength(2)
  })

  test('firing stores jobs and place together, counts, and is noted with each job', async (bench) => {
    await putSchedule(bench, schedule('a'))
    const jobs = [jobAt(bench, 'a', 1000), jobAt(bench, 'a', 1500)]
    const problem = { code: 'input-invalid', message: 'no', at: 1600, occurredAt: 2 }
    bench.told.length = 0
    const fired = await bench.store.schedules.fire(firing('a', { jobs, missed: 3, problems: 1, problem }))
    expect(fired).toEqual({ outcome: 'fired', jobs: ['created', 'created'] })
    const ids = jobs.map(({ job }) => job.record.id)
    expect(await row(bench, 'a')).toEqual(
      schedule('a', {
        ...{ nextAt: 2000, decidedAt: bench.clock.now(), previousAt: 1500, lastJobId: ids[1], lastProblem: problem },
        ...{ firedCount: 2, missedCount: 3, problemCount: 1, revision: 2 },
      }),
    )
    expect((await bench.stored(ids[0]!)).record.options.schedule).toEqual({ id: 'a', at: 1000 })
    expect(bench.told.map(({ jobId, status }) => [jobId, status])).toEqual(ids.map((id) => [id, 'accepted']))
    await bench.submit({})
    const list = await bench.store.list({ tenant: 'default', schedule: 'a', order: '-createdAt', limit: 9 })
    expect(list.map(({ record }) => record.id)).toEqual([...ids].reverse())
    expect(await bench.store.list({ tenant: 'other', schedule: 'a', order: '-createdAt', limit: 9 })).toEqual([])
  })

  test('a firing from an old view writes nothing at all', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    const jobs = [jobAt(bench, 'a', 1000)]
    const answers = await Promise.all([
      schedules.fire(firing('a', { jobs })),
      schedules.fire(firing('a', { jobs: [jobAt(bench, 'a', 1001)], missed: 5 })),
      schedules.fire(firing('x', { jobs: [jobAt(bench, 'x', 1000)] })),
    ])
    expect(answers.map(({ outcome }) => outcome)).toEqual(['fired', 'stale', 'stale'])
    expect(await row(bench, 'a')).toMatchObject({ firedCount: 1, missedCount: 0, previousAt: 1000 })
    expect(await bench.store.check()).toMatchObject({ unfinished: 1 })
  })

  test('an instant has one job, however often it is fired', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    await schedules.fire(firing('a', { jobs: [jobAt(bench, 'a', 1000)] }))
    const before = await row(bench, 'a')
    const again = [jobAt(bench, 'a', 1000, { input: { other: 1 } }), jobAt(bench, 'a', 2000)]
    again[0]!.job.idempotency!.fingerprint = 'f'
    const fired = await schedules.fire(firing('a', { jobs: again, revision: before.revision, nextAt: 3000 }))
    expect(fired).toEqual({ outcome: 'fired', jobs: ['replayed', 'created'] })
    expect(await row(bench, 'a')).toMatchObject({ firedCount: 2, previousAt: 2000, nextAt: 3000 })
    expect(await bench.store.check()).toMatchObject({ unfinished: 2 })
  })

  test('after the previous job: an instant is skipped and counted as long as that is not done', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    const fire = async (at: number, count = 1) => {
      const { revision } = await row(bench, 'a')
      const jobs = Array.from({ length: count }, (_, i) => jobAt(bench, 'a', at + i))
      const fired = await schedules.fire(firing('a', { jobs, revision, afterPrevious: true }))
      return fired.outcome === 'fired' ? fired.jobs : fired.outcome
    }
    expect(await fire(1000, 3)).toEqual(['created', 'skipped', 'skipped'])
    expect(await fire(2000)).toEqual(['skipped'])
    await bench.succeed(await bench.claimOne())
    expect(await fire(3000)).toEqual(['created'])
    expect(await row(bench, 'a')).toMatchObject({ firedCount: 2, skippedCount: 3, previousAt: 3000 })
  })

  test('a change between two firings loses no count, and a firing undoes no change', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    const jobs = (at: number) => [jobAt(bench, 'a', at)]
    await Promise.all([
      schedules.fire(firing('a', { jobs: jobs(1000) })),
      schedules.change({
        tenant: 'default',
        id: 'a',
        decide: (before) => ({ next: { ...before!, input: '7', version: 2 }, audit: null }),
      }),
    ])
    expect(await row(bench, 'a')).toMatchObject({ input: '7', version: 2, firedCount: 1, nextAt: 2000, revision: 3 })
    await schedules.fire(firing('a', { jobs: jobs(2000), revision: 3, nextAt: 3000 }))
    expect(await row(bench, 'a')).toMatchObject({ input: '7', version: 2, firedCount: 2, nextAt: 3000 })
  })

  test('a job out of turn is stored with its audit entry and leaves the timetable alone', async (bench) => {
    const { schedules } = bench.store
    await putSchedule(bench, schedule('a'))
    const run = (id: string, key: string) => {
      const { job, at } = jobAt(bench, id, 1234, { key })
      const entry = audit({ action: 'schedule.run' })
      return schedules.run({ tenant: 'default', id, at, job, audit: entry })
    }
    const first = await run('a', 'k')
    expect(first).toMatchObject({ outcome: 'created' })
    expect(await run('a', 'k')).toEqual({ outcome: 'replayed', jobId: (first as { jobId: string }).jobId })
    expect(await run('x', 'l')).toBeNull()
    expect(await row(bench, 'a')).toMatchObject({ nextAt: 1000, previousAt: 1234, firedCount: 0, version: 1 })
    expect((await bench.store.audit('default', 0, 9)).map(({ action }) => action)).toEqual([
      'schedule.create',
      'schedule.run',
    ])
    const list = await bench.store.list({ tenant: 'default', schedule: 'a', order: 'createdAt', limit: 9 })
    expect(list).toHaveLength(1)
    expect(await bench.store.check()).toMatchObject({ unfinished: 1 })
  })

  test('the files of its input are kept as long as it refers to them', async (bench) => {
    const { schedules, files } = bench.store
    const [one, two] = [await bench.addFile(), await bench.addFile()]
    expect(await putSchedule(bench, schedule('a'), [one, 'file_none'])).toEqual({
      outcome: 'file-missing',
      file: 'file_none',
    })
    expect(await schedules.get('default', 'a')).toBeNull()
    await putSchedule(bench, schedule('a'), [one])
    await bench.clock.advance(2 * DAY)
    expect(await files.sweep(bench.clock.now(), 9)).toEqual([two])
    const three = await bench.addFile()
    // A change that says nothing of files keeps them.
    await putSchedule(bench, schedule('a', { version: 2 }))
    await putSchedule(bench, schedule('a', { version: 3 }), [three])
    expect((await files.get(one))!.expiresAt).toBe(bench.clock.now() + DAY)
    await schedules.change({ tenant: 'default', id: 'a', decide: () => ({ next: null, audit: null }) })
    await bench.clock.advance(DAY)
    expect((await files.sweep(bench.clock.now(), 9)).sort()).toEqual([one, three].sort())
  })

  test('a file that is gone when an instant comes is a problem of that instant', async (bench) => {
    await putSchedule(bench, schedule('a'))
    const jobs = [jobAt(bench, 'a', 1000, { files: ['file_gone'] }), jobAt(bench, 'a', 1500)]
    const fired = await bench.store.schedules.fire(firing('a', { jobs }))
    expect(fired).toEqual({ outcome: 'fired', jobs: ['refused', 'created'] })
    expect(await row(bench, 'a')).toMatchObject({
      ...{ firedCount: 1, problemCount: 1, previousAt: 1500 },
      lastProblem: { code: 'file-not-found', message: 'file_gone', at: 1000 },
    })
  })

  test('jobs of a schedule that expire leave the schedule as it is', async (bench) => {
    await putSchedule(bench, schedule('a'))
    const jobs = [jobAt(bench, 'a', 1000)]
    await bench.store.schedules.fire(firing('a', { jobs }))
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at })
    await bench.clock.advance(1)
    expect(await bench.store.expire(9)).toBe(1)
    expect(await row(bench, 'a')).toMatchObject({ lastJobId: jobs[0]!.job.record.id, firedCount: 1 })
    expect(await bench.store.list({ tenant: 'default', schedule: 'a', order: 'createdAt', limit: 9 })).toEqual([])
    // The key outlives the job: the instant is still taken.
    const { revision } = await row(bench, 'a')
    const again = await bench.store.schedules.fire(firing('a', { jobs: [jobAt(bench, 'a', 1000)], revision }))
    expect(again).toEqual({ outcome: 'fired', jobs: ['replayed'] })
  })

  test('survives a restart', async (bench) => {
    await putSchedule(bench, schedule('a'))
    const jobs = [jobAt(bench, 'a', 1000)]
    await bench.store.schedules.fire(firing('a', { jobs }))
    const before = await row(bench, 'a')
    await bench.reopen()
    expect(await row(bench, 'a')).toEqual(before)
    expect((await bench.stored(jobs[0]!.job.record.id)).record.options.schedule).toEqual({ id: 'a', at: 1000 })
  })
}
