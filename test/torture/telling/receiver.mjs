/**
 * The receiver of webhooks: a process of its own that outlives every server. What comes is in its ledger, synced, before
 * it is answered; it judges nothing. In rough times it answers 500, hangs up, or answers only when the sender is dead.
 */
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { chance } from '../lib/common.mjs'
import { Journal } from '../lib/journal.mjs'

/** Longest that an answer is held back for a death; below the deadline of the sender. */
const HOLD_MS = 1500

const { TORTURE_LEDGER, TORTURE_SEED } = process.env
const ledger = new Journal(TORTURE_LEDGER)
const r = chance(Number(TORTURE_SEED))
const held = new Set()
let rough = true
let seq = 0

const server = createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', async () => {
    const { url, method, headers } = request
    const post = ++seq
    const plan = draw()
    await ledger.append({
      what: 'post',
      post,
      plan,
      method,
      to: url.slice(1),
      headers,
      body: Buffer.concat(parts).toString(),
    })
    if (plan === 'hang up') return request.socket.destroy()
    if (plan === 'late') await untilDeath()
    response.on('finish', () => void ledger.append({ what: 'answered', post, status: response.statusCode }))
    response.writeHead(plan === '500' ? 500 : 204).end()
  })
})
server.listen(0, '127.0.0.1', () => {
  writeSync(3, `${JSON.stringify({ ready: `http://127.0.0.1:${server.address().port}` })}\n`)
})

function draw() {
  if (!rough) return '204'
  const x = r.next()
  return x < 0.05 ? '500' : x < 0.09 ? 'hang up' : x < 0.15 ? 'late' : '204'
}

function untilDeath() {
  return new Promise((resolve) => {
    held.add(resolve)
    setTimeout(resolve, HOLD_MS)
  })
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line)
    if (order.rough !== undefined) rough = order.rough
    for (const resolve of held) resolve()
    held.clear()
  })
  .on('close', () => process.exit(0))
