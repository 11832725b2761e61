/** Isolated handlers in real processes, over the built package: what they do is recorded as of any other, whatever they do. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createUntildone, type JobHandler, LOCAL, sqlite, type Untildone } from 'untildone'
import { assertReplaySafe, createTestRig } from 'untildone/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allHandler, pageHandler } from './all.mjs'
import * as plain from './handlers.mjs'
import { typedHandler } from './typed.js'

const handlers = [...Object.values(plain), typedHandler, allHandler, pageHandler].filter(
  (one) => 'settings' in one,
) as unknown as JobHandler[]
let dir = ''
let app: Untildone
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-isolated-'))
  // The private folders of the processes are below this one, where they can be counted.
  process.env.TMPDIR = dir
  app = await createUntildone({ store: sqlite(join(dir, 'jobs.db')), handlers, onError: () => undefined })
  await app.start()
})
afterAll(async () => {
  await app?.stop()
  rmSync(dir, { recursive: true, force: true })
})

let count = 0
async function begin(type: string, how = '') {
  const file = join(dir, `file-${++count}`)
  const { id } = await app.submit(type, { how, file, n: 3 })
  return { id, file }
}
const end = (id: string): Promise<any> => app.engine.wait(LOCAL, id, { timeoutMs: 20_000, until: 'done' }, ['ops'])
async function run(type: string, how = '') {
  const { id, file } = await begin(type, how)
  const job = await end(id)
  const attempts = await app.engine.attempts(LOCAL, id)
  return { id, file, job, attempts, last: job.error?.details?.last }
}
const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const fileOf = (file: string) => expect.poll(() => existsSync(file) && readFileSync(file, 'utf8'), { timeout: 10_000 })

describe('what a handler records', () => {
  const result = {
    a: { pid: expect.any(Number), key: true, at: '1970-01-01T00:00:00.000Z' },
    ...{ b: [1, { $: 'x' }], c: true, items: [7, 8], engine: 'slow', value: 'text', live: true },
  }

  it('is what it would record inline, by another process', async () => {
    const { job, id } = await run('steps')
    expect(job).toMatchObject({ status: 'completed', result: { ...result, same: true } })
    expect(job.result.a.pid).not.toBe(process.pid)
    const names = (await app.engine.steps(LOCAL, id)).map(({ name }) => name).sort()
    expect(names).toEqual(['a', 'b', 'b#2', 'items/n7', 'items/n8', 'read', 'read/fast', 'read/slow/inside'])
  })

  it('is not done again by the process of the next attempt', async () => {
    const { job, file, attempts } = await run('steps', 'segv')
    expect(job).toMatchObject({ status: 'completed', result: { ...result, same: false } })
    expect(readFileSync(file, 'utf8')).toBe('a 1\n')
    expect(attempts).toMatchObject([
      { outcome: 'error', rule: 'built-in code process-signal', error: { code: 'process-signal' } },
      { outcome: 'ok' },
    ])
  })

  it('holds over waits, each of which ends the process', async () => {
    const { id, file } = await begin('wait')
    await expect.poll(async () => (await app.engine.get(LOCAL, id)).status, { timeout: 10_000 }).toBe('blocked')
    const pids = readFileSync(file, 'utf8').match(/\d+$/gm)!.map(Number)
    expect(pids.map(alive)).toEqual([false, false])
    await app.engine.signal(LOCAL, id, 'go', { payload: { n: 4 } })
    expect(await end(id)).toMatchObject({ status: 'completed', result: { n: 4, attempts: 3 } })
  })

  it('is undone by its own code', async () => {
    const { job, file } = await run('undo')
    expect(job.error).toMatchObject({ code: 'no-further', class: 'permanent', details: { why: 'test' } })
    expect(readFileSync(file, 'utf8')).toBe('undo 2\nundo 1\n')
  })

  it('in TypeScript as well, with its last look at the result where its code runs', async () => {
    const { job } = await run('typed')
    expect(job).toMatchObject({ status: 'completed', result: { n: 3 } })
    expect(job.result.pid).not.toBe(process.pid)
  })
})

describe('every call of job', () => {
  async function throughout(fails: boolean) {
    const { id } = await app.submit('all', { fails })
    for (const pause = { ms: 20 }; ; ) {
      await expect
        .poll(async () => ['blocked', 'completed', 'failed'].includes((await app.engine.get(LOCAL, id)).status), {
          ...{ timeout: 25_000, interval: pause.ms },
        })
        .toBe(true)
      const { done, blockedOn } = await app.engine.get(LOCAL, id)
      if (done) return end(id)
      const [on] = blockedOn
      if (on?.kind === 'approval') {
        const { id: approval, digest } = await app.engine.approvals.get(LOCAL, on.id!)
        const mara = { ...LOCAL, actor: { kind: 'user' as const, id: 'mara' }, person: { id: 'mara' }, groups: [] }
        await app.engine.approvals.decide(mara, approval, { decision: 'approve', evidenceDigest: digest })
        continue
      }
      const { parts } = app.engine as unknown as { parts: { callbackOf(job: string, key: string): { token: string } } }
      const { token } = parts.callbackOf(id, 'pay/courier')
      await app.engine.answerCallback(token, { outcome: 'completed', payload: 1 } as never).catch(() => undefined)
      await app.engine.signal(LOCAL, id, 'replied', { payload: { text: 'yes' } })
    }
  }

  it('works, and comes back in other processes', { timeout: 60_000 }, async () => {
    const job = await throughout(false)
    expect(job).toMatchObject({
      status: 'completed',
      result: {
        ...{ pages: [2, 4, 6], text: 'scan true', parts: ['part a', 'part b', 'part c'], patience: 'patience' },
        ...{ bytes: { name: 'receipt.txt', same: true }, said: 'out' },
      },
      warnings: [{ code: 'line', message: 'line' }],
    })
  })

  it('is undone by the process of the last attempt', { timeout: 60_000 }, async () => {
    const job = await throughout(true)
    expect(job.error).toMatchObject({ code: 'refused' })
    expect(job.error.details.compensation).toMatchObject({
      ...{ state: 'rolled-back', undone: ['gather/read/robust/scan', 'pay/reserve', 'pay/pay'], notUndone: [] },
    })
  })
})

describe('how a process ends, and what that is', () => {
  const cases: [how: string, code: string, what: RegExp][] = [
    ['segv', 'process-signal', /ended by SIGSEGV/],
    ['exit', 'process-envelope', /exit code 0 before the handler had returned/],
    ['dies-at-exit', 'process-signal', /ended by SIGSEGV/],
    ['throw', 'process-exit', /exit code 1: Error: nobody waits for this/],
    ['unjson', 'bad-definition', /"unjson" cannot be written as JSON/],
    ['nested', 'nested-step', /"inner" was asked for inside a step/],
    ['code', 'econnreset', /no connection/],
  ]
  it.each(cases)('%s: %s', async (how, code, what) => {
    const { last } = await run('bad', how)
    expect(last).toMatchObject({ code, class: 'transient', message: expect.stringMatching(what) })
  })

  it('errors are what they were where they were thrown', async () => {
    expect((await run('bad', 'zod')).attempts).toMatchObject([{ verdict: 'permanent', rule: 'built-in schema-error' }])
  })

  it('a crash in a step is judged by the rules of that step', async () => {
    const { job } = await run('bad', 'segv-in-step')
    expect(job.error).toMatchObject({ code: 'crashed-there', class: 'permanent', step: 'crash' })
  })

  it('an engine that crashes is passed over, by the next process', async () => {
    const { job, attempts } = await run('fallback')
    expect(job).toMatchObject({ status: 'completed', result: { engine: 'plain', value: 'text' } })
    expect(attempts).toMatchObject([{ outcome: 'error', error: { code: 'process-replaced' } }, { outcome: 'ok' }])
  })

  it('an item that crashes is given up, and no other one with it', async () => {
    const { job } = await run('tolerant')
    expect(job).toMatchObject({ status: 'completed', result: [0, null, 2, 3] })
    expect(job.warnings).toMatchObject([{ code: 'bad-item', step: 'items/1' }])
  })

  it('of several that were at work none is taken for the one that crashed', async () => {
    const { job, attempts } = await run('together')
    expect(attempts[0]).toMatchObject({ outcome: 'error', error: { code: 'process-signal', step: null } })
    expect(job).toMatchObject({ status: 'completed', result: [0, 1, 2], warnings: [] })
  })

  it.each([
    ['limited', 'heap', 'process-memory', /no more room in its heap/],
    ['limited', 'memory', 'process-memory', /more memory than its limit/],
    ['stalling', 'spin', 'process-stalled', /made no progress/],
  ])('%s: %s is %s', async (type, how, code, what) => {
    const { last } = await run(type, how)
    expect(last).toMatchObject({ code, message: expect.stringMatching(what) })
  })

  it.each([
    ['spin', 'graceful'],
    ['hang', 'graceful'],
    ['spin', 'force'],
  ] as const)('a cancel ends it: %s, %s', async (how, mode) => {
    const { id, file } = await begin('bad', how)
    await fileOf(file).toMatch(/^\d+$/)
    await app.engine.cancel(LOCAL, id, { reason: 'test', mode })
    expect(await end(id)).toMatchObject({ status: 'cancelled', warnings: [] })
    await expect.poll(() => alive(Number(readFileSync(file, 'utf8')))).toBe(false)
  })

  it('a time limit ends a loop that never ends', async () => {
    const { last, file } = await run('timed', 'spin')
    expect(last).toMatchObject({ code: 'attempt-timeout', class: 'transient' })
    expect(alive(Number(readFileSync(file, 'utf8')))).toBe(false)
  })

  it('a worker that stops lets its step end, or kills it when it does not, and the attempt does not count', async () => {
    const database = join(dir, 'drain.db')
    const some = handlers.filter(({ definition }) => ['draining', 'bad'].includes(definition.name))
    const open = async () => {
      const app = await createUntildone({ store: sqlite(database), handlers: some, worker: { drainMs: 1_000 } })
      await app.start()
      return app
    }
    const first = await open()
    const files = [join(dir, 'drain-1'), join(dir, 'drain-2')]
    const { id } = await first.submit('draining', { file: files[0]! })
    const { id: stuck } = await first.submit('bad', { how: 'spin', file: files[1]! })
    await fileOf(files[0]!).toMatch(/first \d+/)
    await fileOf(files[1]!).toMatch(/\d+/)
    await first.stop()
    for (const file of files) expect(alive(Number(/\d+/.exec(readFileSync(file, 'utf8'))![0]))).toBe(false)
    const second = await open()
    try {
      const job = await second.engine.wait(LOCAL, id, { timeoutMs: 20_000, until: 'done' }, ['ops'])
      expect(job).toMatchObject({ status: 'completed', result: 2 })
      expect(readFileSync(files[0]!, 'utf8').match(/first/g)).toHaveLength(1)
      const outcomes = async (of: string) => (await second.engine.attempts(LOCAL, of)).map(({ outcome }) => outcome)
      expect(await outcomes(id)).toEqual(['released', 'ok'])
      expect((await outcomes(stuck))[0]).toBe('released')
      await second.engine.cancel(LOCAL, stuck, {})
    } finally {
      await second.stop()
    }
  })

  it('leaves nothing in the temporary folder', async () => {
    const left = () => readdirSync(dir).filter((name) => name.startsWith('untildone-run-'))
    await expect.poll(left).toEqual([])
  })
})

describe('at the start of the program', () => {
  const start = (handler: JobHandler) =>
    createUntildone({ store: sqlite(join(dir, `start-${++count}.db`)), handlers: [handler] })
  const moved = (module: string | null, type = 'bad') => {
    const handler = handlers.find(({ definition }) => definition.name === type)!
    return {
      ...handler,
      settings: { ...handler.settings, isolate: { ...handler.settings.isolate!, module } },
    } as JobHandler
  }

  it('says which handler cannot run in a process, and why', async () => {
    await expect(start(moved(null))).rejects.toMatchObject({
      code: 'isolate-failed',
      message: 'Nothing says which module exports the handler of "bad".',
      fix: expect.stringContaining('import.meta.url'),
    })
    const at = (name: string) => new URL(name, import.meta.url).href
    await expect(start(moved(at('nowhere.mjs')))).rejects.toThrow('there is no module')
    await expect(start(moved(at('typed-double.ts')))).rejects.toThrow('does not export the handler of "bad"')
    const broken = join(dir, 'broken.mjs')
    writeFileSync(broken, 'throw new Error("no licence")')
    await expect(start(moved(`file://${broken}`))).rejects.toThrow('cannot be loaded there: no licence')
  })
})

describe('a program of one file', () => {
  it('starts no second server, and its end by kill -9 leaves no process', { timeout: 30_000 }, async () => {
    const program = fileURLToPath(new URL('program.mjs', import.meta.url))
    const child = spawn(process.execPath, [program, join(dir, 'program.db')], { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    await expect.poll(() => said, { timeout: 15_000 }).toMatch(/at work \d+\n/)
    expect(said.match(/server \d+/g)).toHaveLength(1)
    const pid = Number(/at work (\d+)/.exec(said)![1])
    expect(alive(pid)).toBe(true)
    child.kill('SIGKILL')
    if (process.platform === 'linux' && existsSync('/usr/bin/setpriv'))
      await expect.poll(() => alive(pid), { timeout: 5_000 }).toBe(false)
    else process.kill(pid, 'SIGKILL')
  })
})

describe('job files', () => {
  it('are known to the process by themselves, and read there as the CLI reads them', { timeout: 40_000 }, async () => {
    const cwd = mkdtempSync(join(dir, 'project-'))
    mkdirSync(join(cwd, 'jobs'))
    writeFileSync(join(cwd, 'jobs', 'calc.ts'), CALC)
    const bin = fileURLToPath(new URL('../../bin/untildone.js', import.meta.url))
    const server = spawn(process.execPath, [bin, 'serve', '--jobs', 'jobs', '--port', '0'], {
      ...{ cwd, stdio: ['ignore', 'inherit', 'pipe'] as const },
    })
    try {
      let said = ''
      server.stderr!.on('data', (chunk) => {
        said += chunk
      })
      await expect.poll(() => said, { timeout: 15_000 }).toMatch(/http:\S+/)
      const url = /http:\S+?(?=\/v1|\s)/.exec(said)![0]
      const body = JSON.stringify({ type: 'calc', input: { n: 4 } })
      const headers = { 'content-type': 'application/json' }
      const { id } = (await (await fetch(`${url}/v1/jobs`, { method: 'POST', headers, body })).json()) as { id: string }
      const job = async () => (await fetch(`${url}/v1/jobs/${id}`)).json() as Promise<any>
      await expect.poll(async () => (await job()).status, { timeout: 15_000 }).toBe('completed')
      const { result } = await job()
      expect(result.n).toBe(5)
      expect(result.parent).toBe(server.pid)
    } finally {
      server.kill('SIGTERM')
      await new Promise((resolve) => server.on('close', resolve))
    }
  })
})

const CALC = `import { defineJob } from 'untildone'
import { z } from 'zod'
enum Add { one = 1 }
export const calc = defineJob('calc', { input: z.object({ n: z.number() }) })
export const calcHandler = calc.handler({ isolate: 'process' }, async (job) => ({
  n: await job.step('add', () => job.input.n + Add.one),
  parent: process.ppid,
}))
`

describe('in tests', () => {
  it('a rig runs it inline, or in its process when asked to', async () => {
    for (const isolated of ['inline', 'process'] as const) {
      const rig = await createTestRig([typedHandler as unknown as JobHandler], { isolated })
      try {
        const { id } = await rig.submit('typed', { n: 1 })
        await expect.poll(async () => (await rig.get(id)).done, { timeout: 10_000 }).toBe(true)
        const { pid } = (await rig.get(id)).result as { pid: number }
        expect(pid === process.pid).toBe(isolated === 'inline')
      } finally {
        await rig.close()
      }
    }
  })

  it('assertReplaySafe looks at it like at any other', async () => {
    await assertReplaySafe(typedHandler, { n: 2 }, { ignore: [] })
  })
})
