import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  until as budget,
  defineJob,
  type HandlerOptions,
  type JobContext,
  type JobHandler,
  type ProcessOptions,
} from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type TestRig, until } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({}) })
const once = budget({ attempts: 1 })
const node = (script: string, more: Partial<ProcessOptions<any>> = {}): ProcessOptions<any> => ({
  command: process.execPath,
  args: ['-e', script],
  ...more,
})

type Fn = (job: JobContext<object>) => unknown
async function begun(fn: Fn, options: HandlerOptions<any, any> = {}) {
  const rig = await open(work.handler({ retry: once, ...options }, fn as never) as unknown as JobHandler)
  const { id } = await rig.submit(work, {})
  return { rig, id }
}
/** Children live in real time: waits for the end with the test clock moving along. */
const ended = (rig: TestRig, id: string) =>
  until(async () => {
    await rig.advance(10)
    const job = await rig.get(id)
    return job.done && job
  }, `the end of job ${id}`)
async function run(fn: Fn, options: HandlerOptions<any, any> = {}) {
  const { rig, id } = await begun(fn, options)
  return { rig, id, job: await ended(rig, id) }
}
const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('job.process', () => {
  it('records the parsed output like a step, and does not run again', async () => {
    let spawned = 0
    const { rig, id, job } = await run(
      async (job) => {
        const value = await job.process(
          'count',
          node('console.log(JSON.stringify({ n: 3 })); console.error("note")', {
            parse: ({ stdout, stderr }) => {
              spawned++
              return { ...JSON.parse(stdout), said: stderr.trim() }
            },
          }),
        )
        if (job.attempt === 1) throw new Error('again')
        return value
      },
      { retry: budget({ backoff: { from: '1ms', to: '1ms' } }) },
    )
    expect(job).toMatchObject({
      status: 'completed',
      result: { n: 3, said: 'note' },
      ops: { attempt: 2 },
      warnings: [],
    })
    expect(spawned).toBe(1)
    expect(await rig.engine.steps(LOCAL, id)).toMatchObject([
      { name: 'count', kind: 'process', info: { exitCode: 0, signal: null } },
    ])
    expect(await rig.store.workers.strays()).toEqual([])
  })

  it('a failing exit is transient, and rules see code and last lines', async () => {
    const { job } = await run((job) => job.process('x', node('console.error("licence server busy"); process.exit(3)')))
    expect(job.error).toMatchObject({
      code: 'exhausted',
      details: { last: { code: 'process-exit', class: 'transient', rule: 'default transient' } },
    })
    expect(job.error!.message).toContain('licence server busy')
    const ruled = await run((job) => job.process('x', node('console.error("password required"); process.exit(3)')), {
      errors: [{ match: /password required/, exit: 3, is: 'permanent', as: 'bad-input' }],
    })
    expect(ruled.job.error).toMatchObject({
      code: 'bad-input',
      class: 'permanent',
      step: 'x',
      details: { exitCode: 3 },
    })
  })

  it('death by a signal is transient', async () => {
    const { rig, id, job } = await run((job) => job.process('x', node('process.kill(process.pid, "SIGSEGV")')))
    expect(job.error!.details!.last).toMatchObject({ code: 'process-signal', class: 'transient' })
    expect((await rig.engine.attempts(LOCAL, id))[0]!.error!.message).toContain('SIGSEGV')
    const ruled = await begun((job) => job.process('x', node('process.kill(process.pid, "SIGABRT")')), {
      errors: [{ signal: 'SIGABRT', is: 'review', as: 'engine-bug' }],
    })
    await until(async () => (await ruled.rig.get(ruled.id)).status === 'blocked', 'the review')
    expect(await ruled.rig.get(ruled.id)).toMatchObject({ error: { code: 'engine-bug', class: 'review' } })
  })

  it('a harmless line on stderr becomes a warning, the work counts', async () => {
    const { job } = await run(
      (job) => job.process('scan', node('console.error("ICC profile ignored\\nall fine"); console.log("text")')),
      {
        errors: [{ match: /ICC profile/, is: 'harmless', as: 'icc' }],
      },
    )
    expect(job).toMatchObject({ status: 'completed', result: 'text\n', ops: { phase: 'withWarnings' } })
    expect(job.warnings).toMatchObject([{ code: 'icc', message: 'ICC profile ignored', step: 'scan' }])
  })

  it('says which engine it was, so that rules can be about one version of it', async () => {
    const crash = (version: string) => (job: JobContext<object>) =>
      job.process('x', node('console.error("bad strip"); process.exit(3)', { engine: { name: 'reader', version } }))
    const errors = [
      { exit: 3, engine: { name: 'reader', versions: '5.3.x' }, is: 'permanent', as: 'strip-bug' },
    ] as const
    const { rig, id, job } = await run(crash('5.3.9'), { errors })
    const details = { engine: 'reader', engineVersion: '5.3.9', exitCode: 3 }
    expect(job.error).toMatchObject({ code: 'strip-bug', details })
    expect(await rig.engine.attempts(LOCAL, id)).toMatchObject([{ rule: 'type[0] exit 3 of reader 5.3.x' }])
    const newer = await run(crash('5.4.0'), { errors })
    expect(newer.job.error!.details!.last).toMatchObject({ code: 'process-exit', rule: 'default transient' })
    const wrong = [{ exit: 3, engine: { name: 'reader', versions: 'new ones' }, is: 'permanent' }] as const
    expect(() => work.handler({ errors: wrong }, async () => null)).toThrow('errors[0].engine.versions is no range')
  })

  it('what was taught about its words is a warning when it ends well', async () => {
    const say = node('console.error("font substitution on page 7")', { engine: { name: 'reader', version: '5.3.0' } })
    const taught = async (when: object, verdict: 'harmless' | 'permanent') => {
      const rig = await open(work.handler({ retry: once }, ((job: any) => job.process('scan', say)) as never) as never)
      await rig.engine.teaching.addRule(LOCAL, 'work', { ...when, verdict, reason: 'noise' })
      const { id } = await rig.submit(work, {})
      return ended(rig, id)
    }
    const engine = (versions: string) => ({ match: 'font substitution', engine: { name: 'reader', versions } })
    const job = await taught(engine('5.x'), 'harmless')
    expect(job).toMatchObject({ status: 'completed', ops: { phase: 'withWarnings' } })
    expect(job.warnings).toMatchObject([{ code: 'engine-note', message: 'font substitution on page 7', step: 'scan' }])
    expect((await taught(engine('6.x'), 'harmless')).warnings).toEqual([])
    // It ended well, and its output counts: a text is not enough to make a failure of that.
    expect(await taught(engine('5.x'), 'permanent')).toMatchObject({ status: 'completed', warnings: [] })
  })

  it('onHarmless takes a harmless failure for a value', async () => {
    const { job } = await run((job) =>
      job.process('x', node('process.exit(4)', { errors: [{ exit: 4, is: 'harmless' }], onHarmless: 'nothing' })),
    )
    expect(job).toMatchObject({ status: 'completed', result: 'nothing', warnings: [{ step: 'x' }] })
  })

  it('with an envelope half a result is none, whatever the exit', async () => {
    const { job } = await run((job) =>
      job.process('x', node('require("fs").writeSync(3, "{ half"); process.exit(0)', { envelope: true })),
    )
    expect(job.error!.details!.last).toMatchObject({ code: 'process-envelope', class: 'transient' })
  })

  it('a command that does not exist says so', async () => {
    const { job } = await run((job) => job.process('x', { command: '/nonexistent/engine' }))
    expect(job.error!.details!.last).toMatchObject({ code: 'process-missing' })
  })

  it('what it may take is told apart, and only a file that is too large is beyond another try', async () => {
    const sh = (script: string, limits: ProcessOptions<any>['limits']) =>
      run((job) => job.process('x', { command: '/bin/sh', args: ['-c', script], grace: '100ms', limits }))
    const file = await sh('exec head -c 200000 /dev/zero >big', { fileBytes: 1000 })
    expect(file.job.error).toMatchObject({ code: 'process-file-size', class: 'permanent' })
    const silent = await sh('sleep 60', { silent: '200ms' })
    expect(silent.job.error!.details!.last).toMatchObject({ code: 'process-silent', class: 'transient' })
    const many = await sh('sleep 60 & sleep 60 & sleep 60', { processes: 2 })
    expect(many.job.error!.details!.last).toMatchObject({ code: 'process-count', class: 'transient' })
  })

  it('a line that says true keeps a slow child from being stalled', async () => {
    const script = 'for n in 1 2 3 4 5; do sleep 0.3; echo $n >&2; done'
    const go = (onLine: (line: string) => unknown) =>
      run((job) =>
        job.process('x', {
          command: '/bin/sh',
          args: ['-c', script],
          grace: '100ms',
          limits: { stall: '900ms' },
          onLine,
        }),
      )
    expect((await go(() => true)).job.status).toBe('completed')
    expect((await go(() => undefined)).job.error!.details!.last).toMatchObject({ code: 'process-stalled' })
  })

  it('a file that should be there and is not makes exit 0 no success', async () => {
    const collect = [{ from: 'output/text', to: '/nowhere/text' }]
    const { job } = await run((job) => job.process('x', { command: '/bin/true', collect }))
    expect(job.error!.details!.last).toMatchObject({ code: 'process-result', class: 'transient' })
  })

  it('records what a run took, without secrets', async () => {
    const { rig, id } = await run((job) =>
      job.process('x', {
        command: '/bin/sh',
        args: ['-c', 'setsid sleep 60 & sleep 0.2; echo "$0 $DB_PASSWORD" >&2', 'licence-4711'],
        env: { DB_PASSWORD: 'hunter-22' },
        secrets: ['licence-4711'],
        errors: [{ match: /./, is: 'harmless', as: 'said' }],
      }),
    )
    const [step] = await rig.engine.steps(LOCAL, id)
    expect(step!.info).toMatchObject({
      command: '/bin/sh',
      args: expect.stringContaining('[secret]'),
      kind: 'exited',
      cause: 'exit 0',
      escapedKilled: 1,
      stderrBytes: 23,
      protectedBy: expect.arrayContaining(['timeout', 'output', 'tree']),
    })
    expect((step!.info as { peakRssBytes: number }).peakRssBytes).toBeGreaterThan(100_000)
    const failed = await run((job) =>
      job.process('x', {
        command: '/bin/sh',
        args: ['-c', 'echo "bad $KEY_TOKEN" >&2; exit 3'],
        env: { KEY_TOKEN: 'hunter-22' },
      }),
    )
    const everything = JSON.stringify([
      step,
      await rig.get(id),
      failed.job,
      await failed.rig.engine.attempts(LOCAL, failed.id),
    ])
    expect(everything).not.toMatch(/hunter-22|licence-4711/)
    expect(failed.job.error!.message).toContain('bad [secret]')
  })

  it('its time limit ends it', async () => {
    const { job } = await run((job) =>
      job.process('x', node('setInterval(() => {}, 1000)', { timeout: '150ms', grace: '100ms' })),
    )
    expect(job.error!.details!.last).toMatchObject({ code: 'attempt-timeout', class: 'transient' })
  })

  it('is refused inside a step', async () => {
    const { job } = await run((job) => job.step('outer', () => job.process('inner', node(''))))
    expect(job.error!.details!.last).toMatchObject({ code: 'nested-step' })
  })
})

describe('children and cancel', () => {
  const hold = async (ignoresTerm: boolean, grace: ProcessOptions<any>['grace'] = '5s') => {
    let pid = 0
    const script = `${ignoresTerm ? 'process.on("SIGTERM", () => {});' : ''} console.error(process.pid); setInterval(() => {}, 1000)`
    const { rig, id } = await begun((job) =>
      job.process('x', node(script, { grace, onLine: (line) => (pid = Number(line)) })),
    )
    await until(() => pid > 0, 'the child to start')
    return { rig, id, pid }
  }

  it('graceful: TERM, and the job is cancelled when the child is dead', async () => {
    const { rig, id, pid } = await hold(false)
    await rig.engine.cancel(LOCAL, id, {})
    expect(await ended(rig, id)).toMatchObject({ status: 'cancelled' })
    expect(alive(pid)).toBe(false)
  })

  it('graceful: KILL after the grace for a child that ignores TERM; until then the job is processing', async () => {
    const { rig, id, pid } = await hold(true, '400ms')
    expect((await rig.engine.cancel(LOCAL, id, {})).pending).toBe(true)
    expect([alive(pid), (await rig.get(id)).status]).toEqual([true, 'processing'])
    expect(await ended(rig, id)).toMatchObject({ status: 'cancelled' })
    expect(alive(pid)).toBe(false)
  })

  it('force: KILL now, also for a child that ignores TERM', async () => {
    // Longer than the test may take: nothing else ends it in time.
    const { rig, id, pid } = await hold(true, '60s')
    await rig.engine.cancel(LOCAL, id, { mode: 'force' })
    await until(() => !alive(pid), 'the child to die')
    expect(await ended(rig, id)).toMatchObject({ status: 'cancelled' })
  })

  it('an override: KILL now, and the end set by hand stands', async () => {
    let pid = 0
    let over = false
    const script = 'process.on("SIGTERM", () => {}); console.error(process.pid); setInterval(() => {}, 1000)'
    const { rig, id } = await begun(async (job) => {
      await job.process('x', node(script, { onLine: (line) => (pid = Number(line)) })).finally(() => {
        over = true
      })
    })
    await until(() => pid > 0, 'the child to start')
    const { version } = await rig.get(id)
    const reason = 'done on paper, see the ticket'
    await rig.engine.override(LOCAL, id, { status: 'completed', result: 'paper', reason, ifVersion: version })
    await until(() => over && !alive(pid), 'the child to die', 3000)
    expect(rig.app.running).toBe(0)
    expect(await rig.get(id)).toMatchObject({ status: 'completed', result: 'paper' })
  })

  it('force after graceful kills what has ignored TERM so far, without waiting for the grace', async () => {
    const { rig, id, pid } = await hold(true, '60s')
    await rig.engine.cancel(LOCAL, id, {})
    expect(alive(pid)).toBe(true)
    await rig.engine.cancel(LOCAL, id, { mode: 'force' })
    await until(() => !alive(pid), 'the child to die')
    expect(await ended(rig, id)).toMatchObject({ status: 'cancelled' })
  })
})
