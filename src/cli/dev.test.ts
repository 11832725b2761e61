import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { isBuilt } from '../../scripts/lib/ensure.mjs'
import { readNote } from './address.js'
import { fakeIo } from './fake-io.mjs'
import { freePort } from './ports.js'
import type { run as Run } from './program.js'

// Real processes and a real store: the first-run path as a newcomer walks it, with the compiled program, because the
// child of `dev` is a process of its own. Where dist/ is of other sources, it is compiled below node_modules, so that it
// finds the dependencies.
const root = resolve(import.meta.dirname, '../..')
const fresh = isBuilt()
const built = fresh ? root : join(root, 'node_modules/.cache/untildone-cli-test')
let run: typeof Run
let cwd: string
beforeAll(async () => {
  if (!fresh) compile()
  run = (await import(join(built, 'dist/cli/program.js'))).run
}, 120_000)
function compile() {
  const compiler = join(root, 'node_modules/ts7/bin/tsc')
  // Type errors are another check's business; whatever can be emitted is.
  spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(built, 'dist')])
  copyFileSync(join(root, 'package.json'), join(built, 'package.json'))
}
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-dev-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

async function ud(...line: string[]) {
  const io = fakeIo({ cwd })
  const exit = await run(line, io)
  return { exit, out: io.stdout, err: io.stderr }
}
/** Starts a command that runs on; `saw` waits for text, and gives up when the command ends before. */
function start(line: string[], options: Parameters<typeof fakeIo>[0] = {}) {
  const io = fakeIo({ cwd, ...options })
  const ended = run(line, io)
  const over = ended.then((exit) => Promise.reject(new Error(`ended with ${exit}:\n${io.stdout}${io.stderr}`)))
  over.catch(() => {})
  const saw = (pattern: RegExp) => Promise.race([io.saw(pattern), over]) as Promise<RegExpMatchArray>
  return { io, ended, saw }
}
const jobFile = () => join(cwd, 'jobs/hello.ts')
const edit = (from: string | RegExp, to: string) =>
  writeFileSync(jobFile(), readFileSync(jobFile(), 'utf8').replace(from, to))
const port = async () => String(await freePort(20_000 + (process.pid % 20_000), '127.0.0.1'))

it('first run without a terminal: init, dev, submit, look, edit, break, stop', async () => {
  expect((await ud('init', '--sample')).exit).toBe(0)
  // The sample takes seconds on purpose; here only its shape counts.
  edit('pause(1000)', 'pause(10)')
  edit("from: '2s'", "from: '10ms'")
  const { io, ended, saw } = start(['dev', '--json', '--port', await port()])
  await saw(/\{"event":"ready".*\n/)
  expect(JSON.parse(io.stdout.split('\n')[0]!)).toMatchObject({
    event: 'ready',
    types: ['hello'],
    url: expect.stringMatching(/^http:\/\/localhost:\d+$/),
  })
  expect(readNote(join(cwd, '.untildone'))).toMatchObject({ kind: 'dev', pid: process.pid })

  const submitted = await ud('submit', 'hello', 'name=Grace', '--wait', '--key', 'once')
  expect([submitted.exit, JSON.parse(submitted.out)]).toEqual([0, { text: 'Hello Grace' }])
  expect(submitted.err).toMatch(/↻ try 1 .*the engine crashed.*, transient\n/)
  expect((await ud('submit', 'hello', 'name=Grace', '--key', 'once')).out).toContain('the same job')
  expect(await ud('submit', 'hello', 'name=Ada', '--key', 'once')).toMatchObject({ exit: 6, out: '' })

  const id = (await ud('jobs', 'list', '--quiet')).out.trim()
  expect((await ud('jobs', 'tries', id)).out).toMatch(/1 {2}did not work .*\n?/)
  expect((await ud('jobs', 'steps', id)).out).toMatch(/^STEP.*\nfetch .*\nconvert .*\npublish /)
  expect((await ud('jobs', 'history', id, '--ndjson')).out.trim().split('\n')).toHaveLength(5)
  expect((await ud('jobs', 'cancel', id)).exit).toBe(6)
  expect((await ud('doctor')).exit).toBe(0)
  expect((await ud('submit', 'helo')).exit).toBe(5)
  expect(await ud('dev')).toMatchObject({ exit: 6, err: expect.stringContaining('A server runs here already') })

  edit('Hello ', 'Servus ')
  await saw(/"event":"reloaded"/)
  expect(JSON.parse((await ud('submit', 'hello', '--wait')).out)).toEqual({ text: 'Servus Ada' })
  edit('const name', 'cnst name')
  await saw(
    /"event":"job-file-broken".*jobs\/hello\.ts has an error, so the last good version keeps running\. \(line \d+: /,
  )
  expect(JSON.parse((await ud('submit', 'hello', '--wait')).out)).toEqual({ text: 'Servus Ada' })

  const events = io.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(events.filter((one) => one.id === id).map((one) => one.status)).toEqual(
    expect.arrayContaining(['accepted', 'processing', 'completed']),
  )
  expect(events.filter((one) => one.id === id).at(-1)).toMatchObject({ status: 'completed', attempt: 2 })
  io.interrupt()
  expect(await ended).toBe(0)
  expect(readNote(join(cwd, '.untildone'))).toBeNull()
  expect((await ud('jobs', 'list', '--url', events[0].url)).exit).toBe(3)
}, 60_000)

it('on a terminal: t runs the sample, k kills the worker and the job completes, q quits', async () => {
  await ud('init')
  // Long enough for the kill to fall into the first try on a busy machine.
  edit('pause(1000)', 'pause(5000)')
  const { io, ended, saw } = start(['dev', '--port', await port()], { columns: 80, env: { NO_COLOR: '1' } })
  await saw(/t run "hello" .* q quit/)
  expect(io.stdout).toContain('Jobs in ./jobs\n    hello     3 stages    gives up after 30 m')
  io.press('t')
  await saw(/hello {2}[0-9a-f]{8} {2}processing {2}2\/3 Convert/)
  io.press('k')
  await saw(/worker killed \(SIGKILL, pid \d+\); starting it again/)
  await saw(/the worker is back; 1 job goes on where it was/)
  await saw(/completed {3}[\d.]+ s, 2 tries\n.*\/v1\/jobs\//)
  expect(io.stdout).toContain('Your first job is done, after one try that did not work.')
  expect(io.stdout).not.toContain('failed')
  io.press('q')
  expect(await ended).toBe(0)
}, 60_000)

it('a job that ends its own process is tried again in a new one', async () => {
  await ud('init')
  edit(
    "throw new Transient('the engine crashed (on purpose, in the first try)')",
    'process.kill(process.pid, "SIGKILL")',
  )
  edit('pause(1000)', 'pause(10)')
  const { io, ended, saw } = start(['dev', '--port', await port()])
  await saw(/^ready /)
  expect((await ud('submit', 'hello', '--wait')).exit).toBe(0)
  expect(io.stdout).toContain('the worker ended (SIGKILL); starting it again')
  io.interrupt()
  expect(await ended).toBe(0)
}, 60_000)

it('says why it cannot start, and leaves nothing behind', async () => {
  expect(await ud('dev', '--port', await port())).toMatchObject({
    exit: 2,
    err: expect.stringMatching(
      /^✕ No jobs found in \.\/jobs\..*\n {2}→ Create one: npx untildone init --sample\n {2}no-jobs-found\n$/,
    ),
  })
  await ud('init')
  expect(await ud('dev', '--facades', 'none.json', '--port', await port())).toMatchObject({
    exit: 2,
    err: expect.stringContaining('none.json does not exist.'),
  })
  edit('const name', 'cnst name')
  expect(await ud('serve', '--port', await port())).toMatchObject({
    exit: 2,
    err: expect.stringContaining('jobs/hello.ts has an error. (line'),
  })
}, 60_000)

it('serve runs until it is asked to stop, and never twice over one database', async () => {
  await ud('init')
  const submit = { op: 'submit', method: 'POST', path: '/old', map: { type: 'hello' }, respond: { id: '$job.id' } }
  writeFileSync(join(cwd, 'old.json'), JSON.stringify({ name: 'old', status: 'openai', routes: [submit] }))
  const { io, ended, saw } = start(['serve', '--json', '--port', '0', '--facades', 'old.json'])
  const [, url] = await saw(/"event":"ready","url":"([^"]+)".*"facades":\["old"\]/)
  expect((await ud('types', 'list', '--json')).out).toContain('"hello"')
  expect(await ud('serve', '--port', '0')).toMatchObject({ exit: 6, err: expect.stringContaining('store-in-use') })
  expect((await ud('serve', '--port', url!.split(':').pop()!, '--data', 'other')).err).toMatch(
    /is in use \(.*pid \d+\)/,
  )
  io.interrupt()
  expect(await ended).toBe(0)
  expect(
    io.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event),
  ).toEqual(['ready', 'stopping', 'stopped'])
}, 60_000)
