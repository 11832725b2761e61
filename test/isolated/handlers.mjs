// Handlers that run in processes of their own, each with a way to misbehave. Plain JavaScript, as a program has it.
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { defineJob, Permanent, until } from 'untildone/define'
import { z } from 'zod'

const isolate = { module: import.meta.url, grace: '500ms' }
const quick = until({ backoff: { from: '1ms', to: '1ms' } })
const input = z.object({ how: z.string().default(''), file: z.string().default('') })
const signals = { go: z.object({ n: z.number() }) }
const said = (file, text) => appendFileSync(file, `${text}\n`)
const spin = () => {
  for (;;);
}

export const steps = defineJob('steps', { input, signals })
export const stepsHandler = steps.handler({ isolate, retry: quick }, async (job) => {
  const { file, how } = job.input
  const a = await job.step('a', ({ key, attempt }) => {
    said(file, `a ${attempt}`)
    return { pid: process.pid, key: key.length > 0, at: new Date(0) }
  })
  if (job.attempt === 1) await misbehave(how, job)
  const [b, c] = await Promise.all([job.step('b', async () => [1, { $: 'x' }]), job.step('b', () => undefined)])
  const items = await job.map('items', [{ f: () => 7 }, { f: () => 8 }], (item) => item.f(), {
    key: (item) => `n${item.f()}`,
  })
  const { engine, value } = await job.first('read', {
    fast: () => {
      throw new Permanent('no')
    },
    slow: () => job.step('inside', () => 'text'),
  })
  const live = await job.read('live', () => new Map([[1, 2]]))
  return { a, b, c: c === undefined, items, engine, value, live: live instanceof Map, same: a.pid === process.pid }
})

export const wait = defineJob('wait', { input, signals })
export const waitHandler = wait.handler({ isolate, retry: quick }, async (job) => {
  said(job.input.file, `attempt ${job.attempt} ${process.pid}`)
  await job.sleep('rest', '50ms')
  const { payload } = await job.waitFor('go')
  return { n: payload.n, attempts: job.attempt }
})

export const bad = defineJob('bad', { input })
export const badHandler = bad.handler({ isolate, retry: until({ attempts: 1 }) }, async (job) =>
  misbehave(job.input.how, job),
)

export const limited = defineJob('limited', { input })
export const limitedHandler = limited.handler(
  {
    isolate: { ...isolate, heapMb: 40, limits: { rssMb: 300 } },
    retry: until({ attempts: 1 }),
  },
  async (job) => misbehave(job.input.how, job),
)

export const stalling = defineJob('stalling', { input })
export const stallingHandler = stalling.handler(
  { isolate: { ...isolate, limits: { stall: '400ms' } }, retry: until({ attempts: 1 }) },
  async (job) => misbehave(job.input.how, job),
)

export const fallback = defineJob('fallback', { input })
export const fallbackHandler = fallback.handler({ isolate, retry: quick }, async (job) => {
  const errors = [{ signal: 'SIGSEGV', is: 'permanent', as: 'engine-crashed' }]
  return job.first(
    'read',
    { native: () => process.kill(process.pid, 'SIGSEGV') && new Promise(() => {}), plain: () => 'text' },
    { errors },
  )
})

export const together = defineJob('together', { input })
export const togetherHandler = together.handler(
  { isolate, retry: quick, errors: [{ signal: 'SIGSEGV', is: 'transient' }] },
  async (job) =>
    job.map(
      'items',
      [0, 1, 2],
      async (i, { attempt }) => {
        if (attempt > 1) return i
        if (i === 2) process.kill(process.pid, 'SIGSEGV')
        return new Promise(() => {})
      },
      { tolerate: 3 },
    ),
)

export const tolerant = defineJob('tolerant', { input })
export const tolerantHandler = tolerant.handler(
  { isolate, retry: quick, errors: [{ signal: 'SIGSEGV', is: 'permanent', as: 'bad-item' }] },
  async (job) =>
    job.map(
      'items',
      [0, 1, 2, 3],
      (i) => {
        if (i === 1) process.kill(process.pid, 'SIGSEGV')
        return i === 1 ? new Promise(() => {}) : i
      },
      { tolerate: 3, concurrency: 1 },
    ),
)

export const timed = defineJob('timed', { input })
export const timedHandler = timed.handler(
  { isolate, retry: until({ attempts: 1 }), timeout: { attempt: '3s' } },
  async (job) => misbehave(job.input.how, job),
)

export const draining = defineJob('draining', { input })
export const drainingHandler = draining.handler({ isolate, retry: quick }, async (job) => {
  const { file } = job.input
  await job.step('first', async () => {
    said(file, `first ${process.pid}`)
    while (!job.draining && job.attempt === 1) await new Promise((resolve) => setTimeout(resolve, 10))
  })
  return job.step('second', () => job.attempt)
})

export const undo = defineJob('undo', { input })
export const undoHandler = undo.handler({ isolate, retry: until({ attempts: 1 }) }, async (job) => {
  const { file } = job.input
  await job.step('one', () => 1, { undo: (value) => said(file, `undo ${value}`) })
  await job.step('two', () => 2, { undo: (value) => said(file, `undo ${value}`) })
  throw new Permanent('no further', { code: 'no-further', details: { why: 'test' } })
})

async function misbehave(how, job) {
  const { file } = job.input
  switch (how) {
    case 'segv':
      process.kill(process.pid, 'SIGSEGV')
      return new Promise(() => {})
    case 'segv-in-step':
      return job.step(
        'crash',
        () => {
          process.kill(process.pid, 'SIGSEGV')
          return new Promise(() => {})
        },
        { errors: [{ signal: 'SIGSEGV', is: 'permanent', as: 'crashed-there' }] },
      )
    case 'exit':
      return job.step('exit', () => process.exit(0))
    case 'dies-at-exit':
      process.on('exit', () => process.kill(process.pid, 'SIGSEGV'))
      return 'done'
    case 'throw':
      return (
        setTimeout(() => {
          throw new Error('nobody waits for this')
        }) && new Promise(() => {})
      )
    case 'spin':
      writeFileSync(file, String(process.pid))
      return job.step('spin', spin)
    case 'hang':
      writeFileSync(file, String(process.pid))
      return job.step(
        'hang',
        ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      )
    case 'unjson': {
      const round = {}
      round.round = round
      return job.step('unjson', () => round)
    }
    case 'heap': {
      const all = []
      for (;;) all.push(new Array(10_000).fill(Math.random()))
    }
    case 'memory': {
      const all = []
      for (;;) {
        all.push(Buffer.alloc(20_000_000, 1))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    case 'nested':
      return job.step('outer', () => job.step('inner', () => 1))
    case 'zod':
      return z.object({ a: z.string() }).parse({ a: 1 })
    case 'code':
      throw Object.assign(new Error('no connection'), { code: 'ECONNRESET', status: 503 })
    case 'wait-for-file':
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10))
      return 'there'
    default:
      return null
  }
}
