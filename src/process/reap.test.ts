// The start-up sweep: it kills what a former process left behind, and nobody else.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { killStrays, processIdentity } from './index.js'
import { bootId, mayBear, readStat, startedWith } from './procfs.js'
import { signalGroup, signalOrphans } from './reap.js'

const started: ChildProcess[] = []
afterEach(async () => {
  for (const child of started.splice(0)) {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Gone already, which most tests want.
    }
  }
})

/** A group as another process would leave it: leader is a shell, `script` decides what else is in it. */
async function group(script: string, env: Record<string, string> = { UNTILDONE_CHILD: '1' }) {
  const child = spawn('/bin/sh', ['-c', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, ...env },
  })
  started.push(child)
  const exited = once(child, 'exit')
  const record = { pgid: child.pid!, ...identityOf(child.pid!) }
  const [line] = await once(child.stdout!, 'data')
  return { record, exited, member: Number(String(line)) }
}
function identityOf(pid: number) {
  const { startTime, bootId } = processIdentity(pid)!
  return { startTime, bootId }
}
const runs = (pid: number) => {
  const state = processIdentity(pid)?.state
  return state !== undefined && state !== 'Z'
}

describe('killStrays', () => {
  it('kills a whole group that is left over', async () => {
    const { record, member } = await group("trap '' TERM; sleep 60 & echo $!; wait")
    expect(await killStrays([record])).toEqual({ killed: 1, gone: 0 })
    expect([runs(record.pgid), runs(member)]).toEqual([false, false])
    expect(await killStrays([record])).toEqual({ killed: 0, gone: 1 })
  })

  it('kills what has outlived its leader, if it bears our mark', async () => {
    const { record, exited, member } = await group('sleep 60 & echo $!')
    await exited
    expect(runs(member)).toBe(true)
    expect(await killStrays([record])).toEqual({ killed: 1, gone: 0 })
    expect(runs(member)).toBe(false)
  })

  it('leaves a leaderless group without our mark alone', async () => {
    const { record, exited, member } = await group('sleep 60 & echo $!', {})
    await exited
    expect(await killStrays([record])).toEqual({ killed: 0, gone: 1 })
    expect(runs(member)).toBe(true)
  })

  it('leaves a process alone that only has the same number', async () => {
    const { record, member } = await group('sleep 60 & echo $!; wait')
    const others = [
      { ...record, startTime: String(Number(record.startTime) - 1) },
      { ...record, bootId: '00000000-0000-0000-0000-000000000000' },
      { ...record, startTime: null },
      { ...record, bootId: null },
      // A member is no group.
      { ...record, pgid: member, ...identityOf(member) },
    ]
    expect(await killStrays(others)).toEqual({ killed: 0, gone: others.length })
    expect([runs(record.pgid), runs(member)]).toEqual([true, true])
  })

  it('never signals everybody, its own group, or nonsense', async () => {
    const own = readStat(process.pid)!.pgid
    const records = [0, 1, -1, Number.NaN, 1.5, own].map((pgid) => ({
      pgid,
      startTime: processIdentity(pgid)?.startTime ?? '1',
      bootId: bootId(),
    }))
    expect(await killStrays(records)).toEqual({ killed: 0, gone: records.length })
    expect([0, 1, -1, Number.NaN].map((pgid) => signalGroup(pgid, 'SIGCONT'))).toEqual([false, false, false, false])
  })

  it('never takes a group with a living leader for orphans', async () => {
    // So a number that was given away again after the reaping is safe.
    const { record } = await group('echo 1; sleep 60')
    expect(signalOrphans(record.pgid, 'SIGKILL')).toBe(false)
    expect(runs(record.pgid)).toBe(true)
  })

  it('says nothing about nothing', async () => {
    expect(await killStrays([])).toEqual({ killed: 0, gone: 0 })
  })
})

describe('processIdentity', () => {
  it('tells itself apart and knows who is not there', () => {
    expect(processIdentity(process.pid)).toMatchObject({ startTime: expect.stringMatching(/^\d+$/), bootId: bootId() })
    for (const pid of [0, -1, 2 ** 30, Number.NaN]) expect(processIdentity(pid)).toBeNull()
  })

  it('is not fooled by a name with blanks and parentheses', async () => {
    const child = spawn(
      process.execPath,
      ['-e', "process.title = 'a) Z 1 ('; console.log(1); setInterval(() => {}, 9e8)"],
      {
        detached: true,
      },
    )
    started.push(child)
    await once(child.stdout, 'data')
    expect(readStat(child.pid!)).toMatchObject({ pgid: child.pid, state: expect.stringMatching(/^[RS]$/) })
  })

  it('reads the mark from the env of a process', async () => {
    const { record } = await group('echo 1; sleep 60')
    expect(startedWith(record.pgid, 'UNTILDONE_CHILD')).toBe('1')
    expect(startedWith(record.pgid, 'UNTILDONE')).toBeNull()
    expect(startedWith(2 ** 30, 'UNTILDONE_CHILD')).toBeNull()
    expect(mayBear(record.pgid, 'UNTILDONE_CHILD')).toBe(true)
    expect(mayBear(record.pgid, 'UNTILDONE_NOTHING')).toBe(false)
    expect(mayBear(2 ** 30, 'UNTILDONE_CHILD')).toBe(false)
  })

  it('takes an env that is too long for one look for one that may bear it', async () => {
    const env = { FIRST: 'x'.repeat(70_000), UNTILDONE_CHILD: '1' }
    const child = spawn('sh', ['-c', 'echo 1; sleep 60'], { detached: true, env: { ...process.env, ...env } })
    started.push(child)
    await once(child.stdout, 'data')
    expect(mayBear(child.pid!, 'UNTILDONE_CHILD')).toBe(true)
    expect(startedWith(child.pid!, 'UNTILDONE_CHILD')).toBe('1')
  })
})
