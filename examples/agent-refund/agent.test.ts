// What the agent makes of a ticket: the reader on many, and a model that is believed only where it can be checked.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from 'untildone/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { agentFrom, type Proposal, readTicket } from './agent/agent.js'
import { Bench, SAM } from './support.js'

const order = {
  ...{ id: 'O-1', customer: 'c', total: 10_000, paidAt: '2026-11-01T00:00:00Z', refundable: 8_000, version: 1 },
  refunds: [],
}
const about = (text: string, wishes: string[] = []) => ({
  order,
  ticket: {
    ...{ id: 'T-1', order: 'O-1', customer: 'c', text, openedAt: '2026-11-20T00:00:00Z' },
    ...{ state: 'open' as const, answer: null, version: 1 },
  },
  wishes,
})

describe('the reader', () => {
  it.each([
    ['It is broken. Refund me.', 8_000, 2, 0],
    ['It is damaged. I want 12,50 € back.', 1_250, 1, 0],
    ['Please refund 12 EUR.', 1_200, 1, 0],
    ['How does it work?', 8_000, 0, 0],
    ["It is broken. But don't refund it.", 8_000, 1, 2],
    ['No refund, please: I like it.', 8_000, 0, 0],
  ])('%s', async (text, amount, evidence, conflicts) => {
    const proposal = await readTicket(about(text))
    expect({ ...proposal, evidence: proposal.evidence.length, conflicts: proposal.conflicts.length }).toMatchObject({
      ...{ amount, evidence, conflicts, model: 'ticket-reader' },
    })
  })

  it('follows the latest wish that names an amount', async () => {
    const wishes = ['Only 60.00 EUR.', '50 EUR, as agreed.', 'And be quick.']
    expect(await readTicket(about('It is broken, 70 EUR.', wishes))).toMatchObject({ amount: 5_000, unsure: [] })
  })
})

describe('a model', () => {
  let server: Server | undefined
  afterEach(() => server?.close())

  /** Answers with these contents, one after the other; a number is a status. */
  async function endpoint(...contents: (string | number | Partial<Proposal> | object)[]) {
    server = createServer((request, response) => {
      request.resume()
      const content = contents.length > 1 ? contents.shift()! : contents[0]!
      const status = typeof content === 'number' ? content : 200
      const text = typeof content === 'object' ? JSON.stringify(content) : String(content)
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify({ model: 'judge-2', choices: [{ message: { content: text } }] }))
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return agentFrom({ OPENAI_BASE_URL: url, OPENAI_MODEL: 'judge' } as NodeJS.ProcessEnv)
  }
  const { signal } = new AbortController()

  it('is believed only what stands in the ticket', async () => {
    const propose = await endpoint({
      ...{ amount: 3_900, why: 'It is broken.', evidence: ['The cup arrived broken.', 'I am the owner.', ' '] },
      conflicts: ['Do not refund.'],
    })
    expect(await propose(about('The cup arrived broken. Please pay.'), { signal })).toEqual({
      ...{ amount: 3_900, why: 'It is broken.', conflicts: [], unsure: [], model: 'judge-2', version: 'judge-2' },
      evidence: [{ label: 'Ticket T-1', quote: 'The cup arrived broken.' }],
      tools: ['shop.order', 'shop.ticket'],
    })
  })

  it.each([
    ['no JSON', 'I would refund it.', /it is not JSON/],
    ['no amount', { why: 'x', evidence: [] }, /amount/],
    ['half a cent', { amount: 0.5, why: 'x', evidence: [] }, /amount/],
  ])('that answers with %s is told apart from a network that fails', async (_, content, message) => {
    const propose = await endpoint(content)
    await expect(propose(about('x'), { signal })).rejects.toMatchObject({
      ...{ code: 'model-answer-invalid', message: expect.stringMatching(message) },
    })
  })

  it('that is busy is asked again', async () => {
    const propose = await endpoint(429, 503, { amount: 3_900, why: 'Broken.', evidence: ['The cup arrived broken.'] })
    const bench = await Bench.open({ propose })
    const id = await bench.submit(1)
    // Real requests: they take their time, whatever the clock of the test says.
    const asked = async () => {
      await bench.rig.advance('1s')
      return bench.asked === 3
    }
    await until(asked, 'the third question', 20_000)
    await until(async () => (await bench.rig.get(id)).status === 'blocked', 'the approval', 20_000)
    expect((await bench.attempts(id)).filter((line) => line === 'error transient')).toHaveLength(2)
    expect(await bench.rig.approval(id)).toMatchObject({ actor: { model: 'judge-2', version: 'judge-2' } })
    await bench.rig.approve(id, { by: SAM })
    expect(await bench.rig.untilDone(id)).toMatchObject({ result: { amount: 3_900 } })
  })

  it('without an endpoint there is the reader', () => {
    expect(agentFrom({} as NodeJS.ProcessEnv)).toBe(readTicket)
  })
})
