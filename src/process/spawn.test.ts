// The kill matrix: real children that exit, crash, hang, flood, hold pipes and lie, and what is said about each.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type ProcessOutcome, type ProcessSpec, processIdentity, protections, runProcess } from './index.js'
import { readStat, runningMembers } from './procfs.js'

const NODE = process.execPath
const base = mkdtempSync(join(tmpdir(), 'untildone-spawn-test-'))
const tmp = join(base, 'tmp')
mkdirSync(tmp)
// Private work directories are made here, so that a leaked one is seen at the end.
process.env.TMPDIR = tmp
process.env.UNTILDONE_TEST_SECRET = 'hunter2'
const groups: number[] = []

afterAll(() => {
  const left = groups.flatMap((pgid) => runningMembers(pgid))
  const dirs = readdirSync(tmp)
  rmSync(base, { recursive: true, force: true })
  expect(left).toEqual([])
  expect(dirs).toEqual([])
})

/** runProcess with short limits, remembering the group for the check at the end. */
function run(spec: ProcessSpec): Promise<ProcessOutcome> {
  return runProcess({
    timeoutMs: 20_000,
    graceMs: 200,
    drainMs: 200,
    pollMs: 20,
    ...spec,
    onSpawn: (p, control) => {
      groups.push(p.pgid)
      spec.onSpawn?.(p, control)
    },
  })
}
const sh = (script: string, spec: Partial<ProcessSpec> = {}) =>
  run({ command: '/bin/sh', args: ['-c', script], ...spec })
const node = (script: string, spec: Partial<ProcessSpec> = {}) => run({ command: NODE, args: ['-e', script], ...spec })

async function until<T>(look: () => T | null | undefined | false, ms = 20_000): Promise<T> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const seen = look()
    if (seen) return seen
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`not within ${ms} ms: ${look}`)
}
/** A signal that fires once the child has written `word`, so that no test guesses how long a start takes. */
function abortOn(word: string, reason?: unknown) {
  const controller = new AbortController()
  let seen = ''
  return {
    signal: controller.signal,
    onOutput: (_: string, chunk: Buffer) => {
      if ((seen += chunk).includes(word)) controller.abort(reason)
    },
  }
}
const isGone = (pid: number) => {
  const identity = processIdentity(pid)
  return !identity || identity.state === 'Z'
}
const pidIn = (outcome: ProcessOutcome) => Number(/\d+/.exec(outcome.stdout.toString())![0])

describe.concurrent('ends of its own', () => {
  it('exit 0', async () => {
    const outcome = await sh('echo out; echo err >&2')
    expect(outcome).toMatchObject({ kind: 'exited', ok: true, code: 0, signal: null, cause: 'exit 0', error: null })
    expect(outcome).toMatchObject({ envelope: undefined, envelopeError: null, truncated: false })
    expect([outcome.stdout.toString(), outcome.stderr.toString()]).toEqual(['out\n', 'err\n'])
    expect(outcome.durationMs).toBeGreaterThan(0)
    expect(Math.abs(outcome.startedAt - Date.now())).toBeLessThan(30_000)
  })
  it('exit 3', async () => {
    expect(await sh('exit 3')).toMatchObject({ kind: 'exited', ok: false, code: 3, cause: 'exit 3' })
  })
  it('a crash by its own SIGSEGV', async () => {
    const outcome = await node("process.kill(process.pid, 'SIGSEGV'); setInterval(() => {}, 1000)")
    expect(outcome).toMatchObject({ kind: 'signalled', ok: false, code: null, signal: 'SIGSEGV', cause: 'SIGSEGV' })
  })
  it('the same crash behind a shell-like wrapper', async () => {
    const outcome = await sh("sh -c 'kill -SEGV $$'; exit $?")
    expect(outcome).toMatchObject({ kind: 'exited', ok: false, code: 139, signal: null, cause: 'SIGSEGV' })
  })
})

describe.concurrent('stopped by us', () => {
  it('a timeout ends in KILL when TERM is ignored', async () => {
    const outcome = await sh("trap '' TERM; echo up; while :; do sleep 0.05; done", { timeoutMs: 800 })
    expect(outcome).toMatchObject({ kind: 'timeout', ok: false, signal: 'SIGKILL', cause: 'timeout' })
    expect(outcome.durationMs).toBeGreaterThanOrEqual(990)
    expect(isGone(outcome.pid!)).toBe(true)
  })
  it('exit 0 after a timeout is not success', async () => {
    const outcome = await sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", {
      timeoutMs: 800,
      graceMs: 10_000,
    })
    expect(outcome).toMatchObject({ kind: 'timeout', ok: false, code: 0, cause: 'timeout' })
  })
  it('a child stopped by SIGSTOP sees its TERM', async () => {
    const outcome = await sh("trap 'echo bye; exit 7' TERM; kill -STOP $$; while :; do sleep 0.05; done", {
      timeoutMs: 800,
      graceMs: 10_000,
    })
    expect(outcome).toMatchObject({ kind: 'timeout', code: 7 })
    expect(outcome.stdout.toString()).toBe('bye\n')
  })
  it('an abort sends TERM and gives grace', async () => {
    const outcome = await sh("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", {
      graceMs: 10_000,
      ...abortOn('up'),
    })
    expect(outcome).toMatchObject({ kind: 'aborted', ok: false, code: 0, cause: 'aborted' })
    expect(outcome.stdout.toString()).toBe('up\nbye\n')
  })
  it('an abort ends in KILL when TERM is ignored', async () => {
    const outcome = await sh("trap '' TERM; echo up; while :; do sleep 0.05; done", abortOn('up'))
    expect(outcome).toMatchObject({ kind: 'aborted', ok: false, signal: 'SIGKILL' })
  })
  it('a forced abort sends KILL at once', async () => {
    const outcome = await sh("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", {
      graceMs: 20_000,
      ...abortOn('up', { force: true }),
    })
    expect(outcome).toMatchObject({ kind: 'aborted', ok: false, signal: 'SIGKILL', cause: 'aborted' })
    expect(outcome.stdout.toString()).toBe('up\n')
  })
  it('an abort before the start starts nothing', async () => {
    const outcome = await sh('echo up', { signal: AbortSignal.abort() })
    expect(outcome).toMatchObject({ kind: 'aborted', ok: false, pid: null, cause: 'aborted' })
  })
  it('a flood over the cap is stopped and its beginning kept', async () => {
    const outcome = await sh('while :; do echo 0123456789; done', { maxOutputBytes: 1000 })
    expect(outcome).toMatchObject({ kind: 'output-limit', ok: false, truncated: true, cause: 'output-limit' })
    expect(outcome.stdout.toString()).toBe('0123456789\n'.repeat(91).slice(0, 1000))
  })
  it('a flood that ends by itself is no success either; exactly the cap is', async () => {
    const flood = (bytes: number) => sh(`head -c ${bytes} /dev/zero`, { maxOutputBytes: 1000 })
    expect(await flood(1001)).toMatchObject({ kind: 'output-limit', ok: false, truncated: true })
    expect(await flood(1000)).toMatchObject({ kind: 'exited', ok: true, truncated: false })
  })
  it('a flood that comes only after the exit counts as well', async () => {
    const outcome = await sh('(while [ -d /proc/$$ ]; do sleep 0.02; done; head -c 1001 /dev/zero) & exit 0', {
      maxOutputBytes: 1000,
      drainMs: 20_000,
    })
    expect(outcome).toMatchObject({ kind: 'output-limit', ok: false, code: 0, truncated: true })
  })
  it('kills the child when its owner cannot record it, or chokes on its output', async () => {
    const recording = await run({
      command: '/bin/sleep',
      args: ['60'],
      onSpawn: () => {
        throw new Error('store down')
      },
    })
    expect(recording).toMatchObject({ kind: 'aborted', ok: false, signal: 'SIGKILL' })
    expect(recording.error).toEqual({ code: 'callback-failed', message: 'onSpawn failed: Error: store down' })
    const rejecting = (async () => {
      throw new Error('log full')
    }) as () => void
    const logging = await sh('echo a; sleep 60', { onOutput: rejecting })
    expect(logging).toMatchObject({ kind: 'aborted', ok: false, error: { code: 'callback-failed' } })
    const late = await sh('(while [ -d /proc/$$ ]; do sleep 0.02; done; echo late) & exit 0', {
      onOutput: rejecting,
      drainMs: 20_000,
    })
    expect(late).toMatchObject({ kind: 'aborted', ok: false, code: 0, error: { code: 'callback-failed' } })
  })
})

describe.concurrent('grandchildren', () => {
  it('one that holds the pipe does not delay the end beyond the drain, and is killed', async () => {
    const outcome = await sh('sleep 60 & echo $!')
    expect(outcome).toMatchObject({ kind: 'exited', ok: true })
    expect(outcome.durationMs).toBeLessThan(5_000)
    expect(isGone(pidIn(outcome))).toBe(true)
  })
  it('what one still writes during the drain is kept', async () => {
    const outcome = await sh('(sleep 0.2; echo late) & exit 0', { drainMs: 20_000 })
    expect(outcome.stdout.toString()).toBe('late\n')
    expect(outcome.durationMs).toBeLessThan(10_000)
  })
  it('one that ignores TERM and holds no pipe is really gone as well', async () => {
    const outcome = await sh("trap '' TERM; sleep 60 >/dev/null 2>&1 & echo $!")
    expect(outcome).toMatchObject({ kind: 'exited', ok: true })
    expect(isGone(pidIn(outcome))).toBe(true)
  })
  it('the whole group is stopped, not only the child', async () => {
    const outcome = await sh('sh -c \'trap "" TERM; echo $$; while :; do sleep 0.05; done\' & wait', abortOn('\n'))
    expect(outcome).toMatchObject({ kind: 'aborted', signal: 'SIGTERM' })
    expect(isGone(pidIn(outcome))).toBe(true)
  })
  it('a forced abort during the drain kills them at once', async () => {
    const outcome = await sh('(while [ -d /proc/$$ ]; do sleep 0.02; done; echo orphaned; sleep 60) & exit 0', {
      drainMs: 20_000,
      ...abortOn('orphaned', { force: true }),
    })
    expect(outcome).toMatchObject({ kind: 'exited', code: 0 })
    expect(outcome.durationMs).toBeLessThan(10_000)
  })
})

describe.concurrent('stdin', () => {
  const big = Buffer.alloc(3_000_000, 'x')
  it('that is never read neither blocks nor kills the parent', async () => {
    expect(await sh('exit 0', { stdin: big })).toMatchObject({ kind: 'exited', ok: true })
    expect(await sh('exec 0<&-; sleep 0.2; exit 4', { stdin: big })).toMatchObject({ kind: 'exited', code: 4 })
  })
  it('arrives whole, from bytes and text', async () => {
    expect((await sh('wc -c', { stdin: big })).stdout.toString().trim()).toBe('3000000')
    expect((await sh('cat', { stdin: 'grüße' })).stdout.toString()).toBe('grüße')
  })
  it('of nothing is closed at once', async () => {
    expect(await sh('cat; echo end')).toMatchObject({ ok: true, stdout: Buffer.from('end\n') })
    expect(await sh('cat; echo end', { stdin: '' })).toMatchObject({ ok: true, stdout: Buffer.from('end\n') })
  })
  it('from a file is handed over as that file', async () => {
    const path = join(base, 'input.txt')
    writeFileSync(path, 'from a file')
    expect((await sh('cat', { stdin: { path } })).stdout.toString()).toBe('from a file')
    const missing = await sh('cat', { stdin: { path: `${path}.missing` } })
    expect(missing).toMatchObject({ kind: 'spawn-error', cause: 'spawn ENOENT' })
    expect(await sh('cat', { stdin: { path: base } })).toMatchObject({ kind: 'spawn-error', error: { code: 'EINVAL' } })
    const fifo = join(base, 'fifo')
    await run({ command: 'mkfifo', args: [fifo] })
    expect(await sh('cat', { stdin: { path: fifo } })).toMatchObject({ cause: 'spawn EINVAL' })
  })
})

describe.concurrent('starts that fail', () => {
  const refused = (code: string) => ({ kind: 'spawn-error', ok: false, pid: null, code: null, cause: `spawn ${code}` })
  const file = (name: string, content: string, mode: number) => {
    const path = join(base, name)
    writeFileSync(path, content)
    chmodSync(path, mode)
    return path
  }
  it('no such executable, by name and by path', async () => {
    const byName = await run({ command: 'untildone-no-such-program' })
    expect(byName).toMatchObject({ ...refused('ENOENT'), error: { code: 'ENOENT' } })
    expect(await run({ command: '/no/such/program' })).toMatchObject(refused('ENOENT'))
    expect(await run({ command: 'sh', env: { PATH: '/nowhere' } })).toMatchObject(refused('ENOENT'))
    const script = file('orphan-script', '#!/no/such/interpreter\n', 0o755)
    expect(await run({ command: script })).toMatchObject(refused('ENOENT'))
  })
  it('not executable, or a directory', async () => {
    expect(await run({ command: file('plain', '#!/bin/sh\n', 0o644) })).toMatchObject(refused('EACCES'))
    expect(await run({ command: base })).toMatchObject(refused('EACCES'))
    // A later directory of PATH may have it.
    const tool = join(base, 'first', 'cat')
    mkdirSync(join(base, 'first'))
    file('first/cat', '', 0o644)
    const byName = await run({ command: 'cat', env: { PATH: `${join(base, 'first')}:relative:/bin:/usr/bin` } })
    expect(byName).toMatchObject({ ok: true })
    const only = await run({ command: 'cat', env: { PATH: join(base, 'first') } })
    expect(only).toMatchObject({ ...refused('EACCES'), error: { message: expect.stringContaining(tool) } })
  })
  it('text without #!, and the empty file a full disk leaves, are not handed to a shell', async () => {
    expect(await run({ command: file('bare', 'echo hi\n', 0o755) })).toMatchObject(refused('ENOEXEC'))
    expect(await run({ command: file('empty', '', 0o755) })).toMatchObject(refused('ENOEXEC'))
  })
  it('NUL in an argument, the env or a path', async () => {
    expect(await sh('exit 0', { args: ['a\0b'] })).toMatchObject({ ...refused('NUL'), error: { code: 'NUL' } })
    expect(await sh('exit 0', { env: { A: 'a\0b' } })).toMatchObject(refused('NUL'))
    expect(await sh('exit 0', { stdin: { path: '/a\0b' } })).toMatchObject(refused('NUL'))
  })
  it('arguments that are too long', async () => {
    const outcome = await run({ command: '/bin/true', args: ['x'.repeat(3_000_000)] })
    expect(outcome).toMatchObject({ ...refused('E2BIG'), error: { code: 'E2BIG' } })
  })
  it('a cwd that is missing or no directory', async () => {
    const nowhere = await sh('exit 0', { cwd: join(base, 'nowhere') })
    expect(nowhere).toMatchObject({ ...refused('ENOENT'), error: { message: expect.stringContaining('cwd') } })
    expect(await sh('exit 0', { cwd: '/bin/sh' })).toMatchObject(refused('ENOTDIR'))
  })
  it('with an envelope asked for, it is missing', async () => {
    expect(await run({ command: '/no', envelope: true })).toMatchObject({ envelopeError: 'missing' })
  })
  it('a relative command belongs to the given cwd', async () => {
    file('tool', '#!/bin/sh\necho tool', 0o755)
    expect(await run({ command: './tool', cwd: base })).toMatchObject({ ok: true, stdout: Buffer.from('tool\n') })
  })
})

describe.concurrent('the envelope', () => {
  const child = join(import.meta.dirname, 'child.ts')
  const jiti = join(import.meta.dirname, '../../node_modules/jiti/lib/jiti.mjs')
  /** A Node child that has the real `writeEnvelope`. */
  const withHelper = (script: string, spec: Partial<ProcessSpec> = {}) =>
    run({
      command: NODE,
      args: [
        '--input-type=module',
        '-e',
        `import { createJiti } from ${JSON.stringify(jiti)}
         const { writeEnvelope } = await createJiti(import.meta.url, { fsCache: false }).import(${JSON.stringify(child)})
         ${script}`,
      ],
      envelope: true,
      ...spec,
    })
  const raw = (script: string) =>
    node(
      `const fs = require('fs'), body = '{"pages":3}'
       const sha256 = require('crypto').createHash('sha256').update(body).digest('hex')
       const header = { untildone: 1, nonce: process.env.UNTILDONE_NONCE, bytes: body.length, sha256 }
       const send = (h, b) => fs.writeSync(3, JSON.stringify(h) + '\\n' + b)
       ${script}`,
      { envelope: true },
    )

  it('arrives whole, also when it is larger than a pipe and process.exit follows', async () => {
    const outcome = await withHelper("writeEnvelope({ text: 'x'.repeat(2_000_000) }); process.exit(0)")
    expect(outcome).toMatchObject({ kind: 'exited', ok: true, cause: 'exit 0', envelopeError: null })
    expect((outcome.envelope as { text: string }).text).toHaveLength(2_000_000)
  })
  it('arrives whole through a pipe that somebody made non-blocking', async () => {
    const outcome = await withHelper(`
      const { Socket } = await import('node:net')
      new Socket({ fd: 3 })
      writeEnvelope('x'.repeat(8_000_000))
      process.exit(0)`)
    expect(outcome).toMatchObject({ ok: true, envelope: 'x'.repeat(8_000_000) })
  })
  it('is written once, and only JSON', async () => {
    const outcome = await withHelper(`
      const refused = []
      for (const value of [() => 1, 'result', 'again']) {
        try { writeEnvelope(value) } catch (e) { refused.push(e.message) }
      }
      console.log(refused.join('|'))`)
    expect(outcome).toMatchObject({ ok: true, envelope: 'result' })
    expect(outcome.stdout.toString()).toMatch(/cannot carry a function\|.*already written/)
  })
  it('is refused in a process that was not given one', async () => {
    // The second has inherited a nonce, as a grandchild would, but no pipe.
    for (const env of [undefined, { UNTILDONE_NONCE: 'inherited' }]) {
      const outcome = await withHelper('writeEnvelope(1)', { envelope: false, env })
      expect(outcome.code).toBe(1)
      expect(outcome.stderr.toString()).toContain('not started with envelope: true')
    }
  })
  it('whole, made by hand', async () => {
    expect(await raw('send(header, body)')).toMatchObject({ ok: true, envelope: { pages: 3 }, envelopeError: null })
  })
  it('defects make exit 0 no success', async () => {
    const defect = (envelopeError: string) => ({
      kind: 'exited',
      code: 0,
      ok: false,
      envelope: undefined,
      envelopeError,
      cause: `envelope ${envelopeError}`,
    })
    const [missing, truncated, hash, nonce, twice] = await Promise.all([
      raw(''),
      raw('send(header, body.slice(0, 5))'),
      raw("send(header, body.replace('3', '4'))"),
      raw("send({ ...header, nonce: 'of another run' }, body)"),
      raw('send(header, body); send(header, body)'),
    ])
    expect(missing).toMatchObject(defect('missing'))
    expect(truncated).toMatchObject(defect('truncated'))
    expect(hash).toMatchObject(defect('hash-mismatch'))
    expect(nonce).toMatchObject(defect('nonce-mismatch'))
    expect(twice).toMatchObject(defect('malformed'))
  })
  it('whole with exit 3 is no success, but can be read', async () => {
    const outcome = await raw('send(header, body); process.exit(3)')
    expect(outcome).toMatchObject({ ok: false, cause: 'exit 3', envelope: { pages: 3 }, envelopeError: null })
  })
})

describe.concurrent('surroundings', () => {
  it('the env holds the allow-list and what was given, not the secrets of the parent', async () => {
    const env = (await sh('env', { env: { GIVEN: 'yes' } })).stdout.toString()
    expect(env).toContain('GIVEN=yes')
    expect(env).toContain(`PATH=${process.env.PATH}`)
    expect(env).not.toContain('hunter2')
    const names = env.match(/^[A-Z_a-z0-9]+(?==)/gm)!.filter((name) => !/^(LC_.*|PWD|OLDPWD|SHLVL|_)$/.test(name))
    const allowed = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'GIVEN', 'UNTILDONE_CHILD', 'UNTILDONE_WORK']
    expect(names.filter((name) => !allowed.includes(name))).toEqual([])
  })
  it('the work directory is private and removed', async () => {
    const outcome = await sh('pwd; stat -c %a .; mkdir -p a/b; echo x > a/b/c; chmod 500 a/b')
    const [dir, mode] = outcome.stdout.toString().split('\n')
    expect(dir!.startsWith(tmp)).toBe(true)
    expect(mode).toBe('700')
    expect(existsSync(dir!)).toBe(false)
    expect(outcome).toMatchObject({ ok: true, error: null })
  })
  it('its removal does not follow links out of it', async () => {
    const outside = join(base, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'precious'), 'keep')
    const outcome = await sh(
      `ln -s ${outside} dir; ln -s ${outside}/precious file; ln -s ${outside}/precious core; pwd`,
    )
    expect(existsSync(outcome.stdout.toString().trim())).toBe(false)
    expect(readFileSync(join(outside, 'precious'), 'utf8')).toBe('keep')
    expect(outcome.coresSwept).toBe(0)
  })
  it('a given cwd is used and stays', async () => {
    const cwd = join(base, 'given')
    mkdirSync(cwd)
    expect((await sh('pwd; touch made', { cwd })).stdout.toString().trim()).toBe(cwd)
    expect(existsSync(join(cwd, 'made'))).toBe(true)
  })
  it('core files are swept after the end, and old ones while it runs', async () => {
    expect(await sh('echo 12345 > core.77; exit 0')).toMatchObject({ coresSwept: 1, coreBytesSwept: 6 })
    const cwd = join(base, 'cores')
    mkdirSync(cwd)
    symlinkSync('/dev/null', join(cwd, 'core'))
    const core = Buffer.alloc(4096)
    core.write('\x7fELF\x02\x01\x01', 'latin1')
    core.writeUInt16LE(4, 16)
    writeFileSync(join(cwd, 'core.1'), core)
    // Ends only when the sweep has taken the file from under it.
    const outcome = await sh('while [ -e core.1 ]; do sleep 0.02; done', { cwd, sweepCores: { maxAgeMs: 0 } })
    expect(outcome).toMatchObject({ ok: true, coresSwept: 1, coreBytesSwept: 4096 })
    expect(statSync(join(cwd, 'core')).isCharacterDevice()).toBe(true)
  })
  it('reports the identity of the child at its start', async () => {
    let spawned: unknown
    let seen: unknown
    const outcome = await run({
      command: '/bin/cat',
      stdin: 'x',
      onSpawn: (p) => {
        spawned = p
        seen = { ...processIdentity(p.pid), group: readStat(p.pid)?.pgid }
      },
    })
    const { startTime, bootId } = seen as { startTime: string; bootId: string }
    expect(spawned).toEqual({ pid: outcome.pid, pgid: outcome.pid, startTime, bootId })
    expect(seen).toMatchObject({ group: outcome.pid, startTime: expect.stringMatching(/^\d+$/) })
  })
  it('rejects only for what a programmer got wrong', async () => {
    const wrong = [
      { command: '' },
      { command: 'sh', args: [1] },
      { command: 'sh', timeoutMs: 0 },
      { command: 'sh', timeoutMs: 2 ** 31 },
      { command: 'sh', graceMs: Number.NaN },
      { command: 'sh', pollMs: 1 },
      { command: 'sh', stdin: 5 },
      { command: 'sh', env: { 'A=B': '1' } },
      { command: 'sh', signal: {} },
      { command: 'sh', onSpawn: 'x' },
    ]
    for (const spec of wrong) await expect(runProcess(spec as never), JSON.stringify(spec)).rejects.toThrow(TypeError)
  })
})

describe.concurrent('protections by the OS', async () => {
  const active = await protections()
  it.runIf(active.coreLimit)('children write no core files', async () => {
    expect((await sh('ulimit -c; ulimit -Hc')).stdout.toString()).toBe('0\n0\n')
  })
  it.runIf(active.memoryLimit)('memoryMb bounds the address space, and nothing does unasked', async () => {
    expect((await sh('ulimit -v', { memoryMb: 300 })).stdout.toString().trim()).toBe(String(300 * 1024))
    expect((await sh('ulimit -v')).stdout.toString().trim()).toBe('unlimited')
  })
  it.runIf(active.parentDeath)('a child dies with its killed parent', async () => {
    const index = join(import.meta.dirname, 'index.ts')
    const jiti = join(import.meta.dirname, '../../node_modules/jiti/lib/jiti.mjs')
    let child: { pid: number } | undefined
    let parent = 0
    let text = ''
    const outcome = run({
      command: NODE,
      args: [
        '--input-type=module',
        '-e',
        `import { createJiti } from ${JSON.stringify(jiti)}
         const { runProcess } = await createJiti(import.meta.url, { fsCache: false }).import(${JSON.stringify(index)})
         await runProcess({ command: 'sleep', args: ['60'], cwd: '/', onSpawn: (p) => console.log(JSON.stringify(p)) })`,
      ],
      onSpawn: (p) => {
        parent = p.pid
      },
      onOutput: (stream, chunk) => {
        if (stream === 'stdout' && (text += chunk).endsWith('\n')) child = JSON.parse(text)
      },
    })
    const { pid } = await until(() => child)
    // setpriv has run once the program itself is there; before that nothing protects.
    await until(() => /^[^\0]*\/sleep\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1')))
    expect(isGone(pid)).toBe(false)
    process.kill(parent, 'SIGKILL')
    await until(() => isGone(pid))
    expect(await outcome).toMatchObject({ kind: 'signalled', signal: 'SIGKILL' })
  })
})

describe('a channel', () => {
  it('goes both ways on fd 3, and the end of a long output is kept', async () => {
    let said = ''
    const script = `
      const channel = new (require('net').Socket)({ fd: 3, readable: true, writable: true })
      channel.on('data', (data) => {
        for (let i = 0; i < 2000; i++) console.error('line ' + i)
        channel.end('got ' + data)
      })`
    const outcome = await run({
      ...{ command: NODE, args: ['-e', script], keep: 'end', maxOutputBytes: 100 },
      onChannel: (channel) => {
        channel.on('data', (data) => {
          said += data
        })
        channel.write('hello')
      },
    })
    expect(outcome).toMatchObject({ ok: true, truncated: false })
    expect(said).toBe('got hello')
    expect(outcome.stderr.toString()).toMatch(/line 1999\n$/)
    expect(outcome.bytes.stderr).toBeGreaterThan(10_000)
    expect(outcome.stderr.length).toBeLessThan(outcome.bytes.stderr)
    const channel = { onChannel: () => undefined, envelope: true }
    await expect(run({ command: NODE, ...channel })).rejects.toThrow('fd 3')
  })
})
