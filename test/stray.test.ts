// An error that nobody catches, in a process that runs other jobs too: one job pays for it, and the others lose nothing.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createClient } from '../src/client/index.js'
import { type Program, start } from './support/programs.js'

const BIN = join(import.meta.dirname, '../bin/untildone.js')
const JOBS = `import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { defineJob, jsonSchema, until } from 'untildone'

const input = jsonSchema({ type: 'object' })
const fails = {
  rejects: () => void Promise.reject(new Error('lost')),
  late: () => void delay(20).then(() => { throw new Error('lost') }),
  throws: () => void setTimeout(() => { throw new Error('lost') }, 20),
}
export const faulty = defineJob('faulty', { input }).handler({ retry: until({ attempts: 1 }) }, async (job) => {
  await job.step('before', () => 1)
  fails[job.input.how]()
  await new Promise(() => {})
})
export const neighbour = defineJob('neighbour', { input }).handler({}, async (job) => {
  await job.step('slow', async () => {
    while (!existsSync('go')) await delay(20)
  })
  return await job.step('after', () => process.pid)
})
`

let cwd: string
let serve: Program | null = null
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-stray-'))
  mkdirSync(join(cwd, 'jobs'))
  writeFileSync(join(cwd, 'jobs/all.ts'), JOBS)
})
afterEach(() => {
  serve?.kill('SIGKILL')
  rmSync(cwd, { recursive: true, force: true })
})
async function served() {
  serve = start(process.execPath, [BIN, 'serve', '--port', '0', '--json'], { cwd })
  const [line] = await serve.until(/^.*"event":"ready".*$/m)
  return { serve, client: createClient({ url: JSON.parse(line).url }) }
}

it.each(['rejects', 'late', 'throws'])('%s', { timeout: 60_000 }, async (how) => {
  const { serve, client } = await served()
  const neighbour = await client.submit('neighbour', {})
  const faulty = await client.submit('faulty', { how })
  const [line] = await serve.until(/^.*"event":"trouble".*$/m)
  expect(JSON.parse(line)).toMatchObject({
    ...{ code: 'stray-error', message: 'lost', jobId: faulty.id, type: 'faulty' },
    stack: expect.stringContaining('all.ts'),
  })
  writeFileSync(join(cwd, 'go'), '')
  expect(await serve.ended).toBe(1)
  expect(serve.stderr).toBe('')

  const again = await served()
  expect(await again.client.get(faulty.id)).toMatchObject({
    status: 'failed',
    error: { details: { last: { code: 'stray-error', message: 'Nobody caught: lost' } } },
  })
  expect(await again.client.result(neighbour.id)).toEqual(expect.any(Number))
  const attempts = await again.client.attempts(neighbour.id)
  expect(attempts.map(({ outcome }) => outcome)).toEqual(['released', 'ok'])
})
