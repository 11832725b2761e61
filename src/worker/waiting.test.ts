import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const input = z.object({ n: z.number().default(0) })
const eventsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.history(LOCAL, id, {})).items.map(({ event }) => event)
const send = (rig: TestRig, jobId: string, name: string, payload: unknown, signalId = name) =>
  rig.store.signal({
    ...{ jobId, tenant: 'default', name, signalId, payload: JSON.stringify(payload) },
    ...{ actor: { kind: 'user', id: 'u-1' } as const, limit: 100 },
  })

const rest = defineJob('rest', { input })

describe('sleep', () => {
  const nap = defineJob('nap', { input })

  it('goes on at its instant, without a worker, and over a crash', async () => {
    const ran: string[] = []
    const rig = await open(
      nap.handler(async (job) => {
        await job.step('before', () => void ran.push('before'))
        await job.sleep('a day', '1d')
        await job.step('after', () => void ran.push('after'))
        return 'rested'
      }) as never,
    )
    const began = rig.clock.now()
    const { id } = await rig.submit(nap, {})
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'processing', ops: { phase: 'waiting', workerId: null } })
    expect(rig.app.running).toBe(0)
    await rig.advance('12h')
    await rig.crash()
    await rig.restart()
    await rig.advance('11h')
    expect(ran).toEqual(['before'])
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 'rested' })
    expect(Date.parse(job.finishedAt!) - began).toBe(86_400_000)
    expect(ran).toEqual(['before', 'after'])
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'suspended', 'woken', 'claimed', 'succeeded'])
  })

  it('in one branch leaves the steps of another to their end', async () => {
    let finish = () => {}
    const rig = await open(
      nap.handler(async (job) => {
        const [, made] = await Promise.all([
          job.sleep('short', '1m'),
          job.step(
            'long',
            () =>
              new Promise<string>((resolve) => {
                finish = () => resolve('made')
              }),
          ),
        ])
        return made
      }) as never,
    )
    const { id } = await rig.submit(nap, {})
    await rig.settle()
    expect((await rig.get(id)).ops!.phase).toBe('running')
    expect((await rig.store.waits(id)).map(({ key }) => key)).toEqual(['short'])
    finish()
    await rig.settle()
    expect((await rig.get(id)).ops!.phase).toBe('waiting')
    expect((await rig.untilDone(id)).result).toBe('made')
  })

  it('cannot be swallowed by a catch, and costs no attempt of the budget', async () => {
    let caught = 0
    const rig = await open(
      nap.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        for (const name of ['a', 'b', 'c'])
          try {
            await job.sleep(name, '1h')
          } catch {
            caught++
          }
        return 'ok'
      }) as never,
    )
    const { id } = await rig.submit(nap, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'ok' })
    expect(caught).toBe(0)
  })
})

describe('first beside a wait', () => {
  it('an engine is at work until it waits itself, and what follows it comes before the wait is over', async () => {
    const ran: string[] = []
    const rig = await open(
      rest.handler(async (job) => {
        const engines = {
          fast: async () => {
            for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
            ran.push(`fast ${job.attempt}`)
            throw new Permanent('not for me')
          },
          slow: async () => {
            await job.stage('slow', async () => job.step('render', () => void ran.push(`slow ${job.attempt}`)))
            return 'slow'
          },
        }
        const branch = async () => {
          const { value } = await job.first('read', engines)
          await job.step('after', () => void ran.push(`after ${job.attempt}`))
          return value
        }
        const [value] = await Promise.all([branch(), job.sleep('a day', '1d')])
        return value
      }) as never,
    )
    const { id } = await rig.submit(rest, {})
    await rig.settle()
    await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'waiting', 'the wait', '1h')
    expect(ran).toEqual(['fast 1', 'slow 1', 'after 1'])
    expect((await rig.untilDone(id, '2d')).result).toBe('slow')
    expect(ran).toHaveLength(3)
    expect(await eventsOf(rig, id)).toEqual(['submitted', 'claimed', 'suspended', 'woken', 'claimed', 'succeeded'])
  })

  it('an engine that waits, at any depth, holds no worker', async () => {
    const rig = await open(
      rest.handler(async (job) =>
        job.first('outer', {
          one: async () =>
            (await job.first('inner', { two: () => job.stage('deep', () => job.sleep('nap', '1h')) })).engine,
        }),
      ) as never,
    )
    const { id } = await rig.submit(rest, {})
    await rig.settle()
    expect((await rig.get(id)).ops).toMatchObject({ phase: 'waiting', workerId: null })
    expect((await rig.untilDone(id)).result).toEqual({ engine: 'one', value: 'two' })
  })
})

describe('a file beside a wait', () => {
  it('is stored once, and the step that takes it comes before the wait is over', async () => {
    let stored = 0
    const rig = await open(
      rest.handler(async (job) => {
        const branch = async () => {
          const file = await job.file(Buffer.from('a letter'))
          stored++
          const { bytes } = await job.open(file)
          return job.step('size', () => bytes)
        }
        const [bytes] = await Promise.all([branch(), job.sleep('a day', '1d')])
        return bytes
      }) as never,
    )
    const { id } = await rig.submit(rest, {})
    await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'waiting', 'the wait', '1h')
    expect([stored, (await rig.store.steps(id)).map(({ key }) => key)]).toEqual([1, ['size']])
    expect((await rig.untilDone(id, '2d')).result).toBe(8)
  })
})

describe('waitFor', () => {
  const ask = defineJob('ask', { input, signals: { answered: z.object({ text: z.string() }) } })
  const handler = ask.handler({ retry: quick }, async (job) => {
    const first = await job.waitFor('answered', { timeout: '2d' })
    return first.timedOut ? 'nobody' : first.payload.text
  }) as never as JobHandler

  it('is blocked until the signal comes, and says for what', async () => {
    const rig = await open(handler)
    const { id } = await rig.submit(ask, {})
    await rig.settle()
    const job = await rig.get(id)
    expect(job).toMatchObject({
      status: 'blocked',
      blockedOn: [{ kind: 'signal', title: 'Waiting for the signal "answered".' }],
    })
    expect(job.blockedOn[0]!.dueAt).toBe(new Date(rig.clock.now() + 2 * 86_400_000).toISOString())
    expect(await send(rig, id, 'answered', { text: 'yes' })).toEqual({ outcome: 'delivered' })
    expect((await rig.untilDone(id)).result).toBe('yes')
  })

  it('finds a signal that came early in the mailbox', async () => {
    const rig = await open(handler)
    const { id } = await rig.submit(ask, {}, { runAt: new Date(rig.clock.now() + 60_000) })
    expect(await send(rig, id, 'answered', { text: 'early' })).toEqual({ outcome: 'buffered' })
    expect(await send(rig, id, 'answered', { text: 'early' })).toEqual({ outcome: 'repeated', delivered: false })
    const job = await rig.untilDone(id)
    expect(job.result).toBe('early')
    expect(Date.parse(job.finishedAt!) - Date.parse(job.createdAt)).toBe(60_000)
  })

  it('ends by its timeout', async () => {
    const rig = await open(handler)
    const { id } = await rig.submit(ask, {})
    const job = await rig.untilDone(id, '3d')
    expect(job.result).toBe('nobody')
    expect(Date.parse(job.finishedAt!) - Date.parse(job.createdAt)).toBe(2 * 86_400_000)
    expect(await send(rig, id, 'answered', { text: 'late' })).toEqual({ outcome: 'finished', status: 'completed' })
  })

  it('a raced wait that lost is over with the job', async () => {
    const rig = await open(
      ask.handler(async (job) =>
        Promise.race([job.waitFor('answered').then(() => 'signal'), job.sleep('limit', '1h').then(() => 'time')]),
      ) as never,
    )
    const { id } = await rig.submit(ask, {})
    expect((await rig.untilDone(id)).result).toBe('time')
    expect(await rig.store.waits(id)).toEqual([])
  })
})

/** A request that is complete. */
const please = {
  summary: 'Go on?',
  because: 'It is time.',
  writes: [{ target: 'world', operation: 'go', object: 'on', change: { on: { now: false, after: true } } }],
  evidence: [{ label: 'Clock', quote: 'Noon', version: '1' }],
  impact: 'It goes on',
  rollback: 'None is needed',
  data: {},
}

describe('a race between waits', () => {
  const race = defineJob('race', { input, signals: { reply: z.object({ text: z.string() }) } })

  it('keeps its winner when the loser arrives later, in whatever order they are written', async () => {
    const won: string[] = []
    const rig = await open(
      race.handler({ retry: quick }, async (job) => {
        const winner = await Promise.race([
          job.waitFor('reply').then(() => 'reply'),
          job.sleep('limit', '1h').then(() => 'limit'),
        ])
        won.push(winner)
        await job.step(`after ${winner}`, () => 1)
        await job.sleep('more', '1h')
        return winner
      }) as never,
    )
    const { id } = await rig.submit(race, {})
    await rig.advance('90m')
    expect(await send(rig, id, 'reply', { text: 'too late' })).toEqual({ outcome: 'delivered' })
    expect((await rig.untilDone(id)).result).toBe('limit')
    expect(won).toEqual(['limit', 'limit', 'limit'])
    expect((await rig.store.steps(id)).map(({ key }) => key).sort()).toEqual(['after limit', 'limit', 'more', 'reply'])
  })

  it('is won by what came first when nobody was there to see either', async () => {
    const rig = await open(
      race.handler(async (job) =>
        Promise.race([job.sleep('limit', '1h').then(() => 'limit'), job.waitFor('reply').then(() => 'reply')]),
      ) as never,
    )
    const { id } = await rig.submit(race, {})
    await rig.settle()
    await rig.restart(undefined, { worker: false })
    await rig.advance('30m')
    await send(rig, id, 'reply', { text: 'in time' })
    await rig.advance('1h')
    await rig.restart(undefined, {})
    expect((await rig.untilDone(id)).result).toBe('reply')
  })

  it('with an approval keeps its winner as well', async () => {
    const asked = defineJob('asked', { input, approvals: { go: z.object({}) } })
    const won: string[] = []
    const rig = await open(
      asked.handler(async (job) => {
        const winner = await Promise.race([
          job.approve('go', please).then(() => 'answer'),
          job.sleep('limit', '1h').then(() => 'limit'),
        ])
        won.push(winner)
        await job.sleep('more', '2h')
        return winner
      }) as never,
    )
    const { id } = await rig.submit(asked, {})
    await rig.advance('90m')
    await rig.approve(id, { by: 'mara' })
    expect((await rig.untilDone(id)).result).toBe('limit')
    expect(new Set(won)).toEqual(new Set(['limit']))
  })

  it('its loser still waits: whoever wants it after all awaits the same promise', async () => {
    const rig = await open(
      race.handler({ retry: quick }, async (job) => {
        const reply = job.waitFor('reply')
        const early = await Promise.race([reply.then(() => true), job.sleep('patience', '1d').then(() => false)])
        if (!early) await job.step('remind', () => 'sent')
        const { payload } = await reply
        return [early, payload?.text]
      }) as never,
    )
    const { id } = await rig.submit(race, {})
    await rig.advance('2d')
    await send(rig, id, 'reply', { text: 'sorry' })
    expect((await rig.untilDone(id)).result).toEqual([false, 'sorry'])
  })

  it('of branches is decided by what they wait for, however many recorded steps follow', async () => {
    const rig = await open(
      race.handler({ retry: quick }, async (job) => {
        const branch = async () => {
          await job.sleep('first', '1h')
          for (let i = 0; i < 50; i++) await job.step('part', () => i)
          return 'branch'
        }
        const winner = await Promise.race([job.sleep('later', '2h').then(() => 'limit'), branch()])
        await job.sleep('more', '2h')
        return winner
      }) as never,
    )
    const { id } = await rig.submit(race, {})
    expect((await rig.untilDone(id)).result).toBe('branch')
  })
})

describe('callback', () => {
  const vendor = defineJob('vendor', { input })

  it('can be answered once, also before the handler waits for it', async () => {
    const urls: string[] = []
    const rig = await open(
      vendor.handler({ retry: quick }, async (job) => {
        const answer = await job.callback('ocr', { timeout: '1d' })
        await job.step('ask', () => void urls.push(answer.url))
        if (job.attempt === 1) throw new Error('again')
        return answer.result()
      }) as never,
    )
    const { id } = await rig.submit(vendor, {})
    await rig.settle()
    expect(urls[0]).toMatch(/^http:\/\/localhost:4884\/v1\/callbacks\/[0-9a-f]{64}$/)
    const value = { outcome: 'completed', payload: { pages: 3 } }
    expect((await send(rig, id, 'callback:ocr', value)).outcome).toBe('buffered')
    expect((await rig.untilDone(id)).result).toEqual(value)
    expect(urls).toHaveLength(1)
  })
})

describe('call', () => {
  const parent = defineJob('parent', { input })
  const child = defineJob('child', { input: z.object({ n: z.number() }), output: z.number() })

  it('runs a child job, holds no slot while it waits, and gets its output', async () => {
    const rig = await open(
      [
        parent.handler(async (job) => (await job.call(child, { n: 20 })) + 1) as never,
        child.handler(async (job) => job.input.n * 2) as never,
      ] as never,
      { worker: { slots: 1 } },
    )
    const { id } = await rig.submit(parent, {}, { group: 'g', onBehalfOf: { id: 'u-7', name: 'Ada' } })
    expect((await rig.untilDone(id)).result).toBe(41)
    const { items } = await rig.engine.list(LOCAL, { parentId: id })
    expect(items).toMatchObject([
      { type: 'child', status: 'completed', groupId: 'g', rootId: id, onBehalfOf: { id: 'u-7', name: 'Ada' } },
    ])
  })

  it('a thousand children of which some fail, one is cancelled and one never starts: it ends as its policy says', async () => {
    const rig = await open(
      [
        parent.handler(async (job) => {
          const ends = await Promise.all(
            Array.from({ length: 1000 }, (_, n) => job.call(child, { n }, { onFailure: 'return', timeout: '1h' })),
          )
          const count: Record<string, number> = {}
          for (const { status } of ends) count[status] = (count[status] ?? 0) + 1
          return count
        }) as never,
        child.handler({ queue: 'slow' }, async (job) => {
          if (job.input.n % 100 === 7) throw new Permanent('no')
          if (job.input.n === 500) await job.sleep('for ever', '30d')
          if (job.input.n === 501) await job.sleep('long', '30d')
          return job.input.n
        }) as never,
      ] as never,
      { worker: { slots: 64 } },
    )
    const { id } = await rig.submit(parent, {})
    await rig.settle()
    const { items } = await rig.engine.list(LOCAL, { parentId: id, status: ['processing'], limit: 200 })
    await rig.engine.cancel(LOCAL, items[0]!.id, {})
    const job = await rig.untilDone(id)
    expect(job.result).toEqual({ completed: 988, failed: 10, cancelled: 1, timeout: 1 })
    await rig.untilIdle()
    expect((await rig.engine.list(LOCAL, { parentId: id, status: ['processing', 'accepted'] })).items).toEqual([])
    const attempts = await rig.engine.attempts(LOCAL, id)
    expect(attempts.length).toBeLessThan(20)
  }, 60_000)

  it('a failed child fails its parent with a code that says so', async () => {
    const rig = await open([
      parent.handler({ retry: quick }, async (job) => job.call(child, { n: 1 })) as never,
      child.handler(async () => {
        throw new Permanent('no such page', { code: 'page-missing' })
      }) as never,
    ] as never)
    const { id } = await rig.submit(parent, {})
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: { code: 'child-failed', details: { status: 'failed', error: { code: 'page-missing' } } },
    })
  })

  it('children end with their parent, unless they are to be left', async () => {
    const rig = await open([
      parent.handler(async (job) => {
        await Promise.race([
          job.call(child, { n: 1 }, { name: 'ends' }),
          job.call(child, { n: 2 }, { name: 'stays', onParentEnd: 'leave' }),
          job.sleep('limit', '1m'),
        ])
      }) as never,
      child.handler(async (job) => {
        await job.sleep('long', '1d')
        return job.input.n
      }) as never,
    ] as never)
    const { id } = await rig.submit(parent, {})
    await rig.untilDone(id)
    await rig.untilIdle('2d')
    const { items } = await rig.engine.list(LOCAL, { parentId: id, order: 'createdAt' })
    expect(items.map(({ status, error }) => [status, error?.code ?? null])).toEqual([
      ['cancelled', 'parent-cancelled'],
      ['completed', null],
    ])
  })
})
