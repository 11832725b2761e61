// The demo: six refunds, and at the end what the shop says was done and what the log says was decided. The server runs in
// this process, everybody else talks to it over HTTP; the shop is a service of its own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { euros } from '../agent/policy.js'
import { makeKeys } from '../people.js'
import { openShop } from '../shop/open.js'
import type { RunningShop } from '../shop/server.js'
import type { Effect } from '../shop/shop.js'
import { start } from '../start.js'
import { Desk } from './desk.js'

const line = (text = '') => console.log(text.trimEnd())
const say = (who: string, text: string) => line(`  ${who.padEnd(11)} ${text}`)

export async function demo(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-refund-demo-'))
  const shop = await openShop(join(dir, 'shop.db'))
  const running = await start({ dataDir: dir, shop: shop.url })
  try {
    line('An agent proposes refunds, people approve them. Nothing leaves this machine.\n')
    say('server', `${running.url}   three workers: intake, agents, payments`)
    say('shop', `${shop.url}   a service of its own, with its own SQLite file`)
    if (await new Demo(new Desk(running.url, await makeKeys(running.app), say), shop).run()) return 0
    line('\nThis is not what was promised, so it ends with exit code 1.')
    return 1
  } finally {
    await running.stop()
    await shop.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

class Demo {
  private readonly ids = new Map<number, string>()
  private broken = 0

  constructor(
    private readonly desk: Desk,
    private readonly shop: RunningShop,
  ) {}

  /** @returns whether all came as promised */
  async run(): Promise<boolean> {
    const { desk } = this
    line('\nLow risk: whoever asked may approve')
    const low = await this.ask(1)
    await desk.show(low)
    this.expect(200, await desk.decide('sam', low, 'approve'))
    await this.ends(1, 'refunded')

    line('\nMedium risk: somebody else must')
    const medium = await this.ask(2)
    this.expect(403, await desk.decide('sam', medium, 'approve'))
    this.expect(200, await desk.decide('mara', medium, 'approve'))
    await this.ends(2, 'refunded')

    line('\nHigh risk: two people of the groups it names')
    const high = await this.ask(3)
    await desk.show(high)
    this.expect(200, await desk.decide('mara', high, 'approve', 'I have seen the photos.'))
    this.expect(200, await desk.decide('finn', high, 'approve', 'Within the budget.'))
    await this.ends(3, 'refunded')

    line('\nRejected')
    this.expect(200, await desk.decide('mara', await this.ask(4), 'reject', 'The size was right.'))
    await this.ends(4, 'declined')

    line('\nAgainst the policy: for a person to look at, not to be tried again')
    const late = await this.ask(5)
    const failed = (await desk.as('ops').attempts(late.id)).filter(({ outcome }) => outcome === 'error')
    say('', `tried ${failed.length === 1 ? 'once' : `${failed.length} times`}; it goes on when somebody says so`)
    this.expect('blocked policy 1', `${late.status} ${late.error?.origin} ${failed.length}`)

    await this.flaky()
    await this.effects()
    await this.decisions()
    return this.broken === 0
  }

  private async flaky(): Promise<void> {
    const { desk, shop } = this
    line('\nA shop that is not always there')
    shop.trouble('/orders/O-8', 'busy', 2)
    shop.trouble('/orders/O-8/refunds', 'break-after')
    say('shop', 'answers 503 twice, and later the answer to the payment gets lost')
    const job = await this.ask(8)
    this.expect(200, await desk.decide('mara', job, 'approve'))
    await this.ends(8, 'refunded')
    const failed = (await desk.as('ops').attempts(job.id)).filter(({ outcome }) => outcome === 'error')
    for (const { attempt, error, rule } of failed)
      say('', `try ${attempt}: ${error!.message} (${error!.class}, ${rule})`)
    const pay = (await desk.as('ops').steps(job.id)).find(({ name }) => name === 'finalization/pay')
    const { confirmed } = pay!.info as { confirmed?: boolean }
    if (confirmed) say('', 'the payment was looked up in the shop by its key, and not made again')
    this.expect('3 true', `${failed.length} ${confirmed}`)
  }

  /** The shop's own list: not ours, and not to be argued with. */
  private async effects(): Promise<void> {
    const effects = (await (await fetch(`${this.shop.url}/effects`)).json()) as Effect[]
    line('\nWhat the shop says was done')
    for (const { n, what, order, ticket, amount } of effects)
      say(String(n), `${what.padEnd(7)} ${order}  ${ticket}  ${amount === null ? '' : euros(amount)}`)
    const done = effects.map(({ what, order }) => `${what} ${order}`)
    this.expect([1, 2, 3, 8].flatMap((n) => [`refund O-${n}`, `answer O-${n}`]).join(), done.join())
  }

  private async decisions(): Promise<void> {
    const ops = this.desk.as('ops')
    line('\nWhat was decided: on which path, by what in which version, with which tools')
    for (const [n, id] of this.ids)
      for (const { attempt, path, model, modelVersion, tools } of await ops.decisions(id))
        say(`T-${n} try ${attempt}`, `${path!.padEnd(27)} ${model} ${modelVersion}   ${tools.join(' ')}`)
    let found = 0
    for await (const _ of ops.list({ model: 'ticket-reader', tool: 'shop.ticket' })) found++
    say('', `found by model=ticket-reader&tool=shop.ticket: ${found} jobs`)
    this.expect(this.ids.size, found)
  }

  private async ask(n: number) {
    const job = await this.desk.ask(n)
    this.ids.set(n, job.id)
    return job
  }

  private async ends(n: number, as: 'refunded' | 'declined'): Promise<void> {
    const { result } = await this.desk.settled(this.ids.get(n)!)
    this.expect(as, (result as { status?: string } | null)?.status)
  }

  private expect(promised: unknown, came: unknown): void {
    if (promised === came) return
    this.broken++
    say('', `expected ${promised}, and it was ${came}`)
  }
}
