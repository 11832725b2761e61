import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  defineJob,
  Harmless,
  type JobContext,
  type JobHandler,
  Permanent,
  Review,
  Transient,
  until,
} from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ n: z.number().default(0) }) })
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const handlerOf = (fn: (job: JobContext<{ n: number }>) => unknown, options = {}): JobHandler =>
  work.handler({ retry: quick, ...options }, fn as never) as never

/** Runs one job to its end. */
async function run(fn: (job: JobContext<{ n: number }>) => unknown, options = {}) {
  const rig = await open(handlerOf(fn, options))
  const { id } = await rig.submit(work, {})
  return { rig, id, job: await rig.untilDone(id) }
}
const stepsOf = async (rig: TestRig, id: string) =>
  (await rig.store.steps(id)).map(({ key, result }) => `${key}=${result}`)
const attemptsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.attempts(LOCAL, id)).map(({ outcome, rule, error }) =>
    `${outcome} ${error?.code ?? ''} ${rule ?? ''}`.trim(),
  )

describe('step', () => {
  it('runs once, is recorded, and later attempts get the record', async () => {
    const ran: string[] = []
    const { rig, id, job } = await run(async (job) => {
      const a = await job.step('a', () => {
        ran.push('a')
        return { at: new Date(0), gone: undefined, n: 1 }
      })
      const b = await job.step('b', async () => ran.push('b'))
      if (job.attempt < 3) throw new Error('again')
      return { a, b }
    })
    expect(ran).toEqual(['a', 'b'])
    expect(job).toMatchObject({ status: 'completed', result: { a: { at: '1970-01-01T00:00:00.000Z', n: 1 }, b: 2 } })
    expect(await stepsOf(rig, id)).toEqual(['a={"at":"1970-01-01T00:00:00.000Z","n":1}', 'b=2'])
  })

  it('gives the attempt that made the value the same bytes as every later one', async () => {
    const seen: unknown[] = []
    await run(async (job) => {
      seen.push(await job.step('a', () => ({ d: new Date(0), u: undefined, n: Number.NaN })))
      seen.push(await job.step('nothing', () => undefined))
      if (job.attempt === 1) throw new Error('again')
    })
    const value = { d: '1970-01-01T00:00:00.000Z', n: null }
    expect(seen).toEqual([value, undefined, value, undefined])
    expect('u' in (seen[0] as object)).toBe(false)
  })

  it('a second step of a name is name#2, in call order, however the steps overlap', async () => {
    const { rig, id } = await run(async (job) => {
      await Promise.all([
        job.step('charge', () => 'first'),
        job.step('charge', () => 'second'),
        job.step('other', () => 1),
      ])
      await job.step('charge', () => 'third')
      if (job.attempt === 1) throw new Error('again')
    })
    expect((await stepsOf(rig, id)).sort()).toEqual([
      'charge#2="second"',
      'charge#3="third"',
      'charge="first"',
      'other=1',
    ])
  })

  it('a step added or taken away between attempts does not confuse the others', async () => {
    const ran: string[] = []
    await run(async (job) => {
      const step = (name: string) => job.step(name, () => ran.push(`${name}@${job.attempt}`))
      if (job.attempt > 1) await step('new')
      await step('b')
      if (job.attempt === 1) await step('old')
      if (job.attempt < 3) throw new Error('again')
    })
    expect(ran).toEqual(['b@1', 'old@1', 'new@2'])
  })

  it('its key is the same in every attempt, differs per step, and follows the operation', async () => {
    const keys: string[] = []
    const handler = handlerOf(async (job) => {
      await job.step('a', ({ key }) => void keys.push(key))
      if (job.attempt === 1) throw new Error('again')
    })
    const again = handlerOf(async (job) => {
      for (const name of ['a', 'a', 'b']) {
        await job
          .step(name, ({ key }) => {
            keys.push(key)
            if (job.attempt === 1) throw new Error('not recorded')
          })
          .catch(() => undefined)
      }
      if (job.attempt === 1) throw new Error('again')
    })
    const rig = await open(again)
    await rig.untilDone(await rig.submit(work, {}, { operationKey: 'invoice:1' }))
    const [a, a2, b, ...later] = keys
    expect(new Set([a, a2, b]).size).toBe(3)
    expect(later).toEqual([a, a2, b])
    expect(a).toMatch(/^[0-9a-f]{40}$/)
    keys.length = 0
    await rig.restart([handler])
    await rig.untilDone(await rig.submit(work, {}, { operationKey: 'invoice:1' }))
    await rig.untilDone(await rig.submit(work, {}, { operationKey: 'invoice:2' }))
    await rig.untilDone(await rig.submit(work, {}))
    expect(keys[0]).toBe(a)
    expect(new Set(keys).size).toBe(3)
  })

  it('a crash after a step does not run it again; a crash before its record does', async () => {
    const ran: string[] = []
    const handler = handlerOf(async (job) => {
      await job.step('a', () => ran.push('a'))
      await job.step('b', () => ran.push('b'))
      return 'done'
    })
    const rig = await open(handler)
    const death = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
    const { id } = await rig.submit(work, {})
    await death
    expect(await stepsOf(rig, id)).toEqual(['a=1'])
    await rig.restart()
    expect((await rig.untilDone(id)).status).toBe('completed')
    expect(ran).toEqual(['a', 'b', 'b'])
    expect(await attemptsOf(rig, id)).toEqual(['lost worker-lost built-in worker-lost', 'ok'])
  })

  it('a step inside a step is refused; one inside an engine of first is not', async () => {
    const { job } = await run(
      async (job) => {
        await job.first('pick', { only: async () => job.step('inner', () => 1) })
        await job.step('outer', () => job.step('inner', () => 2))
      },
      { retry: until({ attempts: 1 }) },
    )
    expect(job).toMatchObject({ status: 'failed', error: { details: { last: { code: 'nested-step' } } } })
  })

  it('a handler that submits a job from inside a step does not lend it its scope', async () => {
    let rig: TestRig
    const child = defineJob('child', { input: z.object({}) })
    const inner = child.handler(async (job) => job.step('inner', () => 'ok'))
    const outer = handlerOf(async (job) => job.step('outer', async () => (await rig.submit(child, {})).id))
    rig = await open([outer, inner] as JobHandler[])
    const job = await rig.untilDone(await rig.submit(work, {}))
    expect(await rig.untilDone(job.result as string)).toMatchObject({ status: 'completed', result: 'ok' })
    expect(await stepsOf(rig, job.result as string)).toEqual(['inner="ok"'])
  })

  it.each(['', 'a/b', 'a#2', 'x'.repeat(101), 'a\u0000b', 5 as never])('refuses the name %j', async (name) => {
    const { job } = await run((job) => job.step(name, () => 1), { retry: until({ attempts: 1 }) })
    expect(job).toMatchObject({ status: 'failed', error: { details: { last: { code: 'bad-step-name' } } } })
  })

  it('a value that JSON cannot hold fails the step and names it', async () => {
    const { job } = await run((job) => job.step('big', () => 1n), { retry: until({ attempts: 1 }) })
    expect(job.error!.message).toContain('"big"')
  })

  it('a time limit ends the step as transient, aborts its signal, and leaves nothing unhandled', async () => {
    const reasons: string[] = []
    const { rig, id, job } = await run(async (job) => {
      return job.step(
        'slow',
        ({ signal, attempt }) => {
          if (attempt > 1) return 'fast'
          return new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push((signal.reason as { code: string }).code)
              reject(new Error('late rejection'))
            })
          })
        },
        { timeout: '5s' },
      )
    })
    expect(job.result).toBe('fast')
    expect(reasons).toEqual(['step-timeout'])
    expect(await attemptsOf(rig, id)).toEqual(['error step-timeout built-in code step-timeout', 'ok'])
  })

  it('onHarmless: the value is recorded, a warning kept, the handler goes on', async () => {
    const { rig, id, job } = await run(
      async (job) => {
        const a = await job.step('a', () => Promise.reject(new Error('font substitution')), { onHarmless: 'plain' })
        const b = await job.step('b', () => Promise.reject(new Harmless('no')), { onHarmless: undefined })
        if (job.attempt === 1) throw new Error('again')
        return [a, b ?? null]
      },
      { errors: [{ match: /font substitution/, is: 'harmless', as: 'font' }] },
    )
    expect(job).toMatchObject({ status: 'completed', result: ['plain', null], ops: { phase: 'withWarnings' } })
    expect(job.warnings).toMatchObject([
      { code: 'font', message: 'font substitution', step: 'a' },
      { code: 'handler-error', message: 'no', step: 'b' },
    ])
    expect(job.statusText).toBe('Completed, with notes.')
    expect((await stepsOf(rig, id)).length).toBe(2)
  })

  it('an error that is remembered by its step is told apart per job and type, also when it is one shared object', async () => {
    const shared = new Error('busy')
    const other = defineJob('other', { input: z.object({}) })
    const lenient = handlerOf((job) => job.step('a', () => Promise.reject(shared)), {
      retry: until({ attempts: 1 }),
      errors: [{ match: 'busy', is: 'transient', as: 'too-busy' }],
    })
    const strict = other.handler({ errors: [{ match: 'busy', is: 'permanent', as: 'forbidden-here' }] }, (job) =>
      job.step('b', () => Promise.reject(shared)),
    )
    const rig = await open([lenient, strict] as JobHandler[])
    const a = await rig.untilDone(await rig.submit(work, {}))
    const b = await rig.untilDone(await rig.submit(other, {}))
    expect(a.error).toMatchObject({ code: 'exhausted', details: { last: { code: 'too-busy' } } })
    expect(b.error).toMatchObject({ code: 'forbidden-here', class: 'permanent', step: 'b' })
  })

  it('an error caught by the handler does not end the attempt', async () => {
    const { job } = await run(async (job) => {
      const a = await job.step('a', () => Promise.reject(new Permanent('no'))).catch((error) => error.message)
      return job.step('b', () => `${a} but yes`)
    })
    expect(job).toMatchObject({ status: 'completed', result: 'no but yes' })
  })

  it('a large value comes back whole in the next attempt', async () => {
    const big = 'é'.repeat(100_000)
    const { job } = await run(async (job) => {
      const value = await job.step('big', () => big)
      if (job.attempt === 1) throw new Error('again')
      return value === big
    })
    expect(job.result).toBe(true)
  })
})

describe('read', () => {
  it('runs in every attempt and is not recorded, only its digest is logged', async () => {
    let price = 1
    const { rig, id, job } = await run(async (job) => {
      const seen = await job.read('price', () => price++)
      if (job.attempt < 3) throw new Error('again')
      return seen
    })
    expect(job.result).toBe(3)
    expect(await stepsOf(rig, id)).toEqual([])
    const { items } = await rig.engine.logs(LOCAL, id, {})
    expect(items.map(({ message, attempt, level }) => `${attempt} ${level} ${message}`)).toEqual([
      '1 debug Read price',
      '2 debug Read price',
      '3 debug Read price',
    ])
    expect(JSON.stringify(items)).not.toContain('"price":3')
    expect(items[0]!.data).toMatchObject({
      bytes: 1,
      sha256: rig.store.info && expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })
})

describe('first', () => {
  it('takes the next engine on permanent, and says which one did it', async () => {
    const { rig, id, job } = await run((job) =>
      job.first('recognize', {
        fast: () => Promise.reject(new Permanent('not for me', { code: 'bad-scan' })),
        robust: () => 'text',
        never: () => 'unreached',
      }),
    )
    expect(job.result).toEqual({ engine: 'robust', value: 'text' })
    const [step] = (await rig.engine.steps(LOCAL, id)).filter(({ name }) => name === 'recognize')
    expect(step).toMatchObject({
      kind: 'first',
      info: { engine: 'robust', rejected: [{ engine: 'fast', code: 'bad-scan', rule: 'thrown Permanent' }] },
    })
  })

  it('remembers a rejection across attempts, and repeats only the engine that was transient', async () => {
    const ran: string[] = []
    const { rig, id, job } = await run(async (job) =>
      job.first('recognize', {
        fast: () => {
          ran.push(`fast@${job.attempt}`)
          throw new Permanent('no')
        },
        robust: () => {
          ran.push(`robust@${job.attempt}`)
          if (job.attempt < 3) throw new Transient('busy')
          return 'text'
        },
      }),
    )
    expect(ran).toEqual(['fast@1', 'robust@1', 'robust@2', 'robust@3'])
    expect(job.result).toEqual({ engine: 'robust', value: 'text' })
    expect((await attemptsOf(rig, id)).at(0)).toBe('error handler-error thrown Transient')
  })

  it('stops on review', async () => {
    const rig = await open(
      handlerOf((job) =>
        job.first('recognize', { fast: () => Promise.reject(new Review('look')), robust: () => 'unreached' }),
      ),
    )
    const { id } = await rig.submit(work, {})
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', error: { class: 'review', message: 'look' } })
  })

  it('fails with the last engine’s own error when all reject', async () => {
    const { job } = await run((job) =>
      job.first('r', {
        a: () => Promise.reject(new Permanent('a no', { code: 'a-no' })),
        b: () => Promise.reject(new Permanent('b no', { code: 'b-no' })),
      }),
    )
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'b-no', class: 'permanent', message: 'b no', step: 'r/b' },
    })
  })

  it('its engines may have steps of their own, memoized under their path', async () => {
    const ran: string[] = []
    const { rig, id } = await run(async (job) => {
      const run = (engine: string) => () =>
        job.step('convert', () => {
          ran.push(engine)
          return engine
        })
      const { value } = await job.first('recognize', { fast: run('fast') })
      const { value: again } = await job.first('recognize', { fast: run('fast2') })
      if (job.attempt === 1) throw new Error('again')
      return [value, again]
    })
    expect(ran).toEqual(['fast', 'fast2'])
    expect((await stepsOf(rig, id)).map((text) => text.split('=')[0]).sort()).toEqual([
      'recognize',
      'recognize#2',
      'recognize#2/fast/convert',
      'recognize/fast/convert',
    ])
  })

  it('without engines, or with a bad engine name, it is a mistake of the handler', async () => {
    for (const engines of [{}, { 'a/b': () => 1 }]) {
      const { job } = await run((job) => job.first('r', engines as never), { retry: until({ attempts: 1 }) })
      expect(job.error!.details!.last).toMatchObject({ code: expect.stringMatching(/bad-definition|bad-step-name/) })
    }
  })
})
