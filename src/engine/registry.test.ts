import { expect, it, vi } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { LOCAL } from './api.js'
import { Registry } from './registry.js'

const open = rigs()
const work = defineJob('work', {
  title: 'Work',
  input: z.object({ n: z.number() }),
  stages: ['read-in', { name: 'b', label: 'Other' }],
})

it('two handlers of one name are refused, and so is what is no handler', () => {
  const handler = work.handler(() => 1 as never) as unknown as JobHandler
  expect(() => new Registry([handler, handler])).toThrow(expect.objectContaining({ code: 'duplicate-job-type' }))
  expect(() => new Registry([{} as never])).toThrow(expect.objectContaining({ code: 'bad-definition' }))
})

it('a failed replacement leaves the types as they were', () => {
  const handler = work.handler(() => 1 as never) as unknown as JobHandler
  const registry = new Registry([handler])
  expect(() => registry.replace([handler, handler])).toThrow()
  expect(registry.all().map(({ name }) => name)).toEqual(['work'])
})

it('the catalogue says what a type asks for and promises', async () => {
  const retry = until({
    within: '2h',
    attempts: 5,
    backoff: { from: '2s', to: '1m', factor: 3 },
    onExhausted: 'review',
  })
  const handler = work.handler(
    {
      ...{ version: '3', queue: 'slow', retry, retention: '2d', requireIdempotencyKey: true },
      errors: [
        { match: /busy/i, is: 'transient' },
        { exit: 3, is: 'permanent', as: 'bad-input' },
      ],
      completion: { mode: 'wait', upTo: '10s' },
    },
    () => 1 as never,
  )
  const rig = await open(handler as unknown as JobHandler, { worker: false })
  expect(await rig.engine.types(LOCAL)).toMatchObject([
    {
      ...{
        type: 'work',
        version: '3',
        title: 'Work',
        description: null,
        queue: 'slow',
        paused: false,
        requireIdempotencyKey: true,
      },
      inputSchema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
      stages: [
        { name: 'read-in', label: 'Read in' },
        { name: 'b', label: 'Other' },
      ],
      completion: { mode: 'wait', upToMs: 10_000 },
      retry: {
        withinMs: 7_200_000,
        maxAttempts: 5,
        backoff: { fromMs: 2000, toMs: 60_000, factor: 3 },
        onExhausted: 'review',
      },
      errorClasses: [
        { match: '/busy/i', is: 'transient', code: null },
        { match: '3', is: 'permanent', code: 'bad-input' },
      ],
      retentionMs: 172_800_000,
    },
  ])
  expect(rig.engine.completionOf('work')).toEqual({ mode: 'wait', upToMs: 10_000 })
  expect(rig.engine.completionOf('nope')).toEqual({ mode: 'background' })
  expect(await rig.engine.health()).toMatchObject({ status: 'ready', checks: { store: 'ok' } })
  const { lanes } = rig.store
  rig.store.lanes = () => Promise.reject(new Error('away'))
  expect(await rig.engine.health()).toMatchObject({ status: 'down', checks: { store: 'unavailable' } })
  const asked = vi.fn(() => new Promise<never>(() => {}))
  rig.store.lanes = asked
  const answers = Promise.all([rig.engine.health(), rig.engine.health()])
  await rig.clock.advance(2000)
  expect((await answers).map(({ status }) => status)).toEqual(['down', 'down'])
  expect(asked).toHaveBeenCalledTimes(1)
  rig.store.lanes = lanes
})
