// The lines of the README, in their order: each command is sent as it stands there but for the ports, and where an answer is
// shown, that is among what comes back.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from 'untildone/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Command, commandsOf } from '../readme-commands.js'
import { keptKeys } from './people.js'
import { openShop } from './shop/open.js'
import type { RunningShop } from './shop/server.js'
import { type Running, start } from './start.js'

const README = readFileSync(new URL('README.md', import.meta.url), 'utf8')

let dir = ''
let shop: RunningShop
let running: Running
/** What `$SAM` and the others stand for. */
const variables: Record<string, string> = {}
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-refund-readme-'))
  shop = await openShop(join(dir, 'shop.db'))
  running = await start({ dataDir: dir, shop: shop.url })
  const keys = await keptKeys(running.app, join(dir, 'people.env'))
  for (const [id, key] of Object.entries(keys)) variables[id.toUpperCase()] = key
  // The second time they are the same ones.
  expect(await keptKeys(running.app, join(dir, 'people.env'))).toEqual(keys)
})
afterAll(async () => {
  await running?.stop()
  await shop?.close()
  rmSync(dir, { recursive: true, force: true })
})

function here(text: string): string {
  return text
    .replaceAll('http://localhost:8000', running.url)
    .replaceAll('http://localhost:8001', shop.url)
    .replace(/\$(\w+)/g, (_, name) => variables[name] ?? `$${name} is not known`)
}

async function send({ method, url, headers, body }: Command) {
  const filled = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, here(value)]))
  const response = await fetch(here(url), { method, headers: filled, body: body && here(body) })
  return { response, got: (await response.json()) as any }
}

function remember(got: any): void {
  const card = Array.isArray(got.items) ? got.items[0] : got
  if (card?.id?.startsWith('apr_')) Object.assign(variables, { APPROVAL: card.id, DIGEST: card.digest })
  if (got.type === 'agent.refund') variables.JOB = got.id
}

test('each command works and answers as shown', { timeout: 60_000 }, async () => {
  const all = commandsOf(README)
  expect(all.length).toBeGreaterThan(20)
  for (const command of all) {
    const { line, answer, url } = command
    let { response, got } = await send(command)
    // Whoever types is slower than the job.
    const slow = () => (answer ? !contains(got, answer) : url.includes('state=pending') && got.items.length === 0)
    if (command.method === 'GET' && slow())
      await until(
        async () => {
          ;({ response, got } = await send(command))
          return !slow()
        },
        line,
        10_000,
      ).catch(() => undefined)
    expect(response.ok || response.status === answer?.status, `${line}: ${JSON.stringify(got)}`).toBe(true)
    if (answer) expect(got, line).toMatchObject(answer)
    remember(got)
  }
})

function contains(got: unknown, part: unknown): boolean {
  try {
    expect(got).toMatchObject(part as object)
    return true
  } catch {
    return false
  }
}
