// The lines of the README, in their order: each command is sent as it stands there but for the ports, and where an answer
// is shown, what comes back has the same members.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { LOCAL } from 'untildone'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commandsOf } from '../readme-commands.js'
import { harbor, ledger, opal } from './sites/sites.js'
import { type Bench, bench, serveAll } from './support.js'

const README = readFileSync(new URL('README.md', import.meta.url), 'utf8')

let sites: Awaited<ReturnType<typeof serveAll>>
let jobs: Bench
beforeAll(async () => {
  sites = await serveAll(harbor(), ledger(), opal())
  jobs = await bench(sites.running)
})
afterAll(async () => {
  await jobs?.stop()
  await sites?.close()
})

/** Our own ports in place of those of serve.mjs. */
function here(text: string): string {
  const [harborSite, ledgerSite, opalSite] = sites.running
  return text
    .replaceAll('http://localhost:8000', jobs.url)
    .replaceAll('127.0.0.1:8001', harborSite!.host)
    .replaceAll('127.0.0.1:8002', ledgerSite!.host)
    .replaceAll('127.0.0.1:8003', opalSite!.host)
}

const there = (text: string) =>
  sites.running.reduce((said, { host }, index) => said.replaceAll(host, `127.0.0.1:${8001 + index}`), text)

/** Ids and instants are of the day. */
const timeless = (value: unknown) =>
  JSON.parse(
    there(JSON.stringify(value))
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id')
      .replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'at'),
  )

test('each command works and answers as shown', { timeout: 60_000 }, async () => {
  const all = commandsOf(README)
  expect(all.length).toBeGreaterThan(10)
  const statuses: string[] = []
  for (const { method, url, body, answer } of all) {
    const response = await fetch(here(url), {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: here(body) }),
    })
    const got = (await response.json()) as any
    expect(response.ok, `${method} ${url}: ${JSON.stringify(got)}`).toBe(true)
    if (answer) expect(timeless(got), `${method} ${url}`).toEqual(timeless(answer))
    if (method === 'POST') statuses.push(`${new URL(url).pathname} ${await end(got.jobId)}`)
  }
  expect(statuses).toEqual([
    '/discovery/demo/discovery completed',
    '/scrape/demo/scrape completed',
    '/digester/demo/digester completed',
    '/codegen/demo/codegen completed',
    '/documentation/demo/documentation completed',
    '/discovery/opal/discovery completed',
    '/scrape/opal/scrape completed',
    '/digester/opal/digester failed',
  ])
})

test('the command line takes the jobs and the older API as they are', { timeout: 60_000 }, async () => {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
  const args = [
    'serve',
    '--json',
    '--port',
    '0',
    '--data',
    join(jobs.dir, 'serve'),
    '--jobs',
    here('jobs'),
    '--facades',
    here('facade.ts'),
  ]
  const env = { ...process.env, CONNECTOR_DATA: join(jobs.dir, 'serve') }
  const child = spawn(process.execPath, [here('../../bin/untildone.js'), ...args], {
    cwd: jobs.dir,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    expect(JSON.parse(line)).toMatchObject({ event: 'ready', facades: ['connector-generator'] })
    const { url, types } = JSON.parse(line)
    expect(types).toHaveLength(5)
    expect(await (await fetch(`${url}/codegen/s/codegen?jobId=x`)).json()).toEqual({ jobId: 'x', status: 'not_found' })
  } finally {
    child.kill('SIGTERM')
    await once(child, 'close')
  }
})

async function end(id: string): Promise<string> {
  return (await jobs.app.engine.wait(LOCAL, id, { until: 'done', timeoutMs: 55_000 })).status
}
