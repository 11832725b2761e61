import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, defineSchedule, file, type JobHandler, type ScheduleDeclaration } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/rig.js'
import { type Caller, LOCAL, type Scope } from './api.js'
import type { ScheduleBody } from './schedule-api.js'

const open = rigs()
const report = defineJob('report', { input: z.object({ region: z.string().min(1) }) })
const stamp = defineJob('stamp', { input: z.object({ document: file() }) })
const careful = defineJob('careful', { input: z.object({}) })
const handlers = [
  report.handler(() => null as never),
  stamp.handler(() => null as never),
  careful.handler({ requireIdempotencyKey: true }, () => null as never),
] as unknown as JobHandler[]
const START = Date.UTC(2026, 10, 22, 9, 0, 30)

const rigOf = (schedules?: ScheduleDeclaration[]) =>
  open(handlers, { start: START, worker: false, ...(schedules ? { schedules } : {}) })
const body = (more: Partial<ScheduleBody> = {}): ScheduleBody => ({
  ...{ id: 'nightly', type: 'report', input: { region: 'eu' }, cron: '30 3 * * *' },
  ...more,
})
const caller = (scopes: Scope[], more: Partial<Caller> = {}): Caller => ({
  ...{ tenant: 'default', actor: { kind: 'apiKey', id: 'key_1', name: 'ops' }, scopes, types: null },
  ...more,
})
const refused = async (asked: Promise<unknown> | (() => Promise<unknown>)) => {
  const error = await (typeof asked === 'function' ? asked() : asked).then(
    () => null,
    (reason) => reason,
  )
  return error && { code: error.code, message: error.message, at: error.errors.map((one: any) => one.pointer) }
}
const audited = async (rig: TestRig) =>
  (await rig.store.audit('default', 0, 99)).map(({ action, actor, target, reason }) => [
    action,
    actor.id,
    target,
    reason,
  ])

describe('create', () => {
  it('keeps the definition with its defaults, and says when it runs', async () => {
    const rig = await rigOf()
    const { schedule, created } = await rig.engine.schedules.create(LOCAL, body({ cron: ' 30  3 * * * ' }))
    expect(created).toBe(true)
    expect(schedule).toEqual({
      ...{ id: 'nightly', tenant: 'default', type: 'report', input: { region: 'eu' }, description: null },
      ...{ cron: '30 3 * * *', everyMs: null, timeZone: 'UTC', startAt: null, endAt: null, jitterMs: 0 },
      ...{ missed: 'latest', missedLimit: 100, overlap: 'allow', priority: 0, groupId: null, operationKey: null },
      ...{
        tags: [],
        metadata: {},
        declared: false,
        paused: null,
        previousAt: null,
        lastJobId: null,
        lastProblem: null,
      },
      statusText: 'Next run Monday 23 November 2026, 03:30 UTC (in 18 h 29 m)',
      nextAt: '2026-11-23T03:30:00.000Z',
      ...{ firedCount: 0, missedCount: 0, skippedCount: 0, problemCount: 0, version: 1 },
      ...{ createdAt: '2026-11-22T09:00:30.000Z', updatedAt: '2026-11-22T09:00:30.000Z', createdBy: LOCAL.actor },
      links: {
        self: '/v1/schedules/nightly',
        upcoming: '/v1/schedules/nightly/upcoming',
        jobs: '/v1/jobs?schedule=nightly',
      },
    })
    expect(await rig.engine.schedules.get(LOCAL, 'nightly')).toEqual(schedule)
    expect(await audited(rig)).toEqual([['schedule.create', 'local', 'schedule/nightly', null]])
  })

  it('sent again it is the same one; with another definition it is refused', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body({ tags: ['a', 'a'] }))
    const again = await schedules.create(LOCAL, body({ tags: ['a'], timeZone: 'UTC', missed: null }))
    expect([again.created, again.schedule.version]).toEqual([false, 1])
    expect(await refused(schedules.create(LOCAL, body({ input: { region: 'us' } })))).toMatchObject({
      code: 'schedule-exists',
    })
    expect(
      await refused(schedules.create(caller(['jobs:operate'], { types: ['stamp'] }), body({ type: 'stamp' }))),
    ).toMatchObject({
      code: 'input-invalid',
    })
    // The same id in another tenant is another schedule.
    expect((await schedules.create({ ...LOCAL, tenant: 'b' }, body({ cron: '@daily' }))).created).toBe(true)
    expect(await rig.store.audit('default', 0, 9)).toHaveLength(1)
  })

  it.each([
    [{ id: 'a/b' }, 'validation-failed', ['/id']],
    [{ id: '' }, 'validation-failed', ['/id']],
    [{ type: 'none' }, 'unknown-job-type', ['/type']],
    [{ input: {} }, 'input-invalid', ['/input/region']],
    [{ input: undefined }, 'input-invalid', ['/input']],
    [{ cron: '99 * * * *' }, 'validation-failed', ['/cron']],
    [{ everyMs: 5000 }, 'validation-failed', ['/cron']],
    [{ cron: null, everyMs: 10 }, 'validation-failed', ['/everyMs']],
    [{ timeZone: 'Mars/Olympus' }, 'validation-failed', ['/timeZone']],
    [
      { startAt: 'soon', jitterMs: -1, missedLimit: 501 },
      'validation-failed',
      ['/startAt', '/jitterMs', '/missedLimit'],
    ],
    [{ missed: 'some', overlap: 'never' }, 'validation-failed', ['/missed', '/overlap']],
    [{ groupId: 'a\0' }, 'validation-failed', ['/groupId']],
  ] as [Partial<ScheduleBody>, string, string[]][])('refuses %j', async (more, code, at) => {
    const rig = await rigOf()
    const answer = await refused(rig.engine.schedules.create(LOCAL, body(more)))
    expect(answer).toMatchObject({ code, at })
    expect(await refused(rig.engine.schedules.validate(LOCAL, body(more)))).toEqual(answer)
    expect(await rig.store.schedules.list('default', null, 9)).toEqual([])
  })

  it('validates without storing, and shows the first instants in the zone', async () => {
    const rig = await rigOf()
    const checked = await rig.engine.schedules.validate(LOCAL, body({ timeZone: 'Asia/Kolkata' }))
    expect(checked.upcoming).toHaveLength(5)
    expect(checked.upcoming[0]).toEqual({
      at: '2026-11-22T22:00:00.000Z',
      text: 'Monday 23 November 2026, 03:30 Asia/Kolkata',
    })
    expect(await rig.store.schedules.get('default', 'nightly')).toBeNull()
  })

  it('a type that wants idempotency keys gets them', async () => {
    const rig = await rigOf()
    await rig.engine.schedules.create(LOCAL, body({ type: 'careful', input: {}, cron: '* * * * *' }))
    await rig.advance('31s')
    expect((await rig.engine.schedules.get(LOCAL, 'nightly')).firedCount).toBe(1)
  })

  it('keeps the file of its input, and refuses one that is not there', async () => {
    const rig = await rigOf()
    const source = new Blob(['x']).stream()
    const { file } = await rig.engine.addFile(LOCAL, source, { contentType: 'text/plain', name: 'a', maxBytes: 9 })
    const wanted = (document: string) => body({ type: 'stamp', input: { document } })
    expect(await refused(rig.engine.schedules.create(LOCAL, wanted('file_AAAAAAAAAAAAAAAAAAAAAA')))).toMatchObject({
      code: 'input-invalid',
      at: ['/input'],
    })
    await rig.engine.schedules.create(LOCAL, wanted(file))
    expect((await rig.store.files.get(file))!.expiresAt).toBeNull()
    await rig.engine.schedules.remove(LOCAL, 'nightly', {})
    expect((await rig.store.files.get(file))!.expiresAt).not.toBeNull()
  })
})

describe('change', () => {
  it('leaves what is not given, and starts a changed timetable anew', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body({ tags: ['a'], priority: 5 }))
    const second = await schedules.update(LOCAL, 'nightly', { priority: 7 }, { reason: 'urgent' })
    expect(second).toMatchObject({ priority: 7, tags: ['a'], nextAt: '2026-11-23T03:30:00.000Z', version: 2 })
    const third = await schedules.update(LOCAL, 'nightly', { everyMs: 60_000, tags: null })
    expect(third).toMatchObject({
      cron: null,
      everyMs: 60_000,
      tags: [],
      nextAt: '2026-11-22T09:01:00.000Z',
      version: 3,
    })
    const fourth = await schedules.update(LOCAL, 'nightly', {
      cron: '@hourly',
      input: { region: 'us' },
      type: 'report',
    })
    expect(fourth).toMatchObject({ cron: '@hourly', everyMs: null, input: { region: 'us' }, version: 4 })
    expect(await schedules.update(LOCAL, 'nightly', { cron: '@hourly' })).toEqual(fourth)
    expect((await audited(rig)).map(([action, , , reason]) => [action, reason])).toEqual([
      ['schedule.create', null],
      ['schedule.update', 'urgent'],
      ['schedule.update', null],
      ['schedule.update', null],
    ])
  })

  it('is checked like a new one', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    expect(await refused(schedules.update(LOCAL, 'nightly', { input: {} }))).toMatchObject({ code: 'input-invalid' })
    expect(await refused(schedules.update(LOCAL, 'nightly', { cron: null }))).toMatchObject({ at: ['/cron'] })
    expect(await refused(schedules.update(LOCAL, 'nightly', { type: 'stamp' }))).toMatchObject({
      code: 'input-invalid',
    })
    expect(await refused(schedules.update(LOCAL, 'none', {}))).toMatchObject({ code: 'not-found' })
  })

  it('of two at once, neither undoes the other', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    await Promise.all([
      schedules.update(LOCAL, 'nightly', { priority: 7 }),
      schedules.update(LOCAL, 'nightly', { groupId: 'g' }),
      schedules.pause(LOCAL, 'nightly', {}),
    ])
    expect(await schedules.get(LOCAL, 'nightly')).toMatchObject({ priority: 7, groupId: 'g', version: 4 })
  })

  it('with a version that is not the present one is refused, whatever it is', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    const old = { ifVersion: 2 }
    for (const asked of [
      () => schedules.update(LOCAL, 'nightly', { priority: 1 }, old),
      () => schedules.pause(LOCAL, 'nightly', old),
      () => schedules.resume(LOCAL, 'nightly', old),
      () => schedules.run(LOCAL, 'nightly', old),
      () => schedules.remove(LOCAL, 'nightly', old),
    ])
      expect(await refused(asked)).toMatchObject({ code: 'version-mismatch' })
    expect(await rig.store.audit('default', 0, 9)).toHaveLength(1)
    expect((await schedules.pause(LOCAL, 'nightly', { ifVersion: 1 })).version).toBe(2)
  })

  it('a problem of the old definition is no longer its problem', async () => {
    const rig = await rigOf()
    await rig.engine.schedules.create(LOCAL, body({ cron: '* * * * *' }))
    const problem = { code: 'input-invalid', message: 'no', at: 1, occurredAt: 2 }
    const decide = (before: any) => ({ next: { ...before, lastProblem: problem }, audit: null })
    await rig.store.schedules.change({ tenant: 'default', id: 'nightly', decide })
    expect((await rig.engine.schedules.get(LOCAL, 'nightly')).statusText).toMatch(
      /^Did not run Thursday 1 January 1970/,
    )
    expect((await rig.engine.schedules.update(LOCAL, 'nightly', { input: { region: 'us' } })).lastProblem).toBeNull()
  })
})

describe('pause, resume, run, remove', () => {
  it('each is audited with who and why, and a repeat changes nothing', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    const ops = caller(['jobs:operate', 'jobs:read'], { requestId: 'req_1' })
    await schedules.create(ops, body())
    const paused = await schedules.pause(ops, 'nightly', { reason: 'moving' })
    expect(paused).toMatchObject({
      paused: { by: 'person', actor: ops.actor, note: 'moving', at: '2026-11-22T09:00:30.000Z' },
      ...{ nextAt: null, version: 2 },
    })
    expect(await schedules.pause(ops, 'nightly', { reason: 'again' })).toEqual(paused)
    const job = await schedules.run(ops, 'nightly', { reason: 'at once' })
    expect(job).toMatchObject({
      ...{ status: 'accepted', createdBy: ops.actor, schedule: { id: 'nightly', at: '2026-11-22T09:00:30.000Z' } },
    })
    expect(await schedules.resume(ops, 'nightly', { reason: 'moved' })).toMatchObject({
      ...{ paused: null, nextAt: '2026-11-23T03:30:00.000Z', lastJobId: job.id, firedCount: 0, version: 3 },
    })
    await schedules.resume(ops, 'nightly', {})
    await schedules.remove(ops, 'nightly', { reason: 'over' })
    expect(await refused(schedules.get(ops, 'nightly'))).toMatchObject({ code: 'not-found' })
    expect(await audited(rig)).toEqual([
      ['schedule.create', 'key_1', 'schedule/nightly', null],
      ['schedule.pause', 'key_1', 'schedule/nightly', 'moving'],
      ['schedule.run', 'key_1', 'schedule/nightly', 'at once'],
      ['schedule.resume', 'key_1', 'schedule/nightly', 'moved'],
      ['schedule.delete', 'key_1', 'schedule/nightly', 'over'],
    ])
    expect((await rig.store.audit('default', 0, 9))[2]!.details).toMatchObject({ jobId: job.id, requestId: 'req_1' })
    expect((await rig.engine.get(LOCAL, job.id)).schedule).toMatchObject({ id: 'nightly' })
  })

  it('the key of a run makes one job of a repeat', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    await schedules.create(LOCAL, body({ id: 'other' }))
    const first = await schedules.run(LOCAL, 'nightly', { key: 'k' })
    await rig.advance('5s')
    expect((await schedules.run(LOCAL, 'nightly', { key: 'k' })).id).toBe(first.id)
    expect((await schedules.run(LOCAL, 'nightly', {})).id).not.toBe(first.id)
    expect(await refused(schedules.run(LOCAL, 'other', { key: 'k' }))).toMatchObject({ code: 'idempotency-key-reused' })
  })
})

describe('rights', () => {
  it('reading takes jobs:read, changing jobs:operate', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    const reader = caller(['jobs:read', 'jobs:submit'])
    expect((await schedules.get(reader, 'nightly')).id).toBe('nightly')
    expect((await schedules.list(reader, {})).items).toHaveLength(1)
    expect(await schedules.upcoming(reader, 'nightly', 2)).toHaveLength(2)
    const changes = [
      () => schedules.create(reader, body({ id: 'b' })),
      () => schedules.validate(reader, body({ id: 'b' })),
      () => schedules.update(reader, 'nightly', { priority: 1 }),
      () => schedules.pause(reader, 'nightly', {}),
      () => schedules.resume(reader, 'nightly', {}),
      () => schedules.run(reader, 'nightly', {}),
      () => schedules.remove(reader, 'nightly', {}),
    ]
    for (const asked of changes) expect(await refused(asked)).toMatchObject({ code: 'forbidden' })
    const blind = caller(['jobs:operate'])
    for (const asked of [
      () => schedules.get(blind, 'nightly'),
      () => schedules.list(blind, {}),
      () => schedules.upcoming(blind, 'nightly', 1),
    ])
      expect(await refused(asked)).toMatchObject({ code: 'forbidden' })
    expect((await schedules.pause(blind, 'nightly', {})).paused).not.toBeNull()
  })

  it('other tenants and types that a key may not use do not exist for it', async () => {
    const rig = await rigOf()
    const { schedules } = rig.engine
    await schedules.create(LOCAL, body())
    const all: Scope[] = ['jobs:operate', 'jobs:read']
    for (const who of [caller(all, { tenant: 'b' }), caller(all, { types: ['stamp*'] })]) {
      expect((await schedules.list(who, {})).items).toEqual([])
      for (const asked of [
        () => schedules.get(who, 'nightly'),
        () => schedules.pause(who, 'nightly', {}),
        () => schedules.run(who, 'nightly', {}),
      ])
        expect(await refused(asked)).toMatchObject({ code: 'not-found' })
    }
    const narrow = caller(all, { types: ['stamp*'] })
    expect(await refused(schedules.create(narrow, body({ id: 'b' })))).toMatchObject({ code: 'forbidden' })
  })
})

it('lists page by page, without inputs', async () => {
  const rig = await rigOf()
  const { schedules } = rig.engine
  for (const id of ['e', 'b', 'd', 'a', 'c']) await schedules.create(LOCAL, body({ id }))
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await schedules.list(LOCAL, { limit: 2, cursor })
    ids.push(...page.items.map(({ id }) => id))
    expect(page.items.every((one) => !('input' in one))).toBe(true)
    cursor = page.nextCursor ?? undefined
  } while (cursor)
  expect(ids).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(await refused(schedules.list(LOCAL, { cursor: 'x' }))).toMatchObject({ code: 'invalid-cursor' })
})

describe('declared in code', () => {
  const nightly = (more: object = {}) =>
    defineSchedule({ id: 'nightly', definition: report, input: { region: 'eu' }, cron: '30 3 * * *', ...more })
  const get = (rig: TestRig, id = 'nightly') => rig.engine.schedules.get(LOCAL, id)

  it('is there after the start, is changed by the code alone, and writes nothing when nothing changed', async () => {
    const rig = await rigOf([nightly()])
    expect(await get(rig)).toMatchObject({ declared: true, version: 1, createdBy: { kind: 'system', id: 'code' } })
    await rig.restart()
    expect((await get(rig)).version).toBe(1)
    await rig.restart(handlers, { schedules: [nightly({ every: '15m', cron: undefined, jitter: '1m', group: 'g' })] })
    expect(await get(rig)).toMatchObject({
      ...{
        cron: null,
        everyMs: 900_000,
        jitterMs: 60_000,
        groupId: 'g',
        version: 2,
        nextAt: '2026-11-22T09:15:00.000Z',
      },
    })
    expect((await audited(rig)).map(([action, who]) => [action, who])).toEqual([
      ['schedule.create', 'code'],
      ['schedule.update', 'code'],
    ])
    for (const asked of [
      () => rig.engine.schedules.update(LOCAL, 'nightly', { priority: 1 }),
      () => rig.engine.schedules.remove(LOCAL, 'nightly', {}),
    ])
      expect(await refused(asked)).toMatchObject({ code: 'schedule-declared' })
  })

  it('a pause by a person outlives restarts and changes', async () => {
    const rig = await rigOf([nightly()])
    await rig.engine.schedules.pause(LOCAL, 'nightly', { reason: 'no' })
    await rig.restart(handlers, { schedules: [nightly({ priority: 3 })] })
    expect(await get(rig)).toMatchObject({ priority: 3, paused: { by: 'person', note: 'no' } })
    await rig.restart(handlers, { schedules: [] })
    await rig.restart(handlers, { schedules: [nightly()] })
    expect(await get(rig)).toMatchObject({ declared: true, paused: { by: 'person', note: 'no' } })
  })

  it('no longer declared it is paused with a note; declared again it goes on', async () => {
    const rig = await rigOf([nightly(), defineSchedule({ ...nightly(), id: 'other', input: { region: 'us' } })])
    await rig.engine.schedules.create(LOCAL, body({ id: 'by-hand' }))
    await rig.restart(handlers, { schedules: [nightly()] })
    expect(await get(rig, 'other')).toMatchObject({
      ...{ declared: false, nextAt: null, paused: { by: 'code', note: 'The code no longer declares it.' } },
      statusText: 'Paused since Sunday 22 November 2026, 09:00:30 UTC: The code no longer declares it.',
    })
    expect((await get(rig, 'by-hand')).paused).toBeNull()
    await rig.restart(handlers, {
      schedules: [nightly(), defineSchedule({ ...nightly(), id: 'other', input: { region: 'us' } })],
    })
    expect(await get(rig, 'other')).toMatchObject({ declared: true, paused: null, version: 3 })
    // A program that says nothing of schedules has no say in them.
    await rig.restart(handlers, {})
    expect(await get(rig, 'other')).toMatchObject({ declared: true, paused: null })
    await rig.restart(handlers, { schedules: [nightly()] })
    await rig.engine.schedules.remove(LOCAL, 'other', {})
  })

  it('takes over one that was made by hand under its name', async () => {
    const rig = await rigOf()
    await rig.engine.schedules.create(LOCAL, body({ priority: 9 }))
    await rig.restart(handlers, { schedules: [nightly()] })
    expect(await get(rig)).toMatchObject({ declared: true, priority: 0, version: 2 })
  })

  it('can be declared as paused; later the people who operate it decide', async () => {
    const rig = await rigOf([nightly({ paused: true })])
    expect((await get(rig)).paused).toMatchObject({ note: 'Declared as paused.' })
    await rig.engine.schedules.resume(LOCAL, 'nightly', {})
    await rig.restart()
    expect((await get(rig)).paused).toBeNull()
  })

  it.each([
    [{ cron: '30 33 * * *' }, /Schedule "nightly": \/cron/],
    [{ timeZone: 'Nowhere' }, /Schedule "nightly": \/timeZone/],
    [{ input: {} }, /Schedule "nightly": Input for "report" was refused/],
    [{ definition: defineJob('gone', { input: z.object({}) }) }, /Schedule "nightly": There is no job type "gone"/],
    [{ every: 'often', cron: undefined }, /Schedule "nightly": every: "often" is not a duration/],
  ])('what cannot be stops the start, with the reason: %#', async (more, message) => {
    const rig = await rigOf()
    await expect(
      rig.app.replaceSchedules([nightly(), { ...nightly(), ...more } as ScheduleDeclaration]),
    ).rejects.toThrow(message)
    expect(await rig.store.schedules.list('default', null, 9)).toEqual([])
  })

  it('while developing: what could not be read is not taken for gone', async () => {
    const rig = await rigOf([nightly()])
    await rig.app.replaceSchedules([], false)
    expect((await get(rig)).paused).toBeNull()
    await rig.app.replaceSchedules([])
    expect((await get(rig)).paused).toMatchObject({ by: 'code' })
  })
})
