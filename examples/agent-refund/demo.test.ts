// The demo as people run it: the program alone, and what it prints.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectInOrder, runDemo } from '../demo-run.js'

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone refund '))
  mkdirSync(join(dir, 'temp'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('six refunds, what the shop says was done, and what was decided', { timeout: 60_000 }, async () => {
  const program = fileURLToPath(new URL('demo.mjs', import.meta.url))
  const env = { TMPDIR: join(dir, 'temp'), OPENAI_BASE_URL: '' }
  const { code, printed } = await runDemo(program, { cwd: dir, env })
  expect(code, printed).toBe(0)
  expectInOrder(printed, [
    /Low risk: whoever asked may approve\n/,
    /blocked +Refund 39\.00 EUR to customer-1 for order O-1\n/,
    /payments amount: null → 3900\n/,
    /Ticket T-1: "The cup arrived broken\."\n/,
    /sam +approves {3}200 approved\n +completed +39\.00 EUR, receipt R-1, decided by sam\n/,
    /Medium risk: somebody else must\n/,
    /sam +approves {3}403 self-approval-forbidden\n +You asked for this job, so you cannot approve it/,
    /mara +approves {3}200 approved\n +completed +249\.00 EUR, receipt R-2, decided by mara\n/,
    /High risk: two people of the groups it names\n/,
    /2 other people must approve, of them 1 from support-leads and 1 from finance/,
    /mara +approves: "I have seen the photos\." {3}200 1 of 2\n/,
    /finn +approves: "Within the budget\." {3}200 approved\n/,
    /completed +899\.00 EUR, receipt R-3, decided by mara and finn\n/,
    /Rejected\n/,
    /mara +rejects: "The size was right\." {3}200 rejected\n +completed +declined, decided by mara\n/,
    /Against the policy/,
    /blocked +policy-violation \(review, policy\): It was asked for more than 60 days after the payment\.\n/,
    /tried once; it goes on when somebody says so\n/,
    /A shop that is not always there\n/,
    /completed +199\.00 EUR, receipt R-4, decided by mara\n/,
    /try 1: The shop says: The shop is busy\. \(transient, built-in http-status 503\)\n/,
    /try 2: The shop says: The shop is busy\. \(transient, built-in http-status 503\)\n/,
    /try 6: fetch failed: .+ \(transient, built-in code \w+\)\n/,
    /the payment was looked up in the shop by its key, and not made again\n/,
    /What the shop says was done\n/,
    / 1 +refund +O-1 +T-1 +39\.00 EUR\n +2 +answer +O-1 +T-1\n/,
    / 7 +refund +O-8 +T-8 +199\.00 EUR\n +8 +answer +O-8 +T-8\n\n/,
    /What was decided/,
    /T-1 try 1 +intake\/accepted +refund-policy refunds-2026-11 +shop\.people shop\.order\n/,
    /T-1 try 2 +execution\/proposed +ticket-reader 1 +shop\.order shop\.ticket\n/,
    /T-1 try 2 +execution\/allowed +refund-policy refunds-2026-11\n/,
    /T-1 try 4 +finalization\/approved +people refunds-2026-11\n/,
    /T-4 try 4 +finalization\/rejected +people/,
    /T-5 try 2 +execution\/policy-violation +refund-policy/,
    /T-8 try 3 +intake\/accepted/,
    /found by model=ticket-reader&tool=shop\.ticket: 6 jobs\n$/,
  ])
  expect(readdirSync(join(dir, 'temp'))).toEqual([])
})
