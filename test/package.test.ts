/**
 * The package as people get it: packed, installed into a fresh project, imported by every subpath, type-checked, and run
 * from the command line. Nothing here reads src/.
 */
import { cpSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort, install, type Packed, packFresh, write } from './support/consumer.js'
import { exec, must, processesIn, start } from './support/programs.js'

const ROOT = realpathSync(join(import.meta.dirname, '..'))
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const SUBPATHS: string[] = Object.keys(manifest.exports).filter((path) => path !== './package.json')
const nameOf = (subpath: string) => subpath.replace('.', 'untildone')

const HELLO = `import { defineJob } from 'untildone'
import { z } from 'zod'

export const hello = defineJob('hello', {
  input: z.object({ name: z.string() }),
  output: z.object({ greeting: z.string() }),
}).handler(async (job) => {
  const greeting = await job.step('greet', () => \`Hello, \${job.input.name}!\`)
  return { greeting }
})
`

/** The schemas come from a zod that is not the one of the package. */
const OTHER_ZOD = `import { createUntildone, defineJob, isUntildoneError, sqlite } from 'untildone'
import { z } from 'zod'
const double = defineJob('double', { input: z.object({ n: z.number() }), output: z.object({ twice: z.number() }) })
const app = await createUntildone({ store: sqlite(':memory:'), filesDir: 'files', handlers: [double.handler(async (job) => ({ twice: job.input.n * 2 }))] })
await app.start()
const result = await (await app.submit(double, { n: 21 })).result()
const refused = await app.submit(double, { n: 'x' }).then(() => null, (error) => isUntildoneError(error) && error.code)
await app.stop()
console.log(JSON.stringify({ result, refused }))
`

/** Between its attempts nothing but a timer knows of the job. */
const RETRIED = `import { createUntildone, defineJob, sqlite, until } from 'untildone'
import { z } from 'zod'
const flaky = defineJob('flaky', { input: z.object({}), output: z.object({ attempt: z.number() }) })
const handler = flaky.handler({ retry: until({ backoff: { delays: ['300ms'] } }) }, async (job) => {
  if (job.attempt === 1) throw new Error('not yet')
  return { attempt: job.attempt }
})
const app = await createUntildone({ store: sqlite(':memory:'), filesDir: 'files', handlers: [handler] })
await app.start()
console.log(JSON.stringify(await (await app.submit(flaky, {})).result()))
await app.stop()
`

let packed: Packed
let project: string
let unreachable: string | null

beforeAll(async () => {
  packed = await packFresh()
  project = join(packed.folder, 'my jobs')
  cpSync(join(ROOT, 'node_modules/zod'), join(packed.folder, 'zod'), { recursive: true })
  const other = JSON.parse(readFileSync(join(packed.folder, 'zod/package.json'), 'utf8'))
  write(packed.folder, { 'zod/package.json': JSON.stringify({ ...other, version: '4.0.0-other' }) })
  write(project, {
    'package.json': JSON.stringify({ name: 'my-jobs', private: true, type: 'module' }),
    'jobs/hello.ts': HELLO,
    'other-zod.mjs': OTHER_ZOD,
    'retried.mjs': RETRIED,
  })
  unreachable = await install(project, [packed.tarball, join(packed.folder, 'zod')])
}, 400_000)

beforeEach((context) => {
  if (unreachable) context.skip(unreachable)
})

afterAll(() => {
  if (packed) rmSync(packed.folder, { recursive: true, force: true })
})

const node = (...args: string[]) => must(process.execPath, args, { cwd: project })

describe('the tarball', () => {
  it('holds what is needed and nothing else', () => {
    expect(packed.files).toEqual(
      expect.arrayContaining([
        'package.json',
        'LICENSE',
        'README.md',
        'bin/untildone.js',
        'dist/index.js',
        'dist/index.d.ts',
      ]),
    )
    expect(packed.files).toEqual(
      expect.arrayContaining(['dist/reference/swagger-ui-bundle.js', 'dist/reference/LICENSE']),
    )
    const odd = packed.files.filter(
      (file) =>
        !/^(package\.json|LICENSE|README\.md|bin\/untildone\.js|dist\/reference\/[\w.-]+|dist\/[\w./-]+\.(js|d\.ts))$/.test(
          file,
        ),
    )
    expect(odd).toEqual([])
    expect(packed.files.filter((file) => /\.test\.|\/fakes\//.test(file))).toEqual([])
    expect(packed.bytes).toBeLessThan(1_500_000)
  })

  it('names no path and no address of the machine that built it', () => {
    for (const file of packed.files) {
      expect(readFileSync(join(project, 'node_modules/untildone', file), 'utf8').includes(ROOT), file).toBe(false)
    }
  })
})

describe('imports', () => {
  it.each(SUBPATHS)('%s from ESM, and by require() where that is given', async (subpath) => {
    const name = JSON.stringify(nameOf(subpath))
    const imported = await namesOf(subpath)
    const required = JSON.parse(
      await node('--input-type=commonjs', '-e', `console.log(JSON.stringify(Object.keys(require(${name}))))`),
    )
    expect(imported.length).toBeGreaterThan(0)
    expect(required.filter((key: string) => key !== '__esModule').sort()).toEqual([...imported].sort())
  })

  it('export the names of exported-names.json', async () => {
    await expect(`${JSON.stringify(await exportedNames(), null, 2)}\n`).toMatchFileSnapshot('exported-names.json')
  })

  it('give a browser the definitions only', async () => {
    const code = `console.log(import.meta.resolve('untildone'))`
    expect(await node('--conditions=browser', '--input-type=module', '-e', code)).toMatch(
      /\/dist\/define\/index\.js\n$/,
    )
    expect(nodeModulesReached('./define')).toEqual([])
    expect(nodeModulesReached('./client')).toEqual([])
  })

  it('work with the schemas of another copy of zod', async () => {
    const [own, theirs] = ['untildone/node_modules/zod', 'zod'].map((path) =>
      realpathSync(join(project, 'node_modules', path)),
    )
    expect(own).not.toBe(theirs)
    expect(JSON.parse(await node('other-zod.mjs'))).toEqual({ result: { twice: 42 }, refused: 'input-invalid' })
  })

  it('keep a program alive while its jobs wait for their next attempt, and let it end after stop()', async () => {
    expect(JSON.parse(await node('retried.mjs'))).toEqual({ attempt: 2 })
  })

  it('type-check under strict, declarations included', async () => {
    const compilerOptions = {
      ...{ target: 'ES2023', module: 'NodeNext', lib: ['ES2023', 'DOM', 'DOM.Iterable'], strict: true, noEmit: true },
      ...{ types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] },
    }
    write(project, {
      'everything.ts': SUBPATHS.map((subpath, i) => `export * as m${i} from '${nameOf(subpath)}'`).join('\n'),
      'tsconfig.json': JSON.stringify({ compilerOptions, files: ['jobs/hello.ts', 'everything.ts'] }),
    })
    const tsc = join(ROOT, 'node_modules/ts7/bin/tsc')
    const { code, stdout } = await exec(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], { cwd: project })
    expect(code === 0 || stdout.includes('error TS'), stdout).toBe(true)
    // Declarations of other packages may have errors of their own.
    expect(
      stdout.split('\n').filter((line) => /error TS/.test(line) && !/^node_modules\/(?!untildone\/dist)/.test(line)),
    ).toEqual([])
  })
})

describe('the command line', () => {
  it('knows its version, under both names', async () => {
    for (const name of ['untildone', 'ud']) {
      expect(await must('npx', ['--no', name, 'version'], { cwd: project })).toContain(manifest.version)
    }
  })

  it('runs a job file with `untildone dev` and leaves nothing behind', async () => {
    const dev = start('npx', ['--no', 'untildone', 'dev', '--json', '--port', String(await freePort())], {
      cwd: project,
    })
    try {
      const [line] = await dev.until(/^.*"event":"ready".*$/m)
      const ready = JSON.parse(line)
      const post = await fetch(`${ready.api}/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ type: 'hello', input: { name: 'Ada' } }),
      })
      expect(post.status).toBe(202)
      const { id } = (await post.json()) as { id: string }
      const job = (await (await fetch(`${ready.api}/jobs/${id}?wait=20`)).json()) as { status: string; result: unknown }
      expect(job).toMatchObject({ status: 'completed', done: true, result: { greeting: 'Hello, Ada!' } })
      // npx does not hand SIGTERM on through its shell, so it goes to the program itself.
      process.kill(ready.pid, 'SIGTERM')
      expect(await dev.ended).toBe(0)
      await expect.poll(() => processesIn(project), { timeout: 10_000 }).toEqual([])
    } finally {
      dev.kill('SIGKILL', 'group')
    }
  }, 120_000)
})

/** What each subpath exports at run time, and the names that exist as types only. */
async function exportedNames(): Promise<Record<string, { values: string[]; types: string[] }>> {
  const names: Record<string, { values: string[]; types: string[] }> = {}
  const typesOf = (subpath: string) => join(project, 'node_modules/untildone', manifest.exports[subpath].types)
  const program = ts.createProgram(SUBPATHS.map(typesOf), { module: ts.ModuleKind.NodeNext, noLib: true })
  const checker = program.getTypeChecker()
  for (const subpath of SUBPATHS) {
    const values = [...(await namesOf(subpath))].sort()
    const file = checker.getSymbolAtLocation(program.getSourceFile(typesOf(subpath))!)!
    const declared = checker.getExportsOfModule(file).map((symbol) => symbol.name)
    expect(declared).toEqual(expect.arrayContaining(values))
    names[nameOf(subpath)] = { values, types: declared.filter((name) => !values.includes(name)).sort() }
  }
  return names
}

/** Each in a program of its own, where nothing else was imported before; asked once. */
const asked = new Map<string, Promise<string[]>>()
function namesOf(subpath: string): Promise<string[]> {
  const code = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(nameOf(subpath))}))))`
  const names = asked.get(subpath) ?? node('--input-type=module', '-e', code).then((text) => JSON.parse(text))
  asked.set(subpath, names)
  return names
}

/** node: modules that an entry reaches through files of the package. */
function nodeModulesReached(subpath: string): string[] {
  const seen = new Set<string>()
  const reached: string[] = []
  const visit = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const { fileName } of ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles) {
      if (fileName.startsWith('.')) visit(join(file, '..', fileName))
      else if (fileName.startsWith('node:')) reached.push(`${file} imports ${fileName}`)
    }
  }
  visit(join(project, 'node_modules/untildone', manifest.exports[subpath].default))
  return reached
}
