import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-story-'))
  mkdirSync(join(cwd, 'jobs'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const write = (name: string, text: string) => writeFileSync(join(cwd, 'jobs', name), text)
const job = (options: string, body: string) => `
  import { defineJob, until } from 'untildone'
  import { z } from 'zod'
  export const pay = defineJob('pay', { input: z.object({ order: z.string() }), stages: ['charge'] })
    .handler(${options}, async (job) => { ${body} })`
const WHOLE = "{ retry: until({ within: '1h' }), target: { p95: '1m' } }"

async function ud(...argv: string[]) {
  const io = fakeIo({ cwd, env: {} })
  const exit = await run(argv, io)
  return { exit, out: io.stdout, err: io.stderr }
}
const story = (...argv: string[]) => ud('types', 'story', ...argv)

describe('types story --jobs', () => {
  it('runs each handler dry over its committed example', async () => {
    write(
      'pay.ts',
      job(
        WHOLE,
        `const { total } = await job.step('price', () => { throw new Error('acted') })
      for (let n = 0; n < total; n++) await job.step('item-' + n, () => 1)`,
      ),
    )
    write('pay.example.json', '{ "input": { "order": "o-1" }, "values": { "price": { "total": 2 } } }')
    const { exit, out, err } = await story('--jobs', 'jobs')
    expect([exit, err]).toEqual([0, ''])
    expect(out).toMatch(/^# pay\n/)
    expect(out).toContain('- `item-*` (2 in this run): may be repeated under the same key; nothing undoes it.')
    const { items } = JSON.parse((await story('--jobs', 'jobs', '--json')).out)
    expect(items[0].steps.map(({ key }: { key: string }) => key)).toEqual(['price', 'item-*'])
    expect(JSON.parse((await story('pay', '--jobs', 'jobs', '--json')).out).type).toBe('pay')
  })

  it('--check fails on each finding, with its fix', async () => {
    write('pay.ts', job('{}', "await job.stage('charge', () => job.step('pay', () => 1, { effect: 'once' }))"))
    const { exit, out } = await story('--jobs', 'jobs', '--check')
    expect(exit).toBe(1)
    expect(out).toContain(
      'pay  no-target\n  "pay" has no target: nothing says when a job of it is late.\n  → Say when 95 % should be done: target: { p95: \'2m\' }\n',
    )
    expect(out).toContain('pay  no-give-up-rule\n')
    expect(out).toContain('pay  once-without-confirm\n  "charge/pay" must happen once')
    expect(out).toMatch(/\n1 type checked, 3 findings\.\n$/)
    const both = await story('--jobs', 'jobs', '--check', '--json')
    expect([both.exit, JSON.parse(both.out).items[0].findings.length]).toEqual([1, 3])
  })

  it('--check is content with a type that says everything', async () => {
    write('pay.ts', job(WHOLE, "await job.step('pay', () => 1, { effect: 'once', confirm: () => 'unknown' })"))
    expect(await story('pay', '--jobs', 'jobs', '--check')).toEqual({
      exit: 0,
      out: '1 type checked, 0 findings.\n',
      err: '',
    })
  })

  it.each([
    ['a type that is not there', ['nope', '--jobs', 'jobs'], 5, 'There are: pay'],
    ['a job and job files at once', ['pay', '--jobs', 'jobs', '--from', 'x'], 2, 'Leave one of them out.'],
    ['a job without its type', ['--from', 'x'], 2, 'untildone types story <type> --from <id>'],
  ])('refuses %s', async (_, argv, exit, fix) => {
    write('pay.ts', job(WHOLE, ''))
    expect(await story(...argv)).toMatchObject({ exit, err: expect.stringContaining(fix) })
  })

  it.each([
    ['is no JSON', '{', 'is no JSON'],
    ['has no input', '{}', 'has no "input"'],
    ['does not fit', '{ "input": {} }', 'does not fit'],
  ])('refuses an example that %s', async (_, text, said) => {
    write('pay.ts', job(WHOLE, ''))
    write('pay.example.json', text)
    const { exit, err } = await story('--jobs', 'jobs')
    expect([exit, err]).toEqual([2, expect.stringContaining(said)])
  })
})
