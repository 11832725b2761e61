// The private directory: what goes in, what is taken out, and which directories a sweep may remove.
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processTotals, runProcess, sweepFiles, sweepWorkDirs } from './index.js'
import { ownerName, ownerState } from './owner.js'
import { collectFile, createWorkDir, removeWorkDir } from './work.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-work-test-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))
const sh = (script: string, more: Partial<Parameters<typeof runProcess>[0]> = {}) =>
  runProcess({ command: '/bin/sh', args: ['-c', script], ...more })
const refused = (code: string) => expect.objectContaining({ code })

describe('inputs and results', () => {
  it('inputs are there before the start, and a path is copied, not linked', async () => {
    const path = join(dir, 'scan.pdf')
    writeFileSync(path, 'pages')
    const outcome = await sh('cat input/a input/b; echo spoiled >input/b; stat -c %a .', {
      inputs: { a: 'text ', b: { path } },
    })
    expect(outcome.stdout.toString()).toBe('text pages700\n')
    expect(readFileSync(path, 'utf8')).toBe('pages')
    expect(await sh('true', { inputs: { a: { path: join(dir, 'missing') } } })).toMatchObject({ cause: 'spawn ENOENT' })
    for (const name of ['../a', 'a/b', '..', ''])
      await expect(sh('true', { inputs: { [name]: 'x' } })).rejects.toThrow(TypeError)
  })

  it('temporary files of an engine are made inside it, unless it runs in a directory of the caller', async () => {
    const { stdout } = await sh('echo "$TMPDIR $UNTILDONE_WORK"; touch "$TMPDIR/lu1.tmp"')
    const [temp, work] = stdout.toString().trim().split(' ')
    expect(temp).toBe(`${work}/tmp`)
    expect(existsSync(work!)).toBe(false)
    expect((await sh('echo "$TMPDIR"', { cwd: dir })).stdout.toString().trim()).toBe(process.env.TMPDIR ?? '')
  })

  it('results are taken out whole, with length and hash', async () => {
    const to = join(dir, 'out.txt')
    const outcome = await sh('echo result >output/r', { collect: [{ from: 'output/r', to }] })
    expect(outcome).toMatchObject({ ok: true, collected: [{ from: 'output/r', to, bytes: 7 }] })
    expect(outcome.collected[0]!.sha256).toMatch(/^[\da-f]{64}$/)
    expect(readFileSync(to, 'utf8')).toBe('result\n')
    expect(readdirSync(dir)).toEqual(['out.txt'])
  })

  it('a missing result is no success, and nothing is taken from a bad end', async () => {
    const collect = [{ from: 'output/r', to: join(dir, 'out') }]
    expect(await sh('true', { collect })).toMatchObject({
      ok: false,
      code: 0,
      cause: 'output missing',
      error: { code: 'output-missing' },
    })
    expect(await sh('echo half >output/r; exit 1', { collect })).toMatchObject({ cause: 'exit 1', collected: [] })
    expect(readdirSync(dir)).toEqual([])
  })

  it('no link is followed, in whatever part of the path, and nothing but a regular file is taken', async () => {
    const secret = join(dir, 'secret')
    writeFileSync(secret, 'of somebody else')
    const to = join(dir, 'out')
    const take = (script: string, from: string) => sh(script, { collect: [{ from, to }] })
    const no = { ok: false, cause: 'output refused', error: { code: 'output-refused' } }
    expect(await take(`ln -s ${secret} output/r`, 'output/r')).toMatchObject(no)
    expect(await take(`ln -s ${dir} output/d`, 'output/d/secret')).toMatchObject(no)
    expect(await take('true', `../${dir.split('/').at(-1)}/secret`)).toMatchObject(no)
    expect(await take('mkfifo output/r', 'output/r')).toMatchObject(no)
    expect(await take('mkdir output/r', 'output/r')).toMatchObject(no)
    expect(existsSync(to)).toBe(false)
  })

  it('a target that cannot be written leaves nothing half written', async () => {
    const work = await createWorkDir({}, dir)
    writeFileSync(join(work, 'r'), 'x')
    mkdirSync(join(dir, 'taken'))
    await expect(collectFile(work, 'r', join(dir, 'taken'))).rejects.toEqual(refused('output-write'))
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([])
    await removeWorkDir(work)
  })
})

describe('the envelope as a file', () => {
  const child = join(import.meta.dirname, 'child.ts')
  const jiti = join(import.meta.dirname, '../../node_modules/jiti/lib/jiti.mjs')
  const node = (script: string) =>
    runProcess({
      command: process.execPath,
      args: [
        '--input-type=module',
        '-e',
        `import { createJiti } from ${JSON.stringify(jiti)}
         import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
         const { writeEnvelope } = await createJiti(import.meta.url, { fsCache: false }).import(${JSON.stringify(child)})
         const path = process.env.UNTILDONE_RESULT
         ${script}`,
      ],
      envelope: 'file',
      maxOutputBytes: 100_000,
    })
  it('is whole or is not there', async () => {
    const whole = await node('writeEnvelope({ pages: 3 }); process.exit(0)')
    expect(whole).toMatchObject({ ok: true, envelope: { pages: 3 }, envelopeError: null })
    expect(whole.bytes.envelope).toBeGreaterThan(100)
    expect(await node('writeFileSync(path + ".tmp", "{")')).toMatchObject({ cause: 'envelope missing', ok: false })
    expect(await node('writeFileSync(path, "{")')).toMatchObject({ cause: 'envelope truncated', ok: false })
    expect(await node('writeEnvelope(1); renameSync(path, path + 1); symlinkSync(path + 1, path)')).toMatchObject({
      cause: 'envelope missing',
    })
    expect(await node('writeEnvelope("x".repeat(200_000))')).toMatchObject({ kind: 'output-limit', truncated: true })
  })
})

describe('what a sweep removes', () => {
  const place = ownerName().split('.').slice(0, 2).join('.')
  const make = (owner: string, ageMs = 0) => {
    const path = join(dir, `untildone-run-${owner}-aB3xYz`)
    mkdirSync(path)
    writeFileSync(join(path, 'file'), 'x'.repeat(10_000))
    symlinkSync(join(dir, 'precious'), join(path, 'link'))
    const then = (Date.now() - ageMs) / 1000
    utimesSync(path, then, then)
    return path
  }
  it('directories of dead supervisors; never one that lives, a strange one only after a day', async () => {
    writeFileSync(join(dir, 'precious'), 'keep')
    const day = 86_400_000
    const dead = make(`${place}.4194304.17`)
    const alive = make(ownerName(), 30 * day)
    const strange = make('00000000.4026531836.1.17')
    const old = make('00000000.4026531837.1.17', day + 1000)
    const odd = join(dir, 'untildone-run-notes')
    mkdirSync(odd)
    symlinkSync(dir, join(dir, `untildone-run-${place}.4194304.18-aB3xYz`))
    const before = processTotals().workDirs
    const swept = await sweepWorkDirs({ root: dir })
    expect(swept.dirs).toBe(2)
    expect(swept.bytes).toBeGreaterThanOrEqual(20_000)
    expect(processTotals().workDirs).toBe(before + 2)
    expect([dead, alive, strange, old, odd].map((path) => existsSync(path))).toEqual([false, true, true, false, true])
    expect(readFileSync(join(dir, 'precious'), 'utf8')).toBe('keep')
  })

  it('tells owners apart', () => {
    expect(ownerState(ownerName())).toBe('alive')
    expect(ownerState(`${place}.${process.pid}.17`)).toBe('dead')
    for (const text of ['', '1', 'a.b.c.d', `${place}.x.17`, `${place}.${process.pid}.0`, '0.0.1.1'])
      expect(ownerState(text), text).toBe('unknown')
  })

  it('temporary files by name, age, size and owner, but none that is open', async () => {
    const old = Date.now() / 1000 - 3600
    const put = (name: string, bytes = 1000, at = old) => {
      writeFileSync(join(dir, name), 'x'.repeat(bytes))
      utimesSync(join(dir, name), at, at)
    }
    put('lu1.tmp')
    put('lu2.tmp', 10)
    put('lu3.tmp', 1000, Date.now() / 1000)
    put('other')
    put('lu4.tmp')
    put('target')
    linkSync(join(dir, 'lu4.tmp'), join(dir, 'same'))
    symlinkSync(join(dir, 'target'), join(dir, 'lu5.tmp'))
    const what = { names: /^lu\d+\.tmp$/, olderThanMs: 60_000, largerThanBytes: 100 }
    expect(await sweepFiles(dir, { ...what, owner: 12345 })).toEqual({ files: 0, bytes: 0 })
    const stop = new AbortController()
    const holder = sh('exec 4<same; echo held; cat >/dev/null; sleep 60', {
      cwd: dir,
      timeoutMs: 30_000,
      onOutput: () => held(),
      graceMs: 100,
      signal: stop.signal,
    })
    let held = () => {}
    await new Promise<void>((resolve) => {
      held = resolve
    })
    expect(await sweepFiles(dir, what)).toEqual({ files: 1, bytes: 1000 })
    expect(readdirSync(dir).sort()).toEqual(['lu2.tmp', 'lu3.tmp', 'lu4.tmp', 'lu5.tmp', 'other', 'same', 'target'])
    stop.abort()
    await holder
  })
})
