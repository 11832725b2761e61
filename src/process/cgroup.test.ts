// What is written to a delegated cgroup, and that none is touched which was not named. The files here are plain ones: what
// the kernel makes of them is shown by the catalogue, on hosts that delegate one.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Cgroup, delegatedCgroup } from './cgroup.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-cgroup-test-'))
  writeFileSync(join(dir, 'cgroup.subtree_control'), 'cpu memory pids\n')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})
const name = (path = dir) => vi.stubEnv('UNTILDONE_CGROUP', path)
const read = (file: string) => readFileSync(join(dir, 'untildone-n1', file), 'utf8')

it('without a name there is none, whatever this process is in', () => {
  name('')
  expect(delegatedCgroup()).toBeNull()
  expect(Cgroup.make('n1', { rssMb: 1 })).toBeNull()
})

it('one that cannot be used says why, and the child runs without it', () => {
  name(join(dir, 'missing'))
  expect(delegatedCgroup()).toMatchObject({ ok: false, why: 'it is no cgroup v2 folder' })
  name()
  writeFileSync(join(dir, 'cgroup.subtree_control'), 'cpu\n')
  expect(delegatedCgroup()).toMatchObject({ ok: false, why: 'its cgroup.subtree_control lacks memory and pids' })
  expect(Cgroup.make('n1', {})).toBeNull()
  expect(readdirSync(dir)).toEqual(['cgroup.subtree_control'])
})

it('each child gets a folder with its limits, and is put into it', () => {
  name()
  const group = Cgroup.make('n1', { rssMb: 64, processes: 9 })!
  expect([read('memory.max'), read('memory.swap.max'), read('pids.max')]).toEqual([String(64 * 1024 * 1024), '0', '9'])
  expect(group.take(4711)).toBe(true)
  group.kill()
  expect([read('cgroup.procs'), read('cgroup.kill')]).toEqual(['4711', '1'])
  expect(Cgroup.make('n2', {})).not.toBeNull()
  expect(readdirSync(join(dir, 'untildone-n2'))).toEqual([])
})

it('a kill for memory is what its own counter says', () => {
  name()
  const group = Cgroup.make('n1', {})!
  expect([group.killedForMemory, group.peakBytes]).toEqual([false, null])
  writeFileSync(join(dir, 'untildone-n1', 'memory.events'), 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n')
  expect(group.killedForMemory).toBe(false)
  writeFileSync(join(dir, 'untildone-n1', 'memory.events'), 'oom 1\noom_kill 1\n')
  writeFileSync(join(dir, 'untildone-n1', 'memory.peak'), '12345\n')
  expect([group.killedForMemory, group.peakBytes]).toEqual([true, 12345])
})

it('is removed when it is empty; a name that is taken is not used', async () => {
  name()
  mkdirSync(join(dir, 'untildone-n3'))
  writeFileSync(join(dir, 'untildone-n3', 'file'), '')
  expect(Cgroup.make('n3', {})).toBeNull()
  const group = Cgroup.make('n1', {})!
  rmSync(join(dir, 'untildone-n1'), { recursive: true })
  expect(await group.remove()).toBe(true)
  expect(existsSync(join(dir, 'untildone-n1'))).toBe(false)
})
