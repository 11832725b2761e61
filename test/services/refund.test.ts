// examples/agent-refund as two servers and two workers during a deploy: the former version and the next one are live at
// once on one PostgreSQL, and people decide at both servers.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { PEOPLE, type PersonId } from '../../examples/agent-refund/people.js'
import { fill } from '../../examples/agent-refund/shop/samples.js'
import { type RunningShop, serveShop } from '../../examples/agent-refund/shop/server.js'
import { Shop } from '../../examples/agent-refund/shop/shop.js'
import { createClient, type UntildoneClient } from '../../src/client/index.js'
import { until } from '../../src/testing/until.js'
import { Cast, type Member } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const server = inject('postgres')
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A copy of the example whose refunds finish with their version. */
function version(dir: string, name: string): string {
  const copy = join(dir, name)
  cpSync(join(root, 'examples/agent-refund'), copy, { recursive: true })
  const file = join(copy, 'jobs/refund.ts')
  const before = readFileSync(file, 'utf8')
  const after = before
    .replace("queue: 'intake',", `queue: 'intake', version: '${name}', pin: true,`)
    .replace('`intake/$', `\`intake-${name}/$`)
  expect(after.length - before.length).toBeGreaterThan(25)
  writeFileSync(file, after)
  return copy
}

if (server)
  describe('refunds in several processes', { timeout: 60_000 }, () => {
    let dir: string
    let shop: Shop
    let shopServer: RunningShop
    let cast: Cast
    let [one, two, former] = [] as unknown as [Member, Member, Member]
    let startFormer: () => Promise<Member>
    const keys = {} as Record<PersonId | 'root', string>
    const as = (person: PersonId | 'root', { url }: Member): UntildoneClient =>
      createClient({ url: url!, key: keys[person] })

    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'untildone refunds '))
      // What the shop's files import is found from the copies as well.
      symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'), 'dir')
      const [v1, v2] = [version(dir, '1'), version(dir, '2')]
      shop = fill(new Shop(':memory:'))
      shopServer = await serveShop(shop, 0)
      cast = await Cast.open(server!, { SHOP_URL: shopServer.url })
      const start = (name: string, ROLES: string, EXAMPLE: string) =>
        cast.start(name, { program: 'refund.mjs', env: { ROLES, EXAMPLE } })
      startFormer = () => start('former', 'worker', v1)
      one = await start('one', 'api', v1)
      ;[two, former] = await Promise.all([
        start('two', 'api', v2),
        startFormer(),
        start('next', 'worker,maintenance', v2),
      ])
      const scopes = ['admin']
      keys.root = (await one.client.keys.create({ name: 'root', scopes, person: { id: 'root' } })).key!
      for (const [id, { name, groups, scopes }] of Object.entries(PEOPLE))
        keys[id as PersonId] = (await as('root', one).keys.create({ name, scopes, person: { id, name }, groups })).key!
    }, 60_000)
    afterAll(async () => {
      await cast?.close()
      await shopServer?.close()
      shop?.close()
      rmSync(dir, { recursive: true, force: true })
    })

    /** Submits the refund of order `O-n`; its version is that of the server. */
    async function submit(n: number, at: Member): Promise<string> {
      const { id } = await as('sam', at).submit(
        'agent.refund',
        { ticket: `T-${n}`, order: `O-${n}` },
        {
          ...{ key: `refund-T-${n}`, onBehalfOf: { id: 'sam' }, permissions: ['refunds:request'] },
        },
      )
      return id
    }
    /** What people are asked, once they are. */
    async function card(id: string, at: Member) {
      const mara = as('mara', at)
      for await (const job of mara.watch(id)) if (job.status === 'blocked') break
      return mara.approvals.get((await mara.get(id)).blockedOn[0]!.id)
    }
    const effects = (n: number) => shop.effects(`O-${n}`).map(({ what }) => what)
    const versionOf = async (id: string) =>
      (await as('mara', one).decisions(id)).map(({ path }) => path).find((path) => path?.startsWith('intake'))

    it('of two decisions at once, at two servers, one counts', async () => {
      for (const [n, submitAt] of [
        [2, one],
        [8, two],
        [4, one],
      ] as const) {
        const id = await submit(n, submitAt)
        const { id: approval, digest } = await card(id, submitAt === one ? two : one)
        const decide = (person: PersonId, at: Member, decision: 'approve' | 'reject') =>
          as(person, at).approvals.decide(approval, {
            decision,
            evidenceDigest: digest,
            reason: `As ${person} sees it.`,
          })
        const [mara, finn] = await Promise.allSettled([decide('mara', one, 'approve'), decide('finn', two, 'reject')])
        const won = mara.status === 'fulfilled' ? 'mara' : 'finn'
        expect([mara, finn].filter(({ status }) => status === 'rejected')).toMatchObject([
          { reason: { code: 'approval-already-decided' } },
        ])
        const result = await as('ops', two).result(id, { timeout: '30s' })
        expect(result).toMatchObject({ status: won === 'mara' ? 'refunded' : 'declined', decidedBy: [won] })
        expect(effects(n)).toEqual(won === 'mara' ? ['refund', 'answer'] : [])
        expect(await versionOf(id)).toBe(submitAt === one ? 'intake-1/accepted' : 'intake-2/accepted')
        expect((await as('ops', two).get(id)).typeVersion).toBe(submitAt === one ? '1' : '2')
      }
    })

    it('the same decision at both servers at once is one', async () => {
      const id = await submit(3, two)
      const { id: approval, digest } = await card(id, one)
      const decide = (person: PersonId, at: Member) =>
        as(person, at).approvals.decide(approval, {
          ...{ decision: 'approve' as const, evidenceDigest: digest, reason: 'The photo shows it.' },
        })
      // It takes two people; each is counted once.
      await Promise.all([decide('mara', one), decide('mara', two)])
      expect((await as('ops', one).get(id)).blockedOn[0]).toMatchObject({ quorum: { filled: 1, needed: 2 } })
      await Promise.all([decide('finn', two), decide('finn', one)])
      expect(await as('ops', one).result(id, { timeout: '30s' })).toMatchObject({ decidedBy: ['mara', 'finn'] })
      expect(effects(3)).toEqual(['refund', 'answer'])
    })

    it('what was begun under the former version is finished by it, also when it has been away', async () => {
      const id = await submit(1, one)
      await card(id, two)
      await former.end('SIGTERM')
      const { id: approval, digest } = await card(id, two)
      await as('mara', two).approvals.decide(approval, { decision: 'approve', evidenceDigest: digest })
      // Under the next version one is done from its beginning to its end meanwhile.
      shop.addOrder({ id: 'O-21', customer: 'c', total: 1000, paidAt: new Date().toISOString() })
      shop.addTicket({
        ...{ id: 'T-21', order: 'O-21', customer: 'c' },
        text: 'It is broken, I want a refund.',
        openedAt: new Date().toISOString(),
      })
      const other = await submit(21, two)
      const small = await card(other, one)
      await as('mara', one).approvals.decide(small.id, { decision: 'approve', evidenceDigest: small.digest })
      expect(await as('ops', one).result(other, { timeout: '30s' })).toMatchObject({ status: 'refunded' })
      expect(await as('ops', one).get(id)).toMatchObject({ done: false, typeVersion: '1' })
      expect(effects(1)).toEqual([])
      former = await startFormer()
      expect(await as('ops', two).result(id, { timeout: '30s' })).toMatchObject({ status: 'refunded' })
      expect(effects(1)).toEqual(['refund', 'answer'])
      const workers = async (job: string) =>
        new Set((await as('ops', two).attempts(job)).map(({ workerId }) => workerId))
      const [these, those] = [await workers(id), await workers(other)]
      expect([...these].filter((worker) => those.has(worker))).toEqual([])
    })

    it('a cancel at the other server after the payment takes the payment back', async () => {
      const at = new Date().toISOString()
      shop.addOrder({ id: 'O-22', customer: 'c', total: 9000, paidAt: at })
      shop.addTicket({ id: 'T-22', order: 'O-22', customer: 'c', text: 'It is broken, I want a refund.', openedAt: at })
      // The shop takes no answer for a while; meanwhile somebody changes their mind.
      shopServer.trouble('/tickets/T-22/answer', 'busy', 1000)
      const id = await submit(22, one)
      const { id: approval, digest } = await card(id, one)
      await as('mara', two).approvals.decide(approval, { decision: 'approve', evidenceDigest: digest })
      await until(() => effects(22).length === 1, 'the payment', 20_000)
      await as('sam', two).cancel(id, { reason: 'The customer keeps it.' })
      for await (const job of as('ops', one).watch(id))
        if (job.done)
          expect(job).toMatchObject({
            status: 'cancelled',
            error: { details: { compensation: { state: 'rolled-back' } } },
          })
      expect(effects(22)).toEqual(['refund', 'void'])
    })

    it('the audit trail is one whole chain, whoever wrote to it', async () => {
      const [here, there] = await Promise.all([one, two].map((at) => as('root', at).audit.verify()))
      expect(here).toEqual(there)
      expect(here).toMatchObject({ intact: true, firstBreak: null })
      const actions: Record<string, number> = {}
      for await (const { action } of as('root', two).audit.list()) actions[action] = (actions[action] ?? 0) + 1
      // Each of the decisions that counted is there once, and none of those that did not.
      const { 'approval.approve': approved = 0, 'approval.reject': rejected = 0, ...rest } = actions
      expect(approved + rejected).toBe(8)
      expect(rest).toEqual({ 'key.create': 5, 'job.cancel': 1 })
    })
  })

if (!server)
  describe('refunds in several processes', () => {
    it('share one database', (context) => context.skip(POSTGRES_NEEDS))
  })
