// Every line below a mark must not compile; the marks let the file as a whole compile, and fail the check of types when
// one of them is not needed any more. types.test.ts takes the marks away and counts the errors.
import { defineJob } from 'untildone'
import { createClient } from 'untildone/client'
import { z } from 'zod'

const refund = defineJob('refund', {
  input: z.object({ order: z.string(), amount: z.number() }),
  output: z.object({ receipt: z.string() }),
  stages: ['intake', { name: 'pay', label: 'Paying' }],
  approvals: { payout: z.object({ amount: z.number() }) },
  signals: { replied: z.object({ text: z.string() }) },
})
const child = defineJob('child', { input: z.object({ n: z.number() }), output: z.number() })
const bare = defineJob('bare', { input: z.object({}) })
const request = {
  summary: 'Refund 5 EUR',
  because: 'It came back.',
  writes: [{ target: 'payments', change: { refund: { now: null, after: 5 } } }],
  evidence: [{ label: 'Receipt', quote: 'Returned', version: '1' }],
  impact: 'Money leaves the account',
  rollback: 'Void it',
}
const client = createClient({ url: 'http://localhost:4884' })

// input of a submit
// @ts-expect-error a member is missing
void client.submit(refund, { order: 'A' })
// @ts-expect-error a member has another type
void client.submit(refund, { order: 'A', amount: '5' })
// @ts-expect-error a member is unknown
void client.submit(refund, { order: 'A', amount: 5, amonut: 5 })

// output of a handler
// @ts-expect-error the result lacks a member
refund.handler(async () => ({}))
// @ts-expect-error the result has another type
refund.handler(async () => ({ receipt: 5 }))

refund.handler(async (job) => {
  // @ts-expect-error the input has no such member
  void job.input.ordre
  // @ts-expect-error the stage is not declared
  await job.stage('payout', () => 1)
  // @ts-expect-error progress of a stage that is not declared
  job.progress('paying')
  // @ts-expect-error the signal is not declared
  await job.waitFor('answered')
  const reply = await job.waitFor('replied', { timeout: '1d' })
  // @ts-expect-error the payload may be missing
  void reply.payload.text
  // @ts-expect-error the payload has no such member
  if (!reply.timedOut) void reply.payload.txet
  // @ts-expect-error the child takes a number
  await job.call(child, { n: 'one' })
  const n = await job.call(child, { n: 1 })
  // @ts-expect-error the child gives a number
  n.length
  const end = await job.call(child, { n: 1 }, { onFailure: 'return' })
  // @ts-expect-error there may be no result
  end.result.toFixed()
  // @ts-expect-error an effect that does not exist
  await job.step('a', () => 1, { effect: 'twice' })
  // @ts-expect-error confirm gives another type than the step
  await job.step('a', () => 1, { effect: 'once', confirm: () => ({ happened: true, result: 'one' }) })
  // @ts-expect-error undo takes the value of the step
  await job.step('a', () => 1, { undo: (value: string) => value })
  // @ts-expect-error a harmless error gives another type than the step
  await job.step('a', () => 1, { onHarmless: 'nothing' })
  // @ts-expect-error a decision without its tools
  job.decision({ model: 'm', version: '1', path: 'p' })
  // @ts-expect-error an option that a stage does not have
  await job.stage('intake', { concurrency: 1 }, () => 1)
  // @ts-expect-error a sleep without a name
  await job.sleep('1d')
  const texts = await job.map('page', [1, 2], (page) => page.toFixed())
  // @ts-expect-error a tolerated failure is null
  texts[0].length
  // @ts-expect-error the key is of an item
  await job.map('page', [1, 2], (page) => page, { key: (page) => page.length })
  const answer = await (await job.callback<{ pages: number }>('vendor')).result()
  // @ts-expect-error nobody may have answered
  void answer.payload
  // @ts-expect-error the payload has no such member
  if (answer.outcome === 'completed') void answer.payload.sheets
  // @ts-expect-error the gate is not declared
  await job.approve('refund', request)
  // @ts-expect-error the data of the gate is missing
  await job.approve('payout', request)
  // @ts-expect-error the data of the gate has another type
  await job.approve('payout', { ...request, data: { amount: '5' } })
  // @ts-expect-error the data of the gate lacks a member
  await job.approve('payout', { ...request, data: {} })
  // @ts-expect-error the data of the gate has no such member
  await job.approve('payout', { ...request, data: { amount: 5, currency: 'EUR' } })
  // @ts-expect-error a function that gives other data
  await job.approve('payout', () => ({ ...request, data: { amount: null } }))
  // @ts-expect-error only members of the data may be edited
  await job.approve('payout', { ...request, data: { amount: 5 }, allow: { edit: ['amuont'] } })
  // @ts-expect-error a request says why
  await job.approve('payout', { ...request, because: undefined, data: { amount: 5 } })
  const approval = await job.approve('payout', { ...request, data: { amount: 5 } })
  // @ts-expect-error it may have been refused
  void approval.data.amount
  // @ts-expect-error what was approved has no such member
  if (approval.outcome === 'approved') void approval.data.amuont
  // @ts-expect-error an outcome that does not exist
  void (approval.outcome === 'accepted')
  // @ts-expect-error a member of a child's options that does not exist
  await job.call(child, { n: 1 }, { onFailure: 'ignore' })
  return { receipt: 'R' }
})

bare.handler(async (job) => {
  // @ts-expect-error no signals are declared
  await job.waitFor('anything')
  // @ts-expect-error no gates are declared
  await job.approve('anything', request)
})
