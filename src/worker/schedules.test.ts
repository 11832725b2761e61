import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, defineSchedule, type JobHandler } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import type { ScheduleBody } from '../engine/schedule-api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/rig.js'

const open = rigs()
const MINUTE = 60_000
const report = defineJob('report', { input: z.object({ region: z.string() }) })
/** Instants the handler was given, and when it ran. */
const ran: { at: string; now: string }[] = []
const handler = report.handler((job) => {
  ran.push({ at: job.schedule!.at.toISOString(), now: '' })
  return null as never
}) as unknown as JobHandler

const start = Date.UTC(2026, 10, 22, 9, 0, 30)
const minute = (n: number) => new Date(Date.UTC(2026, 10, 22, 9, n)).toISOString()
const body = (more: Partial<ScheduleBody> = {}): ScheduleBody => ({
  ...{ id: 'nightly', type: 'report', input: { region: 'eu' }, cron: '* * * * *' },
  ...more,
})
async function planned(more: Partial<ScheduleBody> = {}, own: JobHandler = handler): Promise<TestRig> {
  const rig = await open(own, { start })
  await rig.engine.schedules.create(LOCAL, body(more))
  return rig
}
const jobs = async (rig: TestRig, id = 'nightly') => {
  const { items } = await rig.engine.list(LOCAL, { schedule: id, order: 'createdAt', limit: 200 })
  return items
}
const instants = async (rig: TestRig) => (await jobs(rig)).map((job) => job.schedule!.at)
const get = (rig: TestRig, id = 'nightly') => rig.engine.schedules.get(LOCAL, id)

describe('firing', () => {
  it('makes one job at each instant, at the instant, and says so', async () => {
    ran.length = 0
    const rig = await planned()
    expect(await get(rig)).toMatchObject({
      ...{ nextAt: minute(1), previousAt: null, lastJobId: null, firedCount: 0 },
      statusText: 'Next run Sunday 22 November 2026, 09:01 UTC (in 30 s)',
    })
    await rig.advance('29.999s')
    expect(await jobs(rig)).toEqual([])
    await rig.advance('1ms')
    const [job] = await jobs(rig)
    expect(job).toMatchObject({
      ...{ type: 'report', createdAt: minute(1), schedule: { id: 'nightly', at: minute(1) }, status: 'completed' },
      createdBy: { kind: 'system', id: 'schedule/nightly' },
    })
    await rig.advance('2m')
    expect(await instants(rig)).toEqual([minute(1), minute(2), minute(3)])
    expect(ran.map(({ at }) => at)).toEqual([minute(1), minute(2), minute(3)])
    const last = (await jobs(rig)).at(-1)!
    expect(await get(rig)).toMatchObject({
      ...{ nextAt: minute(4), previousAt: minute(3), lastJobId: last.id, firedCount: 3, missedCount: 0, version: 1 },
    })
  })

  it('to the millisecond, also between two looks', async () => {
    const rig = await open(handler, { start: start + 250 })
    await rig.engine.schedules.create(LOCAL, body())
    await rig.advance('2m')
    expect((await jobs(rig)).map(({ createdAt }) => createdAt)).toEqual([minute(1), minute(2)])
  })

  it('hands the job what the schedule says', async () => {
    const members = { priority: 60, groupId: 'g', operationKey: 'o', tags: ['t'], metadata: { m: '1' } }
    const rig = await planned(members)
    await rig.advance('31s')
    expect((await jobs(rig))[0]).toMatchObject(members)
  })

  it('several schedules of one instant share it, and one in trouble does not hold up the others', async () => {
    const rig = await open(handler, { start })
    for (const id of ['a', 'b', 'c']) await rig.engine.schedules.create(LOCAL, body({ id }))
    const { schedules } = rig.store
    const { fire } = schedules
    schedules.fire = (firing) => (firing.id === 'b' ? Promise.reject(new Error('no luck')) : fire(firing))
    await rig.advance('30s')
    schedules.fire = fire
    // Timer and look of every second meet here, and both try.
    expect(new Set(rig.errors.splice(0).map(String))).toEqual(new Set(['Error: no luck']))
    expect(await Promise.all(['a', 'b', 'c'].map(async (id) => (await jobs(rig, id)).length))).toEqual([1, 0, 1])
    await rig.advance('1s')
    expect((await jobs(rig, 'b')).map((job) => job.schedule!.at)).toEqual([minute(1)])
  })

  it('spreads the start of jobs, the same way each time', async () => {
    const rig = await planned({ everyMs: 10_000, cron: null, jitterMs: 5000 })
    await rig.advance('10m')
    const shares = (await jobs(rig)).map((job) => Date.parse(job.runAt!) - Date.parse(job.schedule!.at))
    expect(shares).toHaveLength(60)
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...shares)).toBeLessThanOrEqual(5000)
    expect(new Set(shares.map((ms) => Math.floor(ms / 1000))).size).toBeGreaterThanOrEqual(5)
    const again = await planned({ everyMs: 10_000, cron: null, jitterMs: 5000 })
    await again.advance('1m')
    expect((await jobs(again)).map((job) => Date.parse(job.runAt!) - Date.parse(job.schedule!.at))).toEqual(
      shares.slice(0, 6),
    )
  })

  it('goes by the time zone across a change of the clock', async () => {
    const rig = await open(handler, { start: Date.UTC(2026, 2, 29, 0, 30) })
    await rig.engine.schedules.create(LOCAL, body({ cron: '30 2 * * *', timeZone: 'Europe/Berlin' }))
    await rig.engine.schedules.create(LOCAL, body({ id: 'pace', cron: null, everyMs: 20 * MINUTE }))
    const { nextAt, statusText } = await get(rig)
    expect(nextAt).toBe('2026-03-29T01:00:00.000Z')
    expect(statusText).toBe('Next run Sunday 29 March 2026, 03:00 Europe/Berlin (in 30 m)')
    await rig.advance('1h')
    expect(await instants(rig)).toEqual(['2026-03-29T01:00:00.000Z'])
    expect((await get(rig)).nextAt).toBe('2026-03-30T00:30:00.000Z')
    expect(await jobs(rig, 'pace')).toHaveLength(3)
  })
})

describe('an instant that gets no job', () => {
  it('is skipped and counted while the previous job is not done', async () => {
    const slow = report.handler(async (job) => {
      if (job.schedule?.at.toISOString() === minute(1)) await new Promise((resolve) => (release = resolve))
      return null as never
    }) as unknown as JobHandler
    let release: (value: unknown) => void = () => {}
    const rig = await planned({ overlap: 'skip' }, slow)
    await rig.advance('2m30s')
    expect(await instants(rig)).toEqual([minute(1)])
    expect(await get(rig)).toMatchObject({ firedCount: 1, skippedCount: 2, nextAt: minute(4) })
    release(null)
    await rig.advance('1m')
    expect(await instants(rig)).toEqual([minute(1), minute(4)])
  })

  it('because its input is no longer valid: noted on the schedule, and the next one is tried again', async () => {
    const rig = await planned()
    const strict = defineJob('report', { input: z.object({ region: z.string(), year: z.number() }) })
    await rig.restart([strict.handler(() => null as never) as unknown as JobHandler])
    await rig.advance('90s')
    expect(await jobs(rig)).toEqual([])
    const schedule = await get(rig)
    expect(schedule).toMatchObject({ problemCount: 2, firedCount: 0, nextAt: minute(3), previousAt: null })
    expect(schedule.lastProblem).toMatchObject({ code: 'input-invalid', at: minute(2), occurredAt: minute(2) })
    expect(schedule.lastProblem!.message).toContain('/year')
    expect(schedule.statusText).toMatch(
      /^Did not run Sunday 22 November 2026, 09:02 UTC: .*\/year.*\. Next run Sunday 22 November 2026, 09:03 UTC \(in 1 m\)$/,
    )
    await rig.restart([handler])
    await rig.advance('1m')
    const { statusText, lastProblem, firedCount } = await get(rig)
    expect([statusText.startsWith('Next run'), lastProblem?.at, firedCount]).toEqual([true, minute(2), 1])
  })

  it('because its schema throws: the same', async () => {
    let broken = false
    const moody = defineJob('report', {
      input: z.object({ region: z.string() }).refine(() => {
        if (broken) throw new Error('schema trouble')
        return true
      }),
    })
    const rig = await planned({}, moody.handler(() => null as never) as unknown as JobHandler)
    broken = true
    await rig.advance('31s')
    expect((await get(rig)).lastProblem).toMatchObject({
      code: 'input-invalid',
      message: expect.stringContaining('trouble'),
    })
  })

  it('while nobody has its job type: it waits, and is dealt with when somebody has', async () => {
    const rig = await planned()
    const other = defineJob('other', { input: z.object({}) }).handler(() => null as never) as unknown as JobHandler
    await rig.restart([other])
    await rig.advance('5m')
    expect(await get(rig)).toMatchObject({
      ...{ problemCount: 0, missedCount: 0, nextAt: minute(1) },
      statusText: 'No run before this server has the job type "report"; due since Sunday 22 November 2026, 09:01 UTC.',
    })
    await rig.restart([handler])
    await rig.advance('1s')
    expect(await instants(rig)).toEqual([minute(5)])
    expect(await get(rig)).toMatchObject({ firedCount: 1, missedCount: 4 })
  })
})

describe('after an outage', () => {
  it.each([
    ['skip', [], 3],
    ['latest', [minute(3)], 2],
    ['all', [minute(1), minute(2), minute(3)], 0],
  ] as const)('missed: %s', async (missed, fired, count) => {
    // Every ten minutes would be the same; the last instant lies 90 s back, which is more than a busy minute.
    const rig = await planned({ missed, endAt: minute(4) })
    await rig.crash()
    await rig.clock.advance(4 * MINUTE)
    await rig.restart()
    await rig.settle()
    expect(await instants(rig)).toEqual(fired)
    expect(await get(rig)).toMatchObject({ missedCount: count, firedCount: fired.length, nextAt: null })
    expect((await get(rig)).statusText).toBe('No further run: the timetable has ended.')
  })

  it('a pause is an outage of one schedule', async () => {
    const rig = await planned({ missed: 'all', missedLimit: 2 })
    await rig.engine.schedules.pause(LOCAL, 'nightly', { reason: 'moving' })
    await rig.advance('5m')
    expect(await jobs(rig)).toEqual([])
    expect(await get(rig)).toMatchObject({
      nextAt: null,
      statusText: 'Paused since Sunday 22 November 2026, 09:00:30 UTC: moving.',
    })
    await rig.engine.schedules.resume(LOCAL, 'nightly', {})
    await rig.advance('1s')
    expect(await instants(rig)).toEqual([minute(4), minute(5)])
    expect(await get(rig)).toMatchObject({ missedCount: 3, firedCount: 2, nextAt: minute(6) })
  })

  it('hundreds of instants are caught up in portions, none twice', async () => {
    const rig = await planned({ missed: 'all', missedLimit: 130, cron: null, everyMs: 1000 })
    await rig.crash()
    await rig.clock.advance(20 * MINUTE)
    await rig.restart()
    await rig.settle()
    const fired = await instants(rig)
    expect(fired).toHaveLength(130)
    expect(new Set(fired).size).toBe(130)
    expect(fired.at(-1)).toBe(new Date(rig.clock.now()).toISOString())
    expect(await get(rig)).toMatchObject({ firedCount: 130, missedCount: 20 * 60 - 130 })
  })
})

describe('a process that dies while it fires', () => {
  for (const when of ['before', 'after'] as const) {
    for (const missed of ['latest', 'all', 'skip'] as const) {
      it(`${when} the store has it, missed: ${missed}: the instant has one job`, async () => {
        const rig = await planned({ missed })
        const died = rig.crashAt({ op: 'fire', when })
        await rig.advance('31s')
        await died
        const stored = await rig.store.list({ tenant: 'default', order: 'createdAt', limit: 9 })
        expect(stored).toHaveLength(when === 'before' ? 0 : 1)
        await rig.restart()
        await rig.advance('1s')
        expect(await instants(rig)).toEqual([minute(1)])
        await rig.advance('1m')
        expect(await instants(rig)).toEqual([minute(1), minute(2)])
        expect(await get(rig)).toMatchObject({ firedCount: 2, missedCount: 0, nextAt: minute(3) })
      })
    }
  }

  it('at every firing of a row of catch-ups: none is lost, none is doubled', async () => {
    for (let nth = 1; nth <= 3; nth++) {
      for (const when of ['before', 'after'] as const) {
        const rig = await planned({ missed: 'all', missedLimit: 140, cron: null, everyMs: 1000, endAt: minute(3) })
        await rig.crash()
        await rig.clock.advance(5 * MINUTE)
        const died = rig.restart().then(() => rig.crashAt({ op: 'fire', when, nth }))
        await rig.settle()
        await died
        await rig.restart()
        await rig.settle()
        const fired = await instants(rig)
        expect([fired.length, new Set(fired).size], `${when} ${nth}`).toEqual([140, 140])
        expect(await get(rig)).toMatchObject({ firedCount: 140, missedCount: 149 - 140, nextAt: null })
      }
    }
  })
})

describe('a clock that jumps', () => {
  it('back: no instant is fired again, and the next one is not forgotten', async () => {
    const rig = await planned()
    await rig.advance('2m')
    expect(await instants(rig)).toEqual([minute(1), minute(2)])
    rig.clock.skew(-90_000)
    await rig.advance('1s')
    expect((await get(rig)).nextAt).toBe(minute(2))
    await rig.advance('3m')
    expect(await instants(rig)).toEqual([minute(1), minute(2), minute(3), minute(4)])
    expect(await get(rig)).toMatchObject({ firedCount: 4 })
  })

  it('years ahead and back again: it goes on as before', async () => {
    const rig = await planned({ cron: '0 * * * *', missed: 'skip' })
    const jump = 100 * 86_400_000 + 10 * MINUTE
    rig.clock.skew(jump)
    await rig.advance('2s')
    rig.clock.skew(-jump)
    await rig.advance('2s')
    expect((await get(rig)).nextAt).toBe('2026-11-22T10:00:00.000Z')
    await rig.advance('1h')
    expect(await instants(rig)).toEqual(['2026-11-22T10:00:00.000Z'])
  })

  it('ahead: what was jumped over is missed', async () => {
    const rig = await planned()
    rig.clock.skew(10 * MINUTE)
    await rig.advance('1s')
    expect(await instants(rig)).toEqual([minute(10)])
    expect(await get(rig)).toMatchObject({ missedCount: 9, nextAt: minute(11) })
  })

  it('a process that stood still fires late, once', async () => {
    const rig = await planned()
    await rig.advance('25s')
    await rig.clock.stall(8000)
    await rig.settle()
    expect(await instants(rig)).toEqual([minute(1)])
  })
})

describe('keeping time', () => {
  it('works out the next instants anew at the start: rules of a zone may have changed', async () => {
    const rig = await planned({ cron: '0 12 * * *' })
    const decide = (before: any) => ({ next: { ...before, nextAt: before.nextAt + 3_600_000 }, audit: null })
    await rig.store.schedules.change({ tenant: 'default', id: 'nightly', decide })
    await rig.restart()
    expect((await get(rig)).nextAt).toBe('2026-11-22T12:00:00.000Z')
  })

  it('goes on after trouble of the store, and leaves nothing behind when it stops', async () => {
    const rig = await planned()
    const { schedules } = rig.store
    const { due } = schedules
    schedules.due = () => Promise.reject(new Error('the store is away'))
    await rig.advance('31s')
    schedules.due = due
    expect(new Set(rig.errors.splice(0).map(String))).toEqual(new Set(['Error: the store is away']))
    await rig.advance('1s')
    expect(await instants(rig)).toEqual([minute(1)])
    await rig.stop()
    await rig.advance('5m')
    expect(rig.errors).toEqual([])
  })

  it('runs without a worker, too: then the jobs wait for one', async () => {
    const rig = await open(handler, {
      ...{ start, worker: false },
      schedules: [defineSchedule({ id: 'nightly', definition: report, input: { region: 'eu' }, cron: '* * * * *' })],
    })
    await rig.advance('31s')
    expect((await jobs(rig)).map(({ status }) => status)).toEqual(['accepted'])
  })
})
