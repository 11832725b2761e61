import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadJobs } from './load-jobs.js'
import { HELLO } from './sample.js'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-jobs-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const put = (path: string, text: string) => {
  mkdirSync(dirname(join(cwd, path)), { recursive: true })
  writeFileSync(join(cwd, path), text)
}
const load = (lastGood?: Awaited<ReturnType<typeof loadJobs>>['goodOf']) => loadJobs({ dir: 'jobs', cwd, lastGood })
const names = ({ handlers }: { handlers: readonly { definition: { name: string } }[] }) =>
  handlers.map((one) => one.definition.name)
const job = (name: string, more = '') =>
  `import { defineJob, jsonSchema } from 'untildone'\n${more}\nexport const handler = defineJob('${name}', { input: jsonSchema({ type: 'object' }) }).handler(async () => null)\n`

it('loads the sample where nothing is installed', async () => {
  put('jobs/hello.ts', HELLO)
  const { handlers, fileOf, broken } = await load()
  expect([names({ handlers }), broken]).toEqual([['hello'], []])
  expect(fileOf.get('hello')).toBe('jobs/hello.ts')
  expect(handlers[0]!.definition.inputSchema).toMatchObject({ properties: { name: { type: 'string' } } })
})

it('takes TypeScript and JavaScript, default exports and lists, from all folders below; not tests and types', async () => {
  put(
    'jobs/a.ts',
    job('a', 'enum Colour { Red }\ninterface X { a: string }\nexport const x: X = { a: String(Colour.Red) }'),
  )
  put('jobs/deep/b.mjs', job('b').replace('const handler =', 'const list = [').replace('null)\n', 'null)]\n'))
  put('jobs/c.js', job('c').replace('export const handler =', 'export default'))
  put('jobs/a.test.ts', job('not-me'))
  put('jobs/types.d.ts', 'export type X = 1')
  put('jobs/index.ts', `export * from './a.js'`)
  put('jobs/helper.ts', 'export const nothing = 1')
  expect(names(await load()).sort()).toEqual(['a', 'b', 'c'])
})

it('says of an isolated handler which file its process has to load, unless it says so itself', async () => {
  const isolated = (name: string, isolate: string) =>
    job(name).replace('.handler(', `.handler({ isolate: ${isolate} }, `)
  put('jobs/a.ts', isolated('a', `'process'`))
  put('jobs/b.ts', isolated('b', '{ module: import.meta.url }'))
  put('jobs/index.ts', `export * from './a.js'`)
  const { handlers } = await load()
  expect(handlers.map(({ settings }) => settings.isolate)).toMatchObject([
    { module: `file://${join(cwd, 'jobs/a.ts')}`, project: true },
    { module: `file://${join(cwd, 'jobs/b.ts')}`, project: false },
  ])
})

it('names the line of a file that cannot be parsed, and goes on with the others', async () => {
  put('jobs/good.ts', job('good'))
  put('jobs/hello.ts', 'const a = 1\nexport const b = {{\n')
  const { handlers, broken } = await load()
  expect(names({ handlers })).toEqual(['good'])
  expect(broken.map((one) => one.code)).toEqual(['job-file-broken'])
  expect(broken[0]!.message).toMatch(/^jobs\/hello\.ts has an error\. \(line 2: Unexpected token/)
})

it('names the line of the own file where an error is thrown, also from a helper', async () => {
  put('jobs/hello.ts', 'interface X {\n  a: string\n}\nconst x = 1\nconver(x)\n')
  put('jobs/other.ts', `import { fails } from '../lib/fails.js'\nfails()\n`)
  put('lib/fails.ts', 'type T = string\n\nexport function fails(): T {\n  throw new Error("no licence")\n}\n')
  const { broken } = await load()
  expect(broken.map((one) => one.message)).toEqual([
    'jobs/hello.ts has an error. (line 5: conver is not defined)',
    'lib/fails.ts has an error. (line 4: no licence)',
  ])
})

it('says which file misses a package', async () => {
  put('jobs/hello.ts', `import 'no-such-package-here'\n`)
  const { broken } = await load()
  expect(broken[0]!.message).toMatch(
    /^jobs\/hello\.ts has an error\. \(.*Cannot find (module|package) 'no-such-package-here'/,
  )
})

it('refuses two files with the same name', async () => {
  put('jobs/ocr.ts', job('ocr'))
  put('jobs/scan.ts', job('ocr'))
  await expect(load()).rejects.toMatchObject({
    code: 'duplicate-job-type',
    message: expect.stringMatching(/^jobs\/ocr\.ts and jobs\/scan\.ts both define "ocr"/),
  })
})

it('says so when there is nothing, or only half of it', async () => {
  await expect(load()).rejects.toMatchObject({ code: 'no-jobs-found', message: expect.stringContaining('./jobs') })
  put(
    'jobs/half.ts',
    `import { defineJob, jsonSchema } from 'untildone'\nexport const half = defineJob('half', { input: jsonSchema({}) })`,
  )
  await expect(load()).rejects.toMatchObject({
    code: 'no-jobs-found',
    message: expect.stringContaining('jobs/half.ts defines a job and has no handler'),
  })
})

it('reads edited files and helpers again, and keeps the last good version of a broken one', async () => {
  put('lib/name.ts', `export const name = 'one'`)
  put('jobs/hello.ts', job('x', `import { name } from '../lib/name.js'`).replace(`'x'`, 'name'))
  const first = await load()
  expect(names(first)).toEqual(['one'])
  expect(first.folders).toEqual(expect.arrayContaining([join(cwd, 'jobs'), join(cwd, 'lib')]))
  put('lib/name.ts', `export const name = 'two'`)
  const second = await load(first.goodOf)
  expect(names(second)).toEqual(['two'])
  put('jobs/hello.ts', 'export const = ')
  const third = await load(second.goodOf)
  expect([names(third), third.broken.length]).toEqual([['two'], 1])
  expect(third.handlers[0]).toBe(second.handlers[0])
  put('jobs/hello.ts', job('three'))
  expect(names(await load(third.goodOf))).toEqual(['three'])
})

const SCHEDULE = `import { defineSchedule } from 'untildone'
import { handler } from './a.js'
export const nightly = defineSchedule({ id: 'nightly', definition: handler.definition, input: {}, cron: '@daily' })
`

it('finds schedules beside the jobs; a broken file keeps what it declared', async () => {
  put('jobs/a.ts', job('a'))
  put('jobs/plan.ts', SCHEDULE)
  put('jobs/index.ts', `export * from './plan.js'`)
  const first = await load()
  expect(first.schedules.map(({ id, cron, definition }) => [id, cron, definition.name])).toEqual([
    ['nightly', '@daily', 'a'],
  ])
  put('jobs/plan.ts', '{{')
  const second = await load(first.goodOf)
  expect([second.broken.length > 0, second.schedules.map(({ id }) => id)]).toEqual([true, ['nightly']])
  put('jobs/plan.ts', SCHEDULE)
  put('jobs/again.ts', SCHEDULE)
  await expect(load()).rejects.toMatchObject({ code: 'bad-definition', message: 'Two schedules are called "nightly".' })
})
