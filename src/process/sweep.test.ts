// Core files go, everything that only looks like one stays; a private directory goes whatever a child did to it.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sweepCores } from './index.js'
import { createWorkDir, removeWorkDir } from './work.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-sweep-test-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function elf(type: number, bigEndian = false): Buffer {
  const data = Buffer.alloc(4096)
  data.write('\x7fELF\x02', 'latin1')
  data[5] = bigEndian ? 2 : 1
  if (bigEndian) data.writeUInt16BE(type, 16)
  else data.writeUInt16LE(type, 16)
  return data
}
// Root may do everything; without these two it is bound by permissions like anybody.
const asPlainUser = ['setpriv', '--bounding-set=-dac_override,-dac_read_search']
const plain = process.getuid?.() === 0 ? asPlainUser : []
const canBePlain = plain.length === 0 || spawnSync(plain[0]!, [...plain.slice(1), 'true']).status === 0
const put = (name: string, data: string | Buffer) => writeFileSync(join(dir, name), data)

describe('sweepCores', () => {
  it('removes core files and says how much', async () => {
    put('core', elf(4))
    put('core.123', elf(4, true))
    expect(await sweepCores(dir, { maxAgeMs: 0 })).toEqual({ files: 2, bytes: 8192 })
    expect(readdirSync(dir)).toEqual([])
  })

  it('leaves everything else', async () => {
    put('core', 'my notes on the core of the matter')
    put('core.1', elf(2))
    put('core.2', '')
    put('core.txt', elf(4))
    put('core.1a', elf(4))
    put('score', elf(4))
    put('outside', elf(4))
    symlinkSync(join(dir, 'outside'), join(dir, 'core.3'))
    mkdirSync(join(dir, 'core.4'))
    execFileSync('mkfifo', [join(dir, 'core.5')])
    const before = readdirSync(dir)
    expect(await sweepCores(dir, { maxAgeMs: 0 })).toEqual({ files: 0, bytes: 0 })
    expect(readdirSync(dir)).toEqual(before)
  })

  it('trusts names where it is told to, but no links or directories', async () => {
    put('core', 'x')
    put('core.2', '')
    put('outside', 'x')
    symlinkSync(join(dir, 'outside'), join(dir, 'core.3'))
    mkdirSync(join(dir, 'core.4'))
    expect(await sweepCores(dir, { maxAgeMs: 0, trustNames: true })).toEqual({ files: 2, bytes: 1 })
    expect(readdirSync(dir).sort()).toEqual(['core.3', 'core.4', 'outside'])
  })

  it('goes by age', async () => {
    put('core.1', elf(4))
    put('core.2', elf(4))
    const old = Date.now() / 1000 - 120
    utimesSync(join(dir, 'core.1'), old, old)
    expect(await sweepCores(dir, { maxAgeMs: 60_000 })).toMatchObject({ files: 1 })
    expect(readdirSync(dir)).toEqual(['core.2'])
  })

  it('finds nothing where nothing is', async () => {
    expect(await sweepCores(join(dir, 'nowhere'), { maxAgeMs: 0 })).toEqual({ files: 0, bytes: 0 })
  })
})

describe('the work directory', () => {
  it('is private, and gone after its removal', async () => {
    const work = await createWorkDir()
    expect(statSync(work).mode & 0o777).toBe(0o700)
    mkdirSync(join(work, 'a'))
    put('outside', 'keep')
    symlinkSync(dir, join(work, 'a', 'link'))
    await removeWorkDir(work)
    expect(existsSync(work)).toBe(false)
    expect(existsSync(join(dir, 'outside'))).toBe(true)
    await removeWorkDir(work).catch((error) => expect(error.code).toBe('ENOENT'))
  })

  it.runIf(canBePlain)('goes even when a child took its own permissions away', () => {
    const jiti = join(import.meta.dirname, '../../node_modules/jiti/lib/jiti.mjs')
    const script = `
      import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
      import { createJiti } from ${JSON.stringify(jiti)}
      const sweep = ${JSON.stringify(join(import.meta.dirname, 'work.ts'))}
      const { createWorkDir, removeWorkDir } = await createJiti(import.meta.url, { fsCache: false }).import(sweep)
      const dir = await createWorkDir()
      mkdirSync(dir + '/a/b', { recursive: true })
      writeFileSync(dir + '/a/b/file', '')
      chmodSync(dir + '/a/b', 0)
      chmodSync(dir + '/a', 0o500)
      await removeWorkDir(dir)
      console.log(existsSync(dir))`
    const [command, ...args] = [...plain, process.execPath, '--input-type=module', '-e', script]
    expect(execFileSync(command!, args, { encoding: 'utf8' }).trim()).toBe('false')
  })
})
