// The states a child should never be in: zombie without an exit, unkillable, vanished; and a parent that was too busy.
import { ChildProcess, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { type ProcessSpec, processIdentity, runProcess } from './index.js'
import { readStat, runningMembers } from './procfs.js'

/** What KILL does not reach, as with a process of another user or one in a disk wait. */
const immune = new Set<number>()
const kill = process.kill.bind(process)
vi.spyOn(process, 'kill').mockImplementation((pid, signal) => (immune.has(pid) && signal ? true : kill(pid, signal)))
// Not after each: the tests below run side by side, and each mock concerns one pid only.
afterAll(() => {
  vi.restoreAllMocks()
  for (const pid of immune) process.kill(pid, 'SIGKILL')
})

// A tracer that never waits keeps a dead child a zombie of which the parent is told nothing: a true defunct.
const TRACED = `
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.prctl.argtypes = [ctypes.c_long, ctypes.c_ulong]
libc.prctl(0x59616d61, 2**64 - 1)
me, (r, w) = os.getpid(), os.pipe()
tracer = os.fork()
if tracer == 0:
    if sys.argv[1] == 'escaped': os.setsid()
    signal.alarm(25)
    os.write(w, b'y' if libc.ptrace(0x4206, me, 0, 0) == 0 else b'n')
    if sys.argv[1] == 'probe': os._exit(0)
    os.close(1); os.close(2)
    signal.pause()
print(tracer, os.read(r, 1).decode(), flush=True)
os._exit(0)
`
// The main thread ends, another works on: procfs says Z, yet the process lives and may still finish its work.
const HEADLESS = `
import ctypes, os, threading, time
def work():
    while open('/proc/self/stat').read().rsplit(')', 1)[1].split()[0] != 'Z': time.sleep(0.01)
    time.sleep(2.5)
    os.write(1, b'finished')
    os._exit(0)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
`
const python = (script: string, ...args: string[]): ProcessSpec => ({
  command: 'python3',
  args: ['-c', script, ...args],
  timeoutMs: 20_000,
  graceMs: 100,
  drainMs: 200,
  pollMs: 50,
})
/** A process that runs one child, says how that ended, and must then end by itself. */
const parentOf = (spec: ProcessSpec) =>
  runProcess({
    command: process.execPath,
    args: [
      '--input-type=module',
      '-e',
      `import { createJiti } from ${JSON.stringify(join(import.meta.dirname, '../../node_modules/jiti/lib/jiti.mjs'))}
       const index = ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
       const { runProcess } = await createJiti(import.meta.url, { fsCache: false }).import(index)
       const { stdout, kind } = await runProcess(${JSON.stringify(spec)})
       console.log(String(stdout), kind)`,
    ],
    timeoutMs: 15_000,
    graceMs: 100,
    drainMs: 200,
  })
const probe = () => spawnSync('python3', ['-c', TRACED, 'probe'], { encoding: 'utf8', timeout: 5_000 }).stdout
const canTrace = process.platform === 'linux' && /y/.test(probe())

describe.concurrent('defunct', () => {
  it.runIf(canTrace)('a zombie that is held from outside the group is given up', async () => {
    const outcome = await runProcess({
      ...python(TRACED, 'escaped'),
      onOutput: (_, chunk) => void immune.add(Number.parseInt(chunk.toString(), 10)),
    })
    expect(outcome).toMatchObject({ escaped: { killed: 1, running: 1 }, error: { code: 'still-running' } })
    expect(outcome).toMatchObject({ kind: 'defunct', ok: false, code: null, signal: null, cause: 'defunct' })
    expect(processIdentity(outcome.pid!)?.state).toBe('Z')
    expect(outcome.durationMs).toBeLessThan(10_000)
  })

  it.runIf(canTrace)('a zombie that is held from inside its group is freed and reaped', async () => {
    const outcome = await runProcess(python(TRACED, 'inside'))
    expect(outcome).toMatchObject({ kind: 'defunct', ok: false, code: 0, cause: 'defunct' })
    expect(processIdentity(outcome.pid!)).toBeNull()
    expect(runningMembers(outcome.pid!)).toEqual([])
  })

  it.runIf(canTrace)('a process whose main thread alone has ended is left to finish', async () => {
    const outcome = await runProcess(python(HEADLESS))
    expect(outcome).toMatchObject({ kind: 'exited', ok: true, stdout: Buffer.from('finished') })
  })

  it.runIf(canTrace)('a zombie that an escaped descendant holds is freed by killing that one', async () => {
    const outcome = await parentOf(python(TRACED, 'escaped'))
    expect(outcome).toMatchObject({ kind: 'exited', code: 0 })
    expect(outcome.stdout.toString()).toContain('defunct')
    const tracer = processIdentity(Number.parseInt(outcome.stdout.toString(), 10))
    expect([undefined, 'Z']).toContain(tracer?.state)
  })

  it('a pipe that an escaped grandchild holds keeps the parent from nothing, and the grandchild is killed', async () => {
    const outcome = await parentOf({ command: '/bin/sh', args: ['-c', 'setsid sleep 25 & echo $!'], drainMs: 200 })
    expect(outcome).toMatchObject({ kind: 'exited', code: 0 })
    expect(outcome.stdout.toString()).toContain('exited')
    expect(runningMembers(Number.parseInt(outcome.stdout.toString(), 10))).toEqual([])
  })

  it('a child that survives KILL is reported as held, not as dead', async () => {
    let group = 0
    const outcome = await runProcess({
      command: '/bin/sleep',
      args: ['60'],
      timeoutMs: 50,
      graceMs: 20,
      onSpawn: (p) => {
        group = p.pgid
        immune.add(-group)
      },
    })
    expect(outcome).toMatchObject({ kind: 'defunct', ok: false, code: null, signal: null, cause: 'unkillable' })
    expect(processIdentity(group)?.state).toBe('S')
  })

  it('a child that is gone without its exit being told does not hang the run', async () => {
    const real = ChildProcess.prototype.emit
    let lost = 0
    vi.spyOn(ChildProcess.prototype, 'emit').mockImplementation(function (this: ChildProcess, ...args) {
      return this.pid === lost ? true : real.apply(this, args)
    })
    const outcome = await runProcess({
      command: '/bin/true',
      pollMs: 50,
      onSpawn: (p) => {
        lost = p.pid
      },
    })
    expect(outcome).toMatchObject({ kind: 'defunct', ok: false, code: null, cause: 'vanished' })
  })
})

describe('a busy parent', () => {
  /** Blocks the event loop until the child is a zombie and `ms` have passed. */
  const block = (pid: number, ms: number) => {
    const start = performance.now()
    while (performance.now() - start < ms || readStat(pid)?.state !== 'Z') {
      if (performance.now() - start > 10_000) throw new Error('the child does not end')
    }
  }

  it('does not call a child timed out that ended while nobody looked', async () => {
    const outcome = await runProcess({
      command: '/bin/echo',
      args: ['hi'],
      timeoutMs: 50,
      onSpawn: (p) => block(p.pid, 100),
    })
    expect(outcome).toMatchObject({ kind: 'exited', ok: true, stdout: Buffer.from('hi\n') })
  })

  it('does not call a child defunct whose exit it had no time to hear', async () => {
    const outcome = await runProcess({ command: '/bin/true', pollMs: 10, onSpawn: (p) => block(p.pid, 2_500) })
    expect(outcome).toMatchObject({ kind: 'exited', ok: true })
  })

  it('reads all that the child itself wrote, even without any drain', async () => {
    const outcome = await runProcess({
      command: '/bin/sh',
      args: ['-c', 'head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2'],
      drainMs: 0,
    })
    expect([outcome.ok, outcome.stdout.length, outcome.stderr.length]).toEqual([true, 100_000, 100_000])
  })
})
