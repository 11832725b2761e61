/** `untildone inbox` against a real server on a port of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import type { WireApproval } from '../core/wire-approval.js'
import { defineJob } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const open = rigs()
const refund = defineJob('refund', {
  input: z.object({ order: z.string(), amount: z.number().default(1240) }),
  approvals: { payout: z.object({ amount: z.number().max(2000) }) },
})
let rig: TestRig
let listening: Listening
let cwd: string
beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-inbox-'))
  const handler = refund.handler(async (job) => {
    const { order, amount } = job.input
    const answer = await job.approve('payout', {
      summary: `Refund ${amount} EUR to order ${order}`,
      because: 'The parcel came back.\u001b[31m Really.',
      writes: [
        {
          ...{ target: 'payments', operation: 'refund', object: `order ${order}`, href: 'https://shop.example/77' },
          ...{
            irreversible: true,
            change: { status: ['paid', 'refunded'], amount: { now: null, after: amount, from: 'amount' } },
          },
        },
      ],
      evidence: [{ label: 'Receipt', quote: 'Came back unopened', version: 'v3' }],
      impact: { description: 'Money leaves', affects: ['customers'], people: 1, money: { amount, currency: 'EUR' } },
      rollback: { plan: 'Void it', within: '1d', by: 'finance' },
      confidenceNotes: 'The slip is hard to read.',
      data: { amount },
      allow: { edit: true },
      escalateTo: ['finance'],
    })
    return answer.outcome === 'approved' ? answer.data.amount : answer.outcome
  }) as never
  const policy = ({ writes }: { writes: { object: string | null }[] }) =>
    ({ risk: writes[0]!.object === 'order 1' ? 'low' : 'high', rule: 'money', why: 'It moves money.' }) as const
  rig = await open(handler, { approvals: { policy, policyVersion: 'p1' }, start: fakeClock().now() })
  listening = await listen(createServer(rig.engine), { port: 0 })
})
afterEach(async () => {
  await listening.close()
  rmSync(cwd, { recursive: true })
})

const env = (key?: string) => ({ UNTILDONE_URL: listening.url, ...(key ? { UNTILDONE_KEY: key } : {}) })
async function ud(key: string | undefined, line: string, ...more: string[]) {
  const io = fakeIo({ cwd, env: env(key) })
  const exit = await run([...line.split(' '), ...more], io, { clock: fakeClock() })
  return { exit, out: io.stdout, err: io.stderr }
}
async function approver(id: string, ...more: string[]): Promise<string> {
  const line = `keys create --name ${id} --role approver --person ${id}:${id.toUpperCase()}`
  const made = await ud(root, line, ...more)
  expect(made.exit).toBe(0)
  return made.out.trim()
}
let root: string | undefined
beforeEach(() => {
  root = undefined
})
async function waiting(order = '77', ...more: string[]): Promise<WireApproval> {
  const { out } = await ud(root, `submit refund order=${order} --json`, ...more)
  return rig.approval(JSON.parse(out))
}

it('lists what waits, shows the card, and takes decisions that name its hash', async () => {
  const card = await waiting('77', '--for', 'sam:Sam')
  const short = card.digest.slice(0, 'sha256-'.length + 12)
  root = (await ud(undefined, 'keys create --name root --role admin')).out.trim()
  const [mara, otto] = [await approver('mara', '--group', 'finance,legal'), await approver('otto')]

  const listed = await ud(mara, 'inbox list --mine')
  expect(listed.out.split('\n').map((line) => line.replace(/ {2,}/g, '  ').trimEnd())).toEqual([
    'RISK  DUE  WHAT  ASKED BY  HAVE/NEED  ID',
    `high  in 3 d  Refund 1240 EUR to order 77  Sam  0/2  ${card.id}`,
    '',
  ])
  const shown = await ud(mara, `inbox show ${card.id.slice(-6)}`)
  expect(shown.exit).toBe(0)
  expect(shown.out).toContain(`Refund 1240 EUR to order 77
The parcel came back.[31m Really.`)
  expect(shown.out).toContain('High risk: 2 other people must approve. Each approval needs a reason.')
  expect(shown.out).toContain('0 of 2; open: 2 of any')
  expect(shown.out).toContain('If nobody has decided by then, the job is cancelled.')
  expect(shown.out).toContain(`What will be written
  refund payments order 77  https://shop.example/77  cannot be undone
    − status  paid
    + status  refunded
    + amount  1240`)
  expect(shown.out).toContain(`Evidence
  Receipt (v3)
    “Came back unopened”`)
  expect(shown.out).toContain('Money leaves · customers · 1 person · 1240 EUR')
  expect(shown.out).toContain('Void it · within 1 d · by finance')
  expect(shown.out).toContain('The slip is hard to read.')
  expect(shown.out).toContain(`hash  ${card.digest}`)
  expect(shown.out).toContain(`asked by   Sam (sam)`)

  const blind = await ud(mara, `inbox approve ${card.id} --reason seen`)
  expect(blind).toMatchObject({ exit: 6, out: '' })
  expect(blind.err).toContain('names the hash of the card')
  const wrong = await ud(mara, `inbox approve ${card.id} --reason seen --hash sha256-000000000000`)
  expect(wrong).toMatchObject({ exit: 6, out: '' })
  expect(wrong.err).toContain('The request is not the one with this hash. Nothing was decided.')
  const first = await ud(mara, `inbox approve ${card.id} --reason seen --hash ${short}`)
  expect(first).toMatchObject({ exit: 0 })
  expect(first.out).toBe(`waiting  ${card.id}  1 of 2  ${listening.url}/v1/approvals/${card.id}\n`)
  expect(first.err).toContain('Counted. Still open: 1 of any.')
  expect(first.err).toContain('+ amount  1240')
  const second = await ud(otto, `inbox approve ${card.id} --reason yes --hash ${short} --json --quiet`)
  expect(JSON.parse(second.out)).toMatchObject({ state: 'approved', decisions: [{ by: { id: 'mara' } }, {}] })
  expect(second.err).toBe('')
  expect((await rig.untilDone(card.jobId)).result).toBe(1240)
  const after = await ud(mara, `inbox show ${card.id}`)
  expect(after.out).toContain('mara')
  expect(after.out).toMatch(/MARA \(mara\) {2}approved .*: seen/)
  expect((await ud(mara, 'inbox list')).err).toContain('Nothing waits for anybody.')
  expect((await ud(mara, 'inbox list --state all --quiet')).out).toBe(`${card.id}\n`)
})

it('edits, asks for changes and rejects; each needs its reason', async () => {
  const card = await waiting('1')
  const hash = (approval: WireApproval) => ['--hash', approval.digest] as const
  expect((await ud(undefined, `inbox reject ${card.id}`)).err).toContain('A reason is needed')
  const changes = await ud(
    undefined,
    `inbox changes ${card.id}`,
    ...['/data/amount=Without shipping', 'and hurry', '--reason', 'too much', ...hash(card)],
  )
  expect(changes.out).toContain('changes-requested')
  expect((await rig.approval(card.id)).decisions[0]!.changes).toEqual([
    { about: '/data/amount', text: 'Without shipping' },
    { about: null, text: 'and hurry' },
  ])
  const other = await waiting('1')
  const large = await ud(undefined, `inbox approve ${other.id} --edit amount:=5000`, ...hash(other))
  expect(large).toMatchObject({ exit: 2, out: '' })
  expect(large.err).toContain('The edit does not fit the gate: /data/amount')
  const edited = await ud(undefined, `inbox approve ${other.id} --edit amount=900`, ...hash(other))
  expect(edited.out).toContain('approved')
  expect((await rig.untilDone(other.jobId)).result).toBe(900)
  expect((await ud(undefined, `inbox show ${other.id}`)).out).toContain('edited amount')
  const third = await waiting('1')
  expect((await ud(undefined, `inbox reject ${third.id} --reason no`, ...hash(third))).exit).toBe(0)
  expect((await rig.untilDone(third.jobId)).status).toBe('cancelled')
})

it('asks at a terminal, and only y is yes', async () => {
  const card = await waiting('1')
  const attempt = async (keys: string) => {
    const io = fakeIo({ cwd, columns: 100, env: env() })
    const running = run(['inbox', 'approve', card.id], io, { clock: fakeClock() })
    await io.saw(/Approve this\? \[y\/N\]/)
    io.press(keys)
    const exit = await running
    expect(io.listeners()).toBe(0)
    return { exit, text: io.stdout + io.stderr }
  }
  expect(await attempt('\r')).toMatchObject({ exit: 130, text: expect.stringContaining('Nothing was decided.') })
  expect(await attempt('\u0003')).toMatchObject({ exit: 130 })
  expect((await rig.approval(card.id)).state).toBe('pending')
  const yes = await attempt('y')
  expect(yes.exit).toBe(0)
  expect(yes.text).toMatch(/approved {2}apr_\w+ {2}1 of 1/)
})

it('the exit code says which kind of no it was', async () => {
  const card = await waiting('77', '--for', 'sam')
  root = (await ud(undefined, 'keys create --name root --role admin')).out.trim()
  const [sam, lou] = [await approver('sam'), await approver('lou', '--max-risk', 'low')]
  const approve = (key: string) => ud(key, `inbox approve ${card.id} --reason r --hash ${card.digest}`)
  expect(await approve(sam)).toMatchObject({ exit: 4, err: expect.stringContaining('self-approval-forbidden') })
  expect(await approve(lou)).toMatchObject({ exit: 4, err: expect.stringContaining('risk-above-limit') })
  expect(await ud(root, 'inbox show apr_none')).toMatchObject({ exit: 5 })
  expect(await ud(root, 'keys create --name x --role approver --max-risk huge')).toMatchObject({ exit: 2 })
  const listed = await ud(root, 'keys list')
  expect(listed.out).toMatch(/lou .* lou /)
  await rig.engine.cancel(LOCAL, card.jobId, {})
  const late = await ud(await approver('otto'), `inbox reject ${card.id} --reason r --hash ${card.digest}`)
  expect(late).toMatchObject({ exit: 6, err: expect.stringContaining('withdrawn') })
  const next = await waiting('77')
  await rig.advance('73h')
  const expired = await ud(await approver('pia'), `inbox approve ${next.id} --reason r --hash ${next.digest}`)
  expect(expired).toMatchObject({ exit: 6, err: expect.stringContaining('The time to decide is over.') })
})
