/** docs/guide/waiting.md: what its snippets really do. */
import { type JobHandler, LOCAL } from 'untildone'
import { createServer, listen } from 'untildone/server'
import { assertReplaySafe, createTestRig, type ReplayOptions, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { contract, contractHandler } from './beside.js'
import { catalogue, catalogueHandler, pageHandler } from './call.js'
import { scan, scanHandler } from './callback.js'
import { mail, printer, recogniser, resetAll } from './far-side.js'
import { newsletter, newsletterHandler } from './map.js'
import { question, questionHandler } from './race.js'
import { trial, trialHandler } from './sleep.js'
import { order, orderHandler } from './wait-for.js'

let rig: TestRig
beforeEach(resetAll)
afterEach(() => rig?.close())
const open = async (...handlers: JobHandler<any, any>[]) => {
  rig = await createTestRig(handlers as JobHandler[])
}

it('sleep: a week without a worker, over a restart', async () => {
  await open(trialHandler)
  const { id } = await rig.submit(trial, { to: 'Ada' })
  await rig.advance('3d')
  expect(rig.app.running).toBe(0)
  expect(await rig.get(id)).toMatchObject({
    status: 'processing',
    statusText: 'Being worked on. Goes on at 09:00 UTC on 29 Nov 2026.',
  })
  await rig.crash()
  await rig.restart()
  await rig.advance('3d')
  expect(mail.done).toEqual(['Welcome, Ada'])
  await rig.advance('1d')
  expect(mail.done).toEqual(['Welcome, Ada', 'How is it going, Ada?'])
  expect((await rig.get(id)).status).toBe('completed')
})

describe('waitFor', () => {
  it('goes on with what the signal brought', async () => {
    await open(orderHandler)
    const { id } = await rig.submit(order, { article: 'lamp', to: 'Ada' })
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      blockedOn: [{ kind: 'signal', title: 'Waiting for the signal "paid".' }],
    })
    // #region signal
    await rig.engine.signal(LOCAL, id, 'paid', { payload: { by: 'card' }, signalId: 'payment-771' })
    // #endregion
    expect((await rig.untilDone(id)).result).toEqual({ paidBy: 'card' })
  })

  it('finds a signal that came before the job was ready for it, and takes a repeat for what it is', async () => {
    await open(orderHandler)
    const { id } = await rig.submit(
      order,
      { article: 'lamp', to: 'Ada' },
      { runAt: new Date(rig.clock.now() + 60_000) },
    )
    const early = { payload: { by: 'card' }, signalId: 'payment-771' }
    expect(await rig.engine.signal(LOCAL, id, 'paid', early)).toEqual({ delivered: false })
    expect(await rig.engine.signal(LOCAL, id, 'paid', early)).toEqual({ delivered: false })
    expect((await rig.untilDone(id)).result).toEqual({ paidBy: 'card' })
  })

  it('ends by its timeout', async () => {
    await open(orderHandler)
    const { id } = await rig.submit(order, { article: 'lamp', to: 'Ada' })
    expect(await rig.untilDone(id, '15d')).toMatchObject({ status: 'failed', error: { code: 'not-paid' } })
  })
})

describe('callback', () => {
  it('is answered by a POST to its URL, once', async () => {
    await open(scanHandler)
    const listening = await listen(createServer(rig.engine), { port: 0 })
    const { id } = await rig.submit(scan, { page: 'p1' })
    await rig.settle()
    const url = recogniser.waiting.get('p1')!.replace('http://localhost:4884', listening.url)
    const post = (body: unknown) =>
      fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    // #region answer
    const answer = await post({ outcome: 'completed', payload: { text: 'Dear Sir or Madam' } })
    // #endregion
    expect(answer.status).toBe(200)
    expect((await rig.untilDone(id)).result).toEqual({ text: 'Dear Sir or Madam' })
    expect((await post({ outcome: 'completed', payload: { text: 'Dear Sir or Madam' } })).status).toBe(200)
    expect((await post({ outcome: 'completed', payload: { text: 'other' } })).status).toBe(409)
    await listening.close()
  })

  it('says when nobody calls back', async () => {
    await open(scanHandler)
    const { id } = await rig.submit(scan, { page: 'p1' })
    await rig.advance('61m')
    const { lastError } = (await rig.get(id)).ops!
    expect(lastError).toMatchObject({ class: 'transient', message: 'The recogniser never answered.' })
    expect(recogniser.calls.begin).toBe(1)
  })
})

describe('call', () => {
  it('fans out, and says what is missing', async () => {
    await open(catalogueHandler, pageHandler)
    const { id } = await rig.submit(catalogue, { pages: ['lamps and shades', '', 'chairs'] })
    expect((await rig.untilDone(id)).result).toEqual({ sheets: 3, missing: ['page 2: The page is empty.'] })
    const { items } = await rig.engine.list(LOCAL, { parentId: id })
    expect(items.map(({ type, status }) => `${type} ${status}`).sort()).toEqual([
      ...['page completed', 'page completed', 'page failed'],
    ])
  })

  it('cancels its children when it is cancelled', async () => {
    rig = await createTestRig([catalogueHandler, pageHandler] as never, { worker: { queues: ['default'] } })
    const { id } = await rig.submit(catalogue, { pages: ['lamps', 'chairs'] })
    await rig.settle()
    await rig.engine.cancel(LOCAL, id, { reason: 'No more paper.' })
    await rig.advance('1m')
    const { items } = await rig.engine.list(LOCAL, { parentId: id })
    expect(items.map(({ error }) => error?.code)).toEqual(['parent-cancelled', 'parent-cancelled'])
  })
})

it('map: each item once, a bad one is a warning', async () => {
  await open(newsletterHandler)
  const readers = ['a@example.com', 'nowhere', 'c@example.com'].map((address, i) => ({ id: `r-${i}`, address }))
  const { id } = await rig.submit(newsletter, { readers })
  expect(await rig.untilDone(id)).toMatchObject({
    status: 'completed',
    statusText: 'Completed, with notes.',
    result: { sent: 2 },
    warnings: [{ code: 'bad-address', step: 'mail/r-1' }],
  })
  expect(mail.done).toEqual(['News for a@example.com', 'News for c@example.com'])
  const worse = readers.map((reader) => ({ ...reader, address: 'nowhere' }))
  const other = await rig.submit(newsletter, { readers: worse })
  expect(await rig.untilDone(other)).toMatchObject({ status: 'failed', error: { code: 'bad-address' } })
})

describe('a race', () => {
  it('is won by the clock for ever, and its loser is still waited for', async () => {
    await open(questionHandler)
    const { id } = await rig.submit(question, { to: 'Ada' })
    await rig.advance('3d')
    await rig.signal(id, 'answered', { text: 'yes' })
    expect((await rig.untilDone(id)).result).toEqual({ answer: 'yes', reminded: true })
    expect(mail.done).toEqual(['Ada, shall we?', 'Ada, shall we after all?'])
  })

  it('is won by an answer in time', async () => {
    await open(questionHandler)
    const { id } = await rig.submit(question, { to: 'Ada' })
    await rig.advance('1d')
    await rig.signal(id, 'answered', { text: 'yes' })
    expect((await rig.untilDone(id)).result).toEqual({ answer: 'yes', reminded: false })
  })
})

it('what works beside a wait is done before the job stands still', async () => {
  await open(contractHandler)
  const { id } = await rig.submit(contract, { text: 'We agree.' })
  await rig.settle()
  expect(mail.done).toEqual(['2 sheets are ready to be signed'])
  expect((await rig.get(id)).status).toBe('blocked')
  await rig.signal(id, 'signed', { by: 'Grace' })
  expect((await rig.untilDone(id)).result).toEqual({ sheets: 2, signedBy: 'Grace' })
  expect(printer.calls.print).toBe(1)
})

describe('can be interrupted anywhere', () => {
  const answers: Record<string, (rig: TestRig, id: string) => Promise<unknown>> = {
    order: (rig, id) => rig.signal(id, 'paid', { by: 'card' }),
    question: (rig, id) => rig.signal(id, 'answered', { text: 'yes' }),
    contract: (rig, id) => rig.signal(id, 'signed', { by: 'Grace' }),
    scan: (rig, id) => rig.callback(id, 'recognised', { outcome: 'completed', payload: { text: 'Dear Sir' } }),
  }
  const answer: ReplayOptions['answer'] = (job, rig) => answers[job.type]!(rig, job.id)
  const readers = [
    { id: '1', address: 'a@example.com' },
    { id: '2', address: 'nowhere' },
  ]
  it.each<[JobHandler<any, any>, unknown]>([
    [trialHandler, { to: 'Ada' }],
    [orderHandler, { article: 'lamp', to: 'Ada' }],
    [scanHandler, { page: 'p1' }],
    [pageHandler, { text: 'lamps' }],
    [catalogueHandler, { pages: ['lamps', ''] }],
    [newsletterHandler, { readers }],
    [questionHandler, { to: 'Ada' }],
    [contractHandler, { text: 'We agree.' }],
  ])('%#', async (handler, input) => {
    const handlers = [pageHandler].filter((other) => other !== handler) as JobHandler<any, any>[]
    await assertReplaySafe(handler, input as never, { reset: resetAll, answer, handlers, maxCrashes: 40 })
  })
})
