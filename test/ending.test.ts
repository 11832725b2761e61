// A command ends when it is through, whatever the files that it loaded hold open.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { exec, start } from './support/programs.js'

const BIN = join(import.meta.dirname, '../bin/untildone.js')
/** Long on a busy machine; a process that is held open never ends. */
const timeoutMs = 20_000

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-ending-'))
  mkdirSync(join(cwd, 'jobs'))
  writeFileSync(
    join(cwd, 'jobs/open.ts'),
    `import { defineJob, jsonSchema } from 'untildone'
setInterval(() => {}, 1000)
export const open = defineJob('open', { input: jsonSchema({ type: 'object' }) }).handler(async () => null)
`,
  )
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

it('doctor prints its whole report and ends', async () => {
  const { code, stdout } = await exec(process.execPath, [BIN, 'doctor', '--json'], { cwd, timeoutMs })
  expect(JSON.parse(stdout).checks).toContainEqual(expect.objectContaining({ what: 'job files', state: 'ok' }))
  expect(code).not.toBeNull()
})

it('serve ends after TERM, with exit code 0', async () => {
  const serve = start(process.execPath, [BIN, 'serve', '--port', '0', '--json'], { cwd })
  try {
    await serve.until(/"event":"ready"/)
    serve.kill('SIGTERM')
    await serve.until(/"event":"stopped"/)
    setTimeout(() => serve.kill('SIGKILL'), timeoutMs).unref()
    expect(await serve.ended).toBe(0)
  } finally {
    serve.kill('SIGKILL')
  }
})

it('serve says that it waits for a database that is away, and ends at TERM while it does', async () => {
  const args = [BIN, 'serve', '--port', '0', '--json', '--database', 'postgres://jobs:secret@127.0.0.1:1/none']
  const serve = start(process.execPath, args, { cwd })
  try {
    await serve.until(/"event":"waiting","store":"PostgreSQL 127\.0\.0\.1:1\/none \(schema untildone\)"/)
    const asked = performance.now()
    serve.kill('SIGTERM')
    await serve.until(/"event":"stopped"/)
    setTimeout(() => serve.kill('SIGKILL'), timeoutMs).unref()
    expect(await serve.ended).toBe(0)
    // It would have gone on trying for ten seconds.
    expect(performance.now() - asked).toBeLessThan(5000)
  } finally {
    serve.kill('SIGKILL')
  }
})

it('serve that cannot start says why and ends', async () => {
  const args = [BIN, 'serve', '--port', '0', '--json', '--webhook-allow', '10.0.0.0/99']
  const { code, stderr } = await exec(process.execPath, args, { cwd, timeoutMs })
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'bad-definition' } })
  expect(code).toBe(2)
})
