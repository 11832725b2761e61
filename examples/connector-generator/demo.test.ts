// The demo as people run it: the program alone, and what it prints.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectInOrder, runDemo } from '../demo-run.js'

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone connector '))
  mkdirSync(join(dir, 'temp'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test(
  'three sites: two become connectors that work, one is refused in the documented words',
  { timeout: 120_000 },
  async () => {
    const program = fileURLToPath(new URL('demo.mjs', import.meta.url))
    const env = { TMPDIR: join(dir, 'temp') }
    const { code, printed } = await runDemo(program, { cwd: dir, env })
    expect(code, printed).toBe(0)
    expectInOrder(printed, [
      /Harbor Desk: an OpenAPI document/,
      /discovery +queued → (running → )?finished\n +\/developers\/openapi\.yaml\n +\/developers\/getting-started\n/,
      /scrape +queued → (running → )?finished\n/,
      /Account: 9 fields, list get create update; auth header, paging page\n/,
      /Ticket: 5 fields, list get create update; auth header, paging page\n/,
      /codegen +queued → (running → )?finished\n +http\.ts paging\.ts account\.ts ticket\.ts index\.ts package\.json\n/,
      /TypeScript \d+\.\d+\.\d+, strict: nothing to complain about\n/,
      /list +27 of 27 accounts, in 3 requests\n/,
      /create +\{"id":"new-1","name":"Seven Seas","email":"hello@sevenseas\.example"\}\n/,
      /update +\{"id":"new-1",.*"seats":40\}\n/,
      /Ledger: HTML prose only/,
      /Customer: 8 fields, list get create update; auth bearer, paging cursor\n/,
      /list +19 of 19 customers, in 3 requests\n/,
      /update +\{"customer_id":"new-1",.*"credit_limit":900\}\n/,
      /Opal CRM: names its objects, but not their fields\n/,
      /digester +queued → (running → )?failed\n/,
      / Failed to extract schema from documentation\n/,
      / Insufficient documentation coverage for object 'Account'\n/,
      / Consider uploading more comprehensive API documentation\n/,
      /The session "harbor"/,
      /candidateLinks +\S+Z {2}discovery\.getCandidateLinks \S+ finished\n/,
      /connector +\S+Z {2}codegen\.generateConnector \S+ finished\n$/,
    ])
    expect(readdirSync(join(dir, 'temp'))).toEqual([])
  },
)
