/**
 * The outside witness: a process of its own that the handlers tell what they do. Its ledger is append-only and synced
 * before it answers, in the order of arrival. An effect happens once per idempotency key; a repeat gets the first receipt.
 * What is told has a number of its own, so that what is made of it shows which attempt made it.
 */
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { Journal, readJournal } from './lib/journal.mjs'

const path = process.env.TORTURE_LEDGER
const ledger = new Journal(path)
const receipts = new Map()
/** Receipts by job and step, for whoever asks what has happened. */
const done = new Map()
/** The latest attempt of each job that was heard of, and the jobs of which an earlier one was heard of after that. */
const latest = new Map()
const returned = new Set()
/** Nobody stands still any more: whoever waits for one to come back need not. */
let calm = false
let seq = 0
for (const { key, what, receipt, job, step } of readJournal(path)) {
  seq++
  if (what !== 'effect') continue
  if (!receipts.has(key)) receipts.set(key, receipt)
  done.set(`${job} ${step}`, receipts.get(key))
}

function enter({ what, job, step, key, attempt, hash }) {
  const entry = { seq: ++seq, what, job, step, key, attempt, hash }
  if (what === 'effect') {
    entry.repeated = receipts.has(key)
    if (!entry.repeated) receipts.set(key, seq)
    entry.receipt = receipts.get(key)
    done.set(`${job} ${step}`, entry.receipt)
  }
  if (attempt < latest.get(job)) returned.add(job)
  else latest.set(job, attempt)
  return entry
}

/** What is asked, or said of the world, is no entry. */
const ASKED = {
  find: ({ job, step }) => ({ receipt: done.get(`${job} ${step}`) ?? null }),
  returned: ({ job }) => ({ returned: calm || returned.has(job) }),
  calm(told) {
    calm = told.calm
    return {}
  },
}

const server = createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const told = JSON.parse(Buffer.concat(parts).toString())
    if (ASKED[told.what]) {
      response.writeHead(200, { 'content-type': 'application/json' })
      return response.end(JSON.stringify(ASKED[told.what](told)))
    }
    const entry = enter(told)
    ledger.append(entry).then(() => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ seq: entry.seq, receipt: entry.receipt ?? null }))
    })
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  writeSync(3, `${JSON.stringify({ ready: `http://127.0.0.1:${server.address().port}` })}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
