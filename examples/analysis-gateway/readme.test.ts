// The lines of the README, in their order: each command is sent as it stands there but for the port, and where an answer is
// shown, that is among what comes back.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commandsOf } from '../readme-commands.js'
import { type Bench, bench } from './support.js'

const README = readFileSync(new URL('README.md', import.meta.url), 'utf8')

let open: Bench
let guarded: Bench
beforeAll(async () => {
  open = await bench()
  guarded = await bench({ tenants: ['acme', 'globex'] })
})
afterAll(async () => {
  await open?.stop()
  await guarded?.stop()
})

/** Ids and instants are of the day. */
const timeless = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value)
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'at'),
  )

async function run(part: string, gateway: Bench, tenant?: string): Promise<string[]> {
  const variables: Record<string, string> = { ACME: gateway.keys.acme ?? '', GLOBEX: gateway.keys.globex ?? '' }
  const here = (text: string) =>
    text.replaceAll('http://localhost:8000', gateway.url).replace(/\$(\w+)/g, (_, name) => {
      if (!variables[name]) throw new Error(`$${name} is not known`)
      return variables[name]
    })
  const log: string[] = []
  for (const { line, method, url, headers, body, answer } of commandsOf(part)) {
    const filled = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, here(value)]))
    const response = await fetch(here(url), { method, headers: filled, body })
    const got = (await response.json()) as any
    if (answer) expect(timeless(got), line).toMatchObject(timeless(answer))
    log.push(`${method} ${new URL(url).pathname.replace('/api/v1/analysis', '') || '/'} ${response.status}`)
    if (response.status === 202) {
      variables.JOB = got.jobId
      expect((await gateway.ended(got.jobId, tenant)).status, line).toBe('completed')
    }
  }
  return log
}

test('each command works and answers as shown', async () => {
  const [first, customers] = README.split('## Customers') as [string, string]
  expect(await run(first, open)).toEqual([
    'POST / 202',
    'GET /status/$JOB 200',
    'GET /result/$JOB 200',
    'GET /status/nothing 404',
    'POST /cancel/$JOB 409',
    'POST / 422',
    'POST / 202',
    'GET / 200',
  ])
  expect(await run(customers, guarded, 'acme')).toEqual(['POST / 202', 'GET /status/$JOB 404'])
})

test('the command line takes the jobs and the facade as they are', async () => {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
  const data = join(open.dir, 'serve')
  const args = ['--json', '--port', '0', '--data', data, '--jobs', here('jobs'), '--facades', here('facade.ts')]
  const child = spawn(process.execPath, [here('../../bin/untildone.js'), 'serve', ...args], {
    env: { ...process.env, OPENAI_MODEL: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const { url, ...ready } = JSON.parse(line)
    expect(ready).toMatchObject({ event: 'ready', facades: ['analysis'], types: ['analysis'] })
    const answer = await fetch(`${url}/api/v1/analysis`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"One text."}' },
    })
    expect(answer.status).toBe(202)
  } finally {
    child.kill('SIGTERM')
    await once(child, 'close')
  }
})

test('every file that it names is there', () => {
  for (const [, path] of README.matchAll(/\]\(([^)]+)\)/g))
    expect(() => readFileSync(new URL(path!, import.meta.url)), path).not.toThrow(/ENOENT/)
})
