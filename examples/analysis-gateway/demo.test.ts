// The demo as people run it: the program alone, and what it prints.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectInOrder, runDemo } from '../demo-run.js'

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone gateway '))
  mkdirSync(join(dir, 'temp'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('texts become results, through a model that is away and a repeated request', { timeout: 60_000 }, async () => {
  const program = fileURLToPath(new URL('demo.mjs', import.meta.url))
  const { code, printed } = await runDemo(program, { cwd: dir, env: { TMPDIR: join(dir, 'temp') } })
  expect(code, printed).toBe(0)
  expectInOrder(printed, [
    /One text: submit, wait, fetch\n/,
    /status +(pending → )?(in_progress → )?completed\n/,
    /text +en, 37 words in 3 sentences\n/,
    /kind +invoice, because of .*invoice.*\n/,
    / amount +1234\.50 EUR\n/,
    / date +2026-03-12\n/,
    / iban +DE89370400440532013000\n/,
    /^ +news +taken for (news|manual|complaint|contract|invoice)/m,
    /^ +(18|19|20) of 20 are right\n/m,
    / one analysis\n/,
    /model +answered 503, 429, 200\n/,
    /status +(pending → )?in_progress → completed\n/,
    /summary +Invoice 2041 from Harbour Lights GmbH\.\n/,
    /422 input-invalid: \/analyses\/0 must be one of statistics, extraction, classification, summary\n/,
  ])
  expect(readdirSync(join(dir, 'temp'))).toEqual([])
})
