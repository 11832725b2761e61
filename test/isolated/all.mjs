// A job with every call there is, in a process of its own.
import { defineJob, Permanent, until } from 'untildone/define'
import { z } from 'zod'

const isolate = { module: import.meta.url }
const retry = until({ backoff: { from: '1ms', to: '1ms' } })
const please = {
  ...{ summary: 'Go on?', because: 'It is time.', impact: 'It goes on', rollback: 'None is needed', data: {} },
  writes: [{ target: 'world', operation: 'go', object: 'on', change: { on: { now: false, after: true } } }],
  evidence: [{ label: 'Clock', quote: 'Noon', version: '1' }],
}

export const page = defineJob('page', { input: z.object({ n: z.number() }), output: z.number() })
export const pageHandler = page.handler({ retry }, async (job) => {
  await job.sleep('render', '20ms')
  return job.input.n * 2
})

export const all = defineJob('all', {
  input: z.object({ fails: z.boolean() }),
  stages: ['gather', 'pay', 'close'],
  approvals: { payout: z.object({}) },
  signals: { replied: z.object({ text: z.string() }) },
})
export const allHandler = all.handler({ isolate, retry }, async (job) => {
  const order = await job.stage('gather', async () => {
    const [pages, { value: text }, parts] = await Promise.all([
      Promise.all([1, 2, 3].map((n) => job.call(page, { n }, { name: `page ${n}` }))),
      job.first('read', {
        fast: () => job.step('scan', () => 'scan').then(() => Promise.reject(new Permanent('no'))),
        robust: async () => {
          await job.sleep('warm up', '20ms')
          return job.step('scan', ({ key }) => `scan ${key.length > 0}`, { undo: () => undefined })
        },
      }),
      job.map('part', ['a', 'b', 'c'], (part) => `part ${part}`, { key: (part) => part }),
    ])
    return { pages, text, parts }
  })
  await job.stage('pay', { queue: 'payments', timeout: '5d' }, async () => {
    await job.read('stock', () => 1)
    await job.read('permissions', () => ['pay'])
    await job.step('reserve', () => 'reserved', { undo: () => undefined })
    const approved = await job.approve('payout', () => please)
    if (approved.outcome !== 'approved') throw new Permanent('nobody said yes')
    await job.step('pay', () => 'paid', {
      ...{ effect: 'once', approvedBy: approved, before: () => 1 },
      ...{ confirm: () => ({ happened: false }), undo: () => undefined },
    })
    job.decision({ model: 'm', version: '1', tools: [], path: 'pay' })
    const answer = await job.callback('courier', { timeout: '2d' })
    await job.step('order courier', () => answer.url)
    const [came, reply] = await Promise.all([answer.result(), job.waitFor('replied', { timeout: '2d' })])
    job.log('Both are there', { came, reply })
  })
  return job.stage('close', { queue: 'default' }, async () => {
    job.progress('close', { completed: 1, total: 1 })
    const patience = await Promise.race([
      job.sleep('patience', '30ms').then(() => 'patience'),
      job.sleep('for ever', '9d').then(() => 'for ever'),
    ])
    if (job.input.fails) throw new Permanent('refused at the end', { code: 'refused' })
    const bytes = await job.step('receipt', async () => {
      const { path, name } = await job.open(await job.file(Buffer.from('receipt'), { name: 'receipt.txt' }))
      const printed = await job.file(path)
      return { name, same: printed.length > 0 }
    })
    const said = await job.process('echo', {
      ...{ command: process.execPath, args: ['-e', 'console.error("line"); console.log("out")'] },
      parse: ({ stdout }) => ({ said: stdout.trim() }),
      onLine: (line) => job.warn('line', line),
    })
    return { ...order, patience, bytes, ...said }
  })
})
