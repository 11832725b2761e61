// For the tests of this example: handler and shop in one process with a clock of their own, and what the shop and the job
// say afterwards.
import { LOCAL } from 'untildone'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, expect } from 'vitest'
import { isFinal, TRANSITIONS } from '../../src/core/lifecycle.js'
import { type Propose, readTicket } from './agent/agent.js'
import { approvals } from './agent/policy.js'
import { refund, refundHandler } from './jobs/refund.js'
import { type ShopClient, shopHere } from './shop/client.js'
import { fill } from './shop/samples.js'
import { Shop } from './shop/shop.js'
import { WORKERS } from './start.js'

export const SAM = { id: 'sam', name: 'Sam' }
export const MARA = { id: 'mara', groups: ['support-leads'] }
export const FINN = { id: 'finn', groups: ['finance'] }

type Method = keyof ShopClient
/** Called before a method of the shop; what it throws is the shop's trouble. */
export type Hooks = Partial<Record<Method, (call: number) => unknown>>

export class Bench {
  /** Called before each call of the shop, with its number. */
  hooks: Hooks = {}
  readonly calls = {} as Record<Method, number>
  /** What the latest call of a method was keyed with. */
  readonly keys: Partial<Record<Method, { key: string }>> = {}
  asked = 0

  private constructor(
    readonly shop: Shop,
    readonly client: ShopClient,
  ) {}
  rig!: TestRig

  static async open(options: { propose?: Propose; worker?: typeof WORKERS } = {}): Promise<Bench> {
    const shop = fill(new Shop(':memory:'))
    const client = shopHere(shop)
    const bench = new Bench(shop, client)
    const watched = Object.fromEntries(
      Object.entries(client).map(([name, method]) => [
        name,
        async (...args: unknown[]) => {
          const call = (bench.calls[name as Method] = (bench.calls[name as Method] ?? 0) + 1)
          bench.keys[name as Method] = args.at(-1) as { key: string }
          await bench.hooks[name as Method]?.(call)
          return (method as (...args: unknown[]) => unknown)(...args)
        },
      ]),
    ) as unknown as ShopClient
    const { propose = readTicket, worker = WORKERS } = options
    const counted: Propose = (about, more) => {
      bench.asked++
      return propose(about, more)
    }
    bench.rig = await createTestRig([refundHandler({ shop: watched, propose: counted })], { worker, approvals })
    opened.push(bench)
    return bench
  }

  /** Submits the refund of order `O-n` for ticket `T-n`, asked for by Sam. */
  async submit(n: number, more: { key?: string; operationKey?: string } = {}): Promise<string> {
    const { key = `refund-T-${n}`, operationKey } = more
    const input = { ticket: `T-${n}`, order: `O-${n}` }
    const options = { key, operationKey, onBehalfOf: SAM, permissions: ['refunds:request'] }
    return (await this.rig.submit(refund, input, options)).id
  }

  /** Moves time until the job waits for people, and gives what it waits for. */
  async blocked(id: string) {
    await this.rig.advanceUntil(async () => ['blocked'].includes((await this.rig.get(id)).status), 'a blocked job')
    return this.rig.get(id)
  }

  /** What happened in the shop, in a few words each: `refund O-1 3900`. */
  effects(n?: number): string[] {
    return this.shop
      .effects(n === undefined ? undefined : `O-${n}`)
      .map(({ what, order, amount }) => [what, order, amount].filter((part) => part !== null).join(' '))
  }

  /** Paths of the decision log, each with who decided. */
  async decisions(id: string): Promise<string[]> {
    return (await this.rig.store.decisions(id)).map(
      ({ path, model, modelVersion, tools }) => `${path} ${model}@${modelVersion} ${tools.join('+')}`,
    )
  }

  async attempts(id: string): Promise<string[]> {
    return (await this.rig.engine.attempts(LOCAL, id)).map(({ outcome, verdict }) =>
      verdict ? `${outcome} ${verdict}` : outcome,
    )
  }

  /** Every entry of the history is a transition that the state machine knows, and none is missing. */
  async expectLegalHistory(id: string, about = ''): Promise<void> {
    const { entries } = await this.rig.store.history(id, 0, 1000)
    expect(
      entries.map(({ seq }) => seq),
      about,
    ).toEqual(entries.map((_, i) => i + 1))
    expect(entries[0], about).toMatchObject({ event: 'submitted', state: 'queued' })
    for (const [i, entry] of entries.entries()) {
      if (i === 0) continue
      const rules = TRANSITIONS[entries[i - 1]!.state] as Record<string, { to: readonly string[] } | undefined>
      expect(rules[entry.event]?.to ?? [], `${about}: ${entry.event} after ${entries[i - 1]!.state}`).toContain(
        entry.state,
      )
    }
    expect(entries.filter(({ state }) => isFinal(state)).length, about).toBeLessThanOrEqual(1)
  }
}

const opened: Bench[] = []
afterEach(async () => {
  for (const bench of opened.splice(0)) {
    await bench.rig.close()
    bench.shop.close()
  }
})
