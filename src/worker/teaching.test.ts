import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { taughtStory } from '../core/taught.js'
import { defineJob, type HandlerOptions, type JobContext, type JobHandler, Permanent, until } from '../define/index.js'
import { type Caller, LOCAL } from '../engine/api.js'
import type { TeachBody } from '../engine/teaching-api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ n: z.number().default(0) }) })
const strict = defineJob('strict', {
  input: z.object({ n: z.number().default(0) }),
  output: z.object({ pages: z.number() }),
})
const quick = until({ backoff: { from: '1m', to: '1m' } })
type Fn = (job: JobContext<{ n: number }>) => unknown
const of = (fn: Fn, options: HandlerOptions<any, any> = {}, definition: any = work) =>
  definition.handler({ retry: quick, ...options }, fn as never) as unknown as JobHandler
const MARA: Caller = {
  ...LOCAL,
  actor: { kind: 'apiKey', id: 'key_1', name: 'ops' },
  person: { id: 'u-7', name: 'Mara' },
}

const odd = (n = 7, more: object = {}) => Object.assign(new Error(`font substitution on page ${n}`), more)
const failures = async (rig: TestRig, type?: string) => (await rig.engine.teaching.list(LOCAL, { type })).items
const counted = async (rig: TestRig) => (await failures(rig)).map(({ words, count }) => [words, count])
const attempts = async (rig: TestRig, id: string) =>
  (await rig.engine.attempts(LOCAL, id)).map(({ outcome, verdict, rule }) =>
    [outcome, verdict, rule].filter(Boolean).join(' '),
  )
async function submitted(rig: TestRig, n = 0, type = 'work') {
  const { id } = await rig.submit(type, { n })
  await rig.settle()
  return id
}
/** Teaches about the only failure there is. */
async function teach(rig: TestRig, body: Partial<TeachBody> = {}) {
  const [failure] = await failures(rig)
  return rig.engine.teaching.teach(MARA, failure!.fingerprint, {
    verdict: 'permanent',
    reason: 'noise of the engine',
    ...body,
  })
}
const TAUGHT = 'taught[1] by Mara on 2026-11-22: noise of the engine'

describe('what is counted', () => {
  it('an error that no rule decides, once per attempt, with its share of jobs and inputs', async () => {
    const rig = await open(
      of(({ input }) => {
        if (input.n > 0) throw odd(input.n)
      }),
    )
    await submitted(rig, 1)
    await submitted(rig, 1)
    await submitted(rig, 2)
    await submitted(rig, 0)
    const [failure] = await failures(rig)
    expect(failure).toMatchObject({
      ...{ type: 'work', words: 'font substitution on page <n>', count: 3, jobs: 3, inputs: 2 },
      ...{ verdict: 'transient', rule: 'default transient', taught: null },
      example: { message: 'font substitution on page 2', attempt: 1 },
    })
    await rig.advance('2m')
    const { count, jobs, recent, firstSeenAt, lastSeenAt } = await rig.engine.teaching.get(LOCAL, failure!.fingerprint)
    expect(count).toBeGreaterThan(3)
    expect([jobs, recent]).toEqual([3, { jobs: 4, met: 3 }])
    expect(firstSeenAt < lastSeenAt).toBe(true)
  })

  it.each<[string, JobHandler]>([
    ['a verdict that is thrown', of(() => Promise.reject(new Permanent('no')))],
    ['a rule of the type', of(() => Promise.reject(odd()), { errors: [{ match: 'font', is: 'permanent' }] })],
    [
      'a rule of the step',
      of((job) =>
        job.step(
          's',
          () => {
            throw odd()
          },
          { errors: [{ match: 'font', is: 'permanent' }] },
        ),
      ),
    ],
    ['no error at all', of(() => null)],
    [
      'one that the handler caught',
      of((job) =>
        job
          .step('s', () => {
            throw odd()
          })
          .catch(() => null),
      ),
    ],
  ])('%s counts nothing', async (_, handler) => {
    const rig = await open(handler)
    await submitted(rig)
    expect(await counted(rig)).toEqual([])
  })

  it('what the code supposes of known codes is counted: nobody has said it for this type', async () => {
    const rig = await open(of(() => Promise.reject(odd(1, { status: 404 }))))
    const id = await submitted(rig)
    expect(await attempts(rig, id)).toEqual(['error permanent built-in http-status 404'])
    expect((await failures(rig))[0]).toMatchObject({ count: 1, verdict: 'permanent', rule: 'built-in http-status 404' })
  })

  it.each([
    ...[1, 2, 3].map((nth) => ({ op: 'move' as const, when: 'before' as const, nth })),
    ...[1, 2, 3].map((nth) => ({ op: 'move' as const, when: 'after' as const, nth })),
  ])('as many as there are attempts that ended in it, whenever the process dies: $when move $nth', async (point) => {
    const rig = await open(
      of(() => Promise.reject(odd()), { retry: until({ attempts: 3, backoff: { from: '1s', to: '1s' } }) }),
    )
    const dying = rig.crashAt(point)
    const { id } = await rig.submit('work', {})
    for (let n = 0; n < 90 && rig.alive; n++) await rig.advance('1s')
    expect(rig.alive).toBe(false)
    await dying
    await rig.restart()
    expect((await rig.untilDone(id)).status).toBe('failed')
    const ended = (await rig.engine.attempts(LOCAL, id)).filter(({ outcome }) => outcome === 'error')
    expect(await counted(rig)).toEqual([['font substitution on page <n>', ended.length]])
  })

  it('an attempt that was told to stop fails because of that', async () => {
    const rig = await open(
      of((job) => new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(odd())))),
    )
    const id = await submitted(rig)
    await rig.engine.cancel(LOCAL, id, {})
    expect((await rig.untilDone(id)).status).toBe('cancelled')
    expect(await counted(rig)).toEqual([])
  })
})

describe('what is taught', () => {
  it('decides at the next error, wherever the job is, and is recorded with the attempt', async () => {
    const rig = await open(of(({ input }) => Promise.reject(odd(input.n))))
    const id = await submitted(rig, 3)
    expect(await attempts(rig, id)).toEqual(['error transient default transient'])
    const { rule, matched } = await teach(rig)
    expect([rule!.id, rule!.by.name, matched]).toEqual([1, 'Mara', 1])
    const job = await rig.untilDone(id)
    expect([job.status, job.error!.class]).toEqual(['failed', 'permanent'])
    expect((await attempts(rig, id)).at(-1)).toBe(`error permanent ${TAUGHT}`)
    expect((await failures(rig))[0]).toMatchObject({ count: 2, verdict: 'permanent', rule: TAUGHT, taught: 1 })
    expect((await rig.engine.teaching.rules(LOCAL, {}))[0]).toMatchObject({ used: 1, inForce: true })
  })

  it('harmless: the step goes on with its value; the story says who taught it, to those who hear of the inside', async () => {
    const rig = await open(
      of(async (job) => {
        await job.step(
          'render',
          () => {
            throw odd(job.input.n)
          },
          { onHarmless: null },
        )
        return 'done'
      }),
    )
    const first = await submitted(rig, 1)
    await teach(rig, { verdict: 'harmless' })
    const job = await rig.untilDone(first)
    expect([job.status, job.warnings.map(({ message, step }) => [message, step])]).toEqual([
      'completed',
      [['font substitution on page 1', 'render']],
    ])
    expect((await failures(rig))[0]).toMatchObject({ count: 2, verdict: 'harmless' })
    const heard = async (voice: 'caller' | 'support' | 'operator') =>
      (await rig.engine.story(LOCAL, first, voice)).happened
        .map(({ text }) => text)
        .find((text) => text.startsWith('Note'))
    const note = 'Note handler-error: font substitution on page 1.'
    expect(await heard('caller')).toBe(note)
    expect(await heard('support')).toBe(`${note} ${taughtStory(TAUGHT)}.`)
    expect(await heard('operator')).toBe(`${note} ${taughtStory(TAUGHT)}.`)
  })

  it('harmless out of the handler needs a result that fits; if there is none, the attempt says why it is tried again', async () => {
    const rig = await open([of(() => Promise.reject(odd())), of(() => Promise.reject(odd()), {}, strict)])
    const [plain, fits] = [await submitted(rig), await submitted(rig, 0, 'strict')]
    for (const { fingerprint } of await failures(rig))
      await rig.engine.teaching.teach(MARA, fingerprint, { verdict: 'harmless', reason: 'noise of the engine' })
    expect((await rig.untilDone(plain)).status).toBe('completed')
    await rig.advance('1m')
    expect((await attempts(rig, fits)).at(-1)).toMatch(
      /^error transient taught\[\d\] by Mara on 2026-11-22: noise of the engine \(harmless-without-result\)$/,
    )
  })

  it('review: the job is blocked, and told so in words', async () => {
    const rig = await open(of(() => Promise.reject(odd())))
    const id = await submitted(rig)
    await teach(rig, { verdict: 'review' })
    await rig.advance('2m')
    expect((await rig.get(id)).status).toBe('blocked')
    const { happened, headline } = await rig.engine.story(LOCAL, id, 'support')
    expect(happened.at(-1)!.text).toContain('Taught by Mara on 2026-11-22: noise of the engine.')
    expect(headline).toContain('Needs review')
    expect((await rig.engine.story(LOCAL, id, 'operator')).headline).toContain('taught by Mara on 2026-11-22')
    for (const voice of ['caller', 'endUser'] as const)
      expect(
        JSON.stringify(
          await rig.engine.story(LOCAL, id, voice).then(({ happened, headline, why }) => [happened, headline, why]),
        ),
      ).not.toContain('Mara')
  })

  it('an item of a map whose error is harmless is left out, with a warning, whatever is tolerated', async () => {
    const rig = await open(
      of(
        async (job) =>
          await job.map('pages', [1, 2, 3], (n) => {
            if (n === 2) throw odd(n)
            return n * 10
          }),
        {},
      ),
    )
    const id = await submitted(rig)
    await teach(rig, { verdict: 'harmless' })
    const job = await rig.untilDone(id)
    expect([job.status, job.result]).toEqual(['completed', [10, null, 30]])
    expect(job.warnings.map(({ message, step }) => [message, step])).toEqual([
      ['font substitution on page 2', 'pages/1'],
    ])
    expect((await failures(rig))[0]!.count).toBe(2)
  })

  it('of one version of an engine only that version', async () => {
    const of53 = (n: number) => odd(n, { details: { engine: 'tess', engineVersion: n === 1 ? '5.3.2' : '5.4.0' } })
    const rig = await open(of(({ input }) => Promise.reject(of53(input.n))))
    const old = await submitted(rig, 1)
    await teach(rig, { engine: { name: 'tess', versions: '5.3.x' } })
    const other = await submitted(rig, 2)
    await rig.advance('1m')
    expect((await rig.get(old)).status).toBe('failed')
    expect(await attempts(rig, other)).not.toContain(`error permanent ${TAUGHT}`)
  })

  it('is there after a death, and never changes a job that is done', async () => {
    const rig = await open(of(() => Promise.reject(odd())))
    const done = await submitted(rig)
    await teach(rig)
    const before = await rig.untilDone(done)
    await rig.crash()
    await rig.restart()
    const next = await submitted(rig)
    expect(await attempts(rig, next)).toEqual([`error permanent ${TAUGHT}`])
    await rig.engine.teaching.forget(MARA, 1, 'wrong')
    const last = await submitted(rig)
    expect(await attempts(rig, last)).toEqual(['error transient default transient'])
    expect(await rig.get(done)).toEqual(before)
  })

  it('what another process has taught is heard of within seconds', async () => {
    const rig = await open(of(() => Promise.reject(odd())))
    const id = await submitted(rig)
    const [failure] = await failures(rig)
    const rule = {
      tenant: 'default',
      type: 'work',
      when: { fingerprint: failure!.fingerprint },
      is: 'permanent' as const,
      reason: 'x',
    }
    await rig.store.rules.teach({ ...rule, by: LOCAL.actor }, () => ({
      ...{ tenant: 'default', actor: LOCAL.actor, action: 'rule.teach', target: 'rule/1', reason: 'x', details: null },
    }))
    await rig.advance('1m')
    await rig.advance('1m')
    expect((await rig.get(id)).status).toBe('failed')
  })
})
