import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fakeIo } from '../fake-io.mjs'
import { run } from '../program.js'

let cwd: string
beforeEach(() => {
  cwd = join(mkdtempSync(join(tmpdir(), 'untildone-init-')), 'My Jobs')
  mkdirSync(cwd)
})
afterEach(() => rmSync(join(cwd, '..'), { recursive: true }))
const init = async (...more: string[]) => {
  const io = fakeIo({ cwd })
  expect(await run(['init', ...more], io)).toBe(0)
  return io
}
const read = (path: string) => readFileSync(join(cwd, path), 'utf8')

it('makes three files, and says what to do next', async () => {
  const { stdout, stderr } = await init('--sample')
  expect(readdirSync(cwd).sort()).toEqual(['.gitignore', 'jobs', 'package.json'])
  expect(JSON.parse(read('package.json'))).toMatchObject({
    name: 'my-jobs',
    type: 'module',
    scripts: { dev: 'untildone dev' },
  })
  expect(stdout).toMatch(/made {2}jobs\/hello\.ts .*\nmade {2}package\.json .*\nmade {2}\.gitignore/)
  expect(stderr).toContain('npx untildone dev')
})

it('leaves every file that is there as it is, and says what is then missing', async () => {
  writeFileSync(join(cwd, 'package.json'), '{"name":"mine"}')
  writeFileSync(join(cwd, '.gitignore'), 'node_modules\n')
  mkdirSync(join(cwd, 'jobs'))
  writeFileSync(join(cwd, 'jobs/hello.ts'), '// mine')
  const { stdout, stderr } = await init('--sample')
  expect([read('package.json'), read('.gitignore'), read('jobs/hello.ts')]).toEqual([
    '{"name":"mine"}',
    'node_modules\n',
    '// mine',
  ])
  expect(stdout.match(/^kept/gm)).toHaveLength(3)
  expect(stderr).toContain('npm install untildone zod')
  expect(stderr).toContain('echo .untildone/ >> .gitignore')
})

it('does not send to npm again whoever has installed it', async () => {
  const both = { dependencies: { untildone: '0.1.0', zod: '4' } }
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ dependencies: { untildone: '0.1.0' } }))
  expect((await init()).stderr).toContain('npm install zod  ')
  writeFileSync(join(cwd, 'package.json'), JSON.stringify(both))
  expect((await init()).stderr).not.toContain('npm install')
})

it('adds no sample beside other jobs unless asked to', async () => {
  mkdirSync(join(cwd, 'jobs'))
  writeFileSync(join(cwd, 'jobs/ocr.ts'), '')
  await init()
  expect(readdirSync(join(cwd, 'jobs'))).toEqual(['ocr.ts'])
  await init('--sample')
  expect(readdirSync(join(cwd, 'jobs'))).toEqual(['hello.ts', 'ocr.ts'])
})
