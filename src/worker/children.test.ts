// job.process as a step: what it leaves in the notes of the job, over a real store and real children.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, LOCAL, sqlite, until } from '../index.js'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-children-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const define = () => defineJob('pages', { input: z.object({}), output: z.number() })
const warns = { command: '/bin/sh', args: ['-c', 'echo "warning: coarse" >&2'] }
const errors = [{ match: /^warning: coarse/, is: 'harmless', as: 'coarse' }] as const
const retry = until({ attempts: 3, backoff: { from: '1ms', to: '1ms' } })

it('a warning and the log name the step with its path, so that the same warning of two pages is two warnings', async () => {
  const pages = define()
  const handler = pages.handler({ errors }, async (job) => {
    for (const page of [1, 2]) await job.first(`page-${page}`, { fast: () => job.process('read', warns) })
    return 2
  })
  const app = await createUntildone({ store: sqlite(join(dir, 'a.db')), handlers: [handler] })
  await app.start()
  try {
    const { id, result } = await app.submit(pages, {})
    expect(await result()).toBe(2)
    const job = await app.engine.get(LOCAL, id, ['ops'])
    expect(job.warnings.map(({ code, step }) => [code, step])).toEqual([
      ['coarse', 'page-1/fast/read'],
      ['coarse', 'page-2/fast/read'],
    ])
    const { items } = await app.engine.logs(LOCAL, id, {})
    const started = items.filter(({ message }) => message.startsWith('Started '))
    expect(started.map(({ data }) => (data as { step: string }).step)).toEqual(['page-1/fast/read', 'page-2/fast/read'])
  } finally {
    await app.stop()
  }
})

it('a warning of an earlier attempt still counts when a later one completes the job', async () => {
  const pages = define()
  const handler = pages.handler({ errors, retry }, async (job) => {
    await job.process('read', warns)
    if (job.attempt === 1) throw new Error('once')
    return 1
  })
  const app = await createUntildone({ store: sqlite(join(dir, 'a.db')), handlers: [handler] })
  await app.start()
  try {
    const { id, result } = await app.submit(pages, {})
    await result()
    const job = await app.engine.get(LOCAL, id, ['ops'])
    expect(job.warnings).toHaveLength(1)
    expect(job.ops).toMatchObject({ attempt: 2, phase: 'withWarnings' })
    expect(job.statusText).toBe('Completed, with notes.')
  } finally {
    await app.stop()
  }
})

it('an error names the script, not the interpreter that runs it', async () => {
  const script = join(dir, 'engine.mjs')
  writeFileSync(script, 'process.exit(7)')
  const pages = define()
  const handler = pages.handler({ errors: [{ exit: 7, is: 'permanent' }] }, async (job) => {
    await job.process('read', { command: process.execPath, args: [script, '1'] })
    return 1
  })
  const app = await createUntildone({ store: sqlite(join(dir, 'a.db')), handlers: [handler] })
  await app.start()
  try {
    const { id, result } = await app.submit(pages, {})
    await expect(result()).rejects.toThrow('engine.mjs ended with exit code 7')
    const { items } = await app.engine.logs(LOCAL, id, {})
    expect(items[0]!.message).toMatch(/^Started engine\.mjs \(pid \d+\)$/)
  } finally {
    await app.stop()
  }
})
