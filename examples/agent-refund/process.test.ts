// Real processes: the server is ended by kill -9 in the middle of a payment, while the shop, a process of its own, has the
// request. After a restart there is one refund.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from 'untildone/client'
import { until } from 'untildone/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { refund } from './jobs/refund.js'
import type { Trouble } from './shop/server.js'
import type { Effect } from './shop/shop.js'

let dir = ''
let shop = ''
const running = new Set<ChildProcess>()

/** Starts a program of this example; gives the address it prints behind `word`. */
async function program(file: string, word: string, args: string[]): Promise<{ child: ChildProcess; url: string }> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const env = { ...process.env, SHOP_URL: shop, OPENAI_BASE_URL: '', OPENAI_MODEL: '' }
  const child = spawn(process.execPath, [path, ...args], { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  for await (const line of createInterface({ input: child.stdout! })) {
    const url = new RegExp(`^${word} +(http://\\S+)`).exec(line)?.[1]
    if (url) return { child, url }
  }
  throw new Error(`${file} has ended without saying where it is.`)
}
const server = () => program('serve.mjs', 'server', ['0'])

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

const ask = async (path: string, body?: unknown): Promise<any> => {
  const more = body ? { method: 'POST', body: JSON.stringify(body) } : {}
  return (await fetch(`${shop}${path}`, more)).json()
}
const effects = async (n: number) =>
  ((await ask(`/effects?order=O-${n}`)) as Effect[]).map(({ what, amount }) => `${what} ${amount ?? ''}`.trim())

function as(person: string, url: string) {
  const keys = readFileSync(join(dir, '.untildone/agent-refund/people.env'), 'utf8')
  return createClient({ url, key: new RegExp(`^${person}='(.*)'$`, 'm').exec(keys)![1]! })
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone refund '))
  shop = (await program('shop.mjs', 'shop', ['0', join(dir, 'shop.db')])).url
})
afterAll(async () => {
  await Promise.all([...running].map(kill))
  rmSync(dir, { recursive: true, force: true })
})

it.each([
  [2, 'hang-after', 'refund 24900', 'has paid, and nobody heard of it'],
  [8, 'hang-before', '', 'has not paid yet'],
] as [number, Trouble, string, string][])(
  'order %i: killed while the shop %s',
  { timeout: 60_000 },
  async (n, how, doneBefore) => {
    const first = await server()
    const input = { ticket: `T-${n}`, order: `O-${n}` }
    const { id } = await as('SAM', first.url).submit(refund, input, {
      ...{ key: `refund-T-${n}`, onBehalfOf: { id: 'sam' }, permissions: ['refunds:request'] },
    })
    const mara = as('MARA', first.url)
    for await (const job of mara.watch(id)) if (job.status === 'blocked') break
    await ask('/trouble', { path: `/orders/O-${n}/refunds`, how })
    const card = await mara.approvals.get((await mara.get(id)).blockedOn[0]!.id)
    await mara.approvals.decide(card.id, { decision: 'approve', evidenceDigest: card.digest })
    await until(async () => (await ask('/trouble')).length === 0, 'the payment to arrive at the shop', 20_000)
    expect(await effects(n)).toEqual([doneBefore].filter(Boolean))
    await kill(first.child)

    const second = await server()
    const ops = as('OPS', second.url)
    expect(await ops.result(id, { timeout: '30s' })).toMatchObject({ status: 'refunded', decidedBy: ['mara'] })
    expect(await effects(n)).toEqual([expect.stringMatching(/^refund \d+$/), 'answer'])
    expect((await ops.attempts(id)).map(({ outcome }) => outcome)).toEqual([
      ...['suspended', 'suspended', 'suspended', 'lost', 'ok'],
    ])
    const events: string[] = []
    for await (const { seq, event } of ops.history(id)) {
      events.push(event)
      expect(seq).toBe(events.length)
    }
    expect(events.slice(-4)).toEqual(['claimed', 'leaseExpired', 'claimed', 'succeeded'])
    await kill(second.child)
  },
)
