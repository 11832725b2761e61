/** docs/guide/children.md: a handler in a process of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createUntildone, LOCAL, sqlite, type Untildone } from 'untildone'
import { assertReplaySafe } from 'untildone/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { render, renderHandler } from './isolated.js'

let dir = ''
let app: Untildone
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-guide-'))
  app = await createUntildone({ store: sqlite(join(dir, 'jobs.db')), handlers: [renderHandler] })
  await app.start()
})
afterAll(async () => {
  await app?.stop()
  rmSync(dir, { recursive: true, force: true })
})
async function ended(pages: string[]) {
  const { id } = await app.submit(render, { pages })
  const job = await app.engine.wait(LOCAL, id, { timeoutMs: 25_000, until: 'done' }, ['ops'])
  return { job, attempts: await app.engine.attempts(LOCAL, id) }
}

it('a crash costs one attempt, and what was recorded before it counts', async () => {
  const { job, attempts } = await ended(['a', 'crashes once'])
  expect(job).toMatchObject({ status: 'completed', result: { widths: [1, 12] } })
  expect(attempts).toMatchObject([
    { outcome: 'error', error: { code: 'process-signal', step: 'layout#2' } },
    { outcome: 'ok' },
  ])
})

it('rules say what a crash means, as of any child', async () => {
  const { job } = await ended(['aborts'])
  expect(job.error).toMatchObject({ code: 'layout-bug', class: 'permanent', step: 'layout' })
})

it('is checked like any other', () => assertReplaySafe(renderHandler, { pages: ['a', 'b'] }))
