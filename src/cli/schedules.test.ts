/** `untildone schedules` against a real server on a port of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import { createUntildone, defineJob, defineSchedule, sqlite, type Untildone } from '../index.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { TestClock } from '../testing/clock.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const report = defineJob('report', { input: z.object({ region: z.string(), pages: z.number().optional() }) })
let app: Untildone
let listening: Listening
let cwd: string
beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-schedules-'))
  app = await createUntildone({
    ...{ store: sqlite(':memory:'), handlers: [report.handler(() => null as never)], worker: false },
    clock: new TestClock(Date.UTC(2026, 10, 22, 9)),
    schedules: [defineSchedule({ id: 'declared', definition: report, input: { region: 'us' }, every: '15m' })],
  })
  await app.start()
  listening = await listen(createServer(app.engine), { port: 0 })
})
afterEach(async () => {
  await listening.close()
  await app.stop()
  rmSync(cwd, { recursive: true })
})

async function ud(line: string, ...more: string[]) {
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: listening.url } })
  const exit = await run([...line.split(' '), ...more], io, { clock: fakeClock() })
  return { exit, out: io.stdout, err: io.stderr }
}
const create = (...more: string[]) =>
  ud('schedules create nightly report region=eu pages=3 --cron', '30 3 * * *', ...more)

it('makes one with its input by the schema, and shows it', async () => {
  const made = await create('--tz', 'Europe/Berlin', '--overlap', 'skip', '--tag', 'a', '--jitter', '1m')
  expect(made).toMatchObject({ exit: 0, err: '' })
  expect(made.out).toBe(`schedule   nightly
now        Next run Monday 23 November 2026, 03:30 Europe/Berlin (in 17 h 30 m)
type       report
when       30 3 * * * Europe/Berlin
jitter     up to 1 m
if missed  latest
overlap    skip
instants   0 made a job
version    1

input
{
  "region": "eu",
  "pages": 3
}
`)
  expect((await ud('schedules show nightly')).out).toBe(made.out)
  expect(JSON.parse((await ud('schedules show nightly --json')).out)).toMatchObject({ tags: ['a'], jitterMs: 60_000 })
  expect(await create('--quiet')).toMatchObject({ exit: 6 })
})

it('checks without storing', async () => {
  const { exit, out, err } = await create('--check')
  expect([exit, err]).toEqual([0, 'Nothing was stored.\n'])
  expect(out.split('\n')[0]).toBe('2026-11-23T03:30:00.000Z  Monday 23 November 2026, 03:30 UTC')
  expect((await ud('schedules show nightly')).exit).toBe(5)
})

it('lists what is planned', async () => {
  await create()
  const { out } = await ud('schedules list')
  expect(out).toBe(`ID        TYPE    WHEN        LAST   NOW
declared  report  every 15 m  never  Next run Sunday 22 November 2026, 09:15 UTC (in 15 m)
nightly   report  30 3 * * *  never  Next run Monday 23 November 2026, 03:30 UTC (in 18 h 30 m)
`)
  expect((await ud('schedules list --ndjson')).out.trim().split('\n')).toHaveLength(2)
})

it('pauses, resumes, runs, changes, deletes', async () => {
  await create()
  expect((await ud('schedules pause nightly --reason moving')).out).toBe(
    'nightly  Paused since Sunday 22 November 2026, 09:00 UTC: moving.\n',
  )
  expect((await ud('schedules resume nightly')).out).toContain('nightly  Next run')
  const ran = await ud('schedules run nightly --json')
  const { id, schedule } = JSON.parse(ran.out)
  expect(schedule.id).toBe('nightly')
  expect((await ud('schedules run nightly')).err).toMatch(/^Watch it: untildone jobs watch /)
  expect((await ud('jobs list --schedule nightly --ndjson')).out).toContain(id)
  const changed = await ud('schedules update nightly region=us --every 1h --if-version 3 --json')
  expect(JSON.parse(changed.out)).toMatchObject({ cron: null, everyMs: 3_600_000, input: { region: 'us' }, version: 4 })
  expect(await ud('schedules update nightly --priority 3 --if-version 1')).toMatchObject({ exit: 6 })
  expect((await ud('schedules delete nightly')).err).toBe(
    'Schedule nightly is deleted. Its jobs stay: untildone jobs list --schedule nightly\n',
  )
})

it('looks ahead', async () => {
  const { out } = await ud('schedules next declared --count 2')
  expect(out).toBe(`AT                          IN  THAT IS
2026-11-22T09:15:00.000Z  15 m  Sunday 22 November 2026, 09:15 UTC
2026-11-22T09:30:00.000Z  30 m  Sunday 22 November 2026, 09:30 UTC
`)
})

it('says what is wrong, and what to do', async () => {
  const declared = await ud('schedules delete declared')
  expect([declared.exit, declared.err]).toEqual([6, expect.stringContaining('declared in code')])
  expect((await ud('schedules create a report region=eu --missed some --every 1h')).err).toContain('skip, latest, all')
  expect((await create('--every', '5m')).exit).toBe(2)
  const wrong = await ud('schedules create a report region=eu --cron', '99 * * * *')
  expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining('/cron')])
  expect((await ud('schedules create a report region=eu --every often')).exit).toBe(2)
})
