import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { databaseClass } from '../stores/sqlite/database.js'
import { dataCheck, jobsCheck, nodeCheck, ownerChecks, protectionChecks, sqliteCheck } from './checks.js'
import { instant } from './command.js'
import { freePort, holderOf, inUse, isFree } from './ports.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-checks-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('checks', () => {
  it('knows the oldest Node', () => {
    expect(['20.18.9', '18.20.0', '20.19.0', '22.0.0'].map((version) => nodeCheck(version).state)).toEqual([
      'bad',
      'bad',
      'ok',
      'ok',
    ])
  })

  it('writes, syncs and leaves the data folder as it was', async () => {
    const there = await dataCheck(dir)
    expect(there.map((check) => [check.what, check.state === 'bad'])).toEqual([
      ['data folder', false],
      ['disk', expect.any(Boolean)],
    ])
    expect(readdirSync(dir)).toEqual([])
    await dataCheck(join(dir, 'new'))
    expect(readdirSync(dir)).toEqual([])
    writeFileSync(join(dir, 'file'), '')
    const [bad] = await dataCheck(join(dir, 'file'))
    expect([bad!.state, bad!.fix]).toEqual(['bad', expect.stringContaining('--data')])
  })

  it('names the owner of a database without touching its lock', () => {
    writeFileSync(join(dir, 'dev.db'), '')
    const lock = new (databaseClass().Database)(join(dir, 'dev.db-owner'))
    expect(ownerChecks(dir)).toMatchObject([{ text: 'nobody has it open' }])
    lock.exec('begin exclusive')
    expect(ownerChecks(dir)).toMatchObject([{ what: 'owner of dev.db', text: `process ${process.pid}` }])
    lock.exec('rollback')
    lock.close()
  })

  it('tells about job files: none, broken, fine', async () => {
    expect(await jobsCheck('jobs', dir)).toMatchObject({
      state: 'note',
      fix: 'Create one: npx untildone init --sample',
    })
    mkdirSync(join(dir, 'jobs'))
    writeFileSync(join(dir, 'jobs/a.ts'), 'export const = 1')
    expect(await jobsCheck('jobs', dir)).toMatchObject({ state: 'bad', text: expect.stringContaining('jobs/a.ts') })
    writeFileSync(
      join(dir, 'jobs/a.ts'),
      `import { defineJob, jsonSchema } from 'untildone'\nexport default defineJob('a', { input: jsonSchema({}) }).handler(() => null)`,
    )
    expect(await jobsCheck('jobs', dir)).toMatchObject({ state: 'ok', text: '1 job type: a' })
  })

  it('every finding that is not well says what to do', async () => {
    const all = [sqliteCheck(), ...(await protectionChecks()), nodeCheck('1.0.0'), ...(await dataCheck(dir))]
    for (const check of all) expect(check.state === 'ok' || check.fix, check.what).toBeTruthy()
  })
})

describe('ports', () => {
  it('takes the next free one and names who has the other', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    expect(await isFree(port, '127.0.0.1')).toBe(false)
    expect(await freePort(port, '127.0.0.1')).toBeGreaterThan(port)
    if (process.platform === 'linux') {
      expect(holderOf(port)).toMatchObject({ pid: process.pid })
      expect(inUse(port, holderOf(port))).toMatch(new RegExp(`^${port} is in use \\(.+, pid ${process.pid}\\)\\.$`))
    }
    await new Promise((resolve) => server.close(resolve))
    expect([await isFree(port, '127.0.0.1'), holderOf(port), inUse(port, null)]).toEqual([
      true,
      null,
      `${port} is in use.`,
    ])
  })
})

describe('times', () => {
  const now = new Date(2026, 10, 22, 9, 0, 0).getTime()
  it.each([
    ['+10m', now + 600_000],
    ['1h30m', now + 5_400_000],
    ['14:30', new Date(2026, 10, 22, 14, 30).getTime()],
    ['08:00', new Date(2026, 10, 23, 8, 0).getTime()],
    ['2030-01-01T00:00:00Z', Date.UTC(2030, 0, 1)],
  ])('%s', (text, at) => {
    expect(instant(text, now).getTime()).toBe(at)
  })

  it('refuses what is none', () => {
    expect(() => instant('soon', now)).toThrow('"soon" is not a time.')
  })
})
