import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, file, type JobHandler } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type TestRig, until } from '../testing/index.js'
import { type Caller, LOCAL } from './api.js'

const open = rigs()
const idle = { worker: false } as const
async function* chunks(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text)
}
const upload = (rig: TestRig, texts = ['hello ', 'world'], caller: Caller = LOCAL, maxBytes = 1000) =>
  rig.engine.addFile(caller, chunks(...texts), { contentType: 'text/plain', name: 'a.txt', maxBytes })
const folderOf = (path: string) => path.slice(0, path.lastIndexOf('/'))

describe('upload', () => {
  it('hashes, stores and gives back the bytes', async () => {
    const rig = await open([], idle)
    const meta = await upload(rig)
    expect(meta).toMatchObject({
      file: expect.stringMatching(/^file_[A-Za-z0-9_-]{22}$/),
      bytes: 11,
      contentType: 'text/plain',
      name: 'a.txt',
      createdAt: expect.any(String),
    })
    expect(meta.sha256).toBe('b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9')
    const { meta: again, file: opened } = await rig.engine.openFile(LOCAL, meta.file)
    expect(again).toEqual(meta)
    expect(readFileSync(opened.path, 'utf8')).toBe('hello world')
    expect(await new Response(opened.stream()).text()).toBe('hello world')
  })

  it('an empty file is a file', async () => {
    const rig = await open([], idle)
    expect(await upload(rig, [])).toMatchObject({
      bytes: 0,
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    })
  })

  it('too large, or cut off: nothing is left behind', async () => {
    const rig = await open([], idle)
    const { file: opened } = await rig.engine.openFile(LOCAL, (await upload(rig)).file)
    const folder = folderOf(opened.path)
    const before = readdirSync(folder).length
    await expect(upload(rig, ['12345', '67890'], LOCAL, 9)).rejects.toMatchObject({
      code: 'payload-too-large',
      params: { maxBytes: 9 },
    })
    expect((await upload(rig, ['12345', '6789'], LOCAL, 9)).bytes).toBe(9)
    async function* broken() {
      yield Buffer.from('half')
      throw new Error('the connection is gone')
    }
    await expect(rig.engine.addFile(LOCAL, broken(), { contentType: 'x', name: null, maxBytes: 99 })).rejects.toThrow(
      'the connection is gone',
    )
    expect(readdirSync(folder).length).toBe(before + 1)
    expect(readdirSync(join(folder, 'uploads'))).toEqual([])
  })

  it('a row that cannot be stored leaves no bytes', async () => {
    const rig = await open([], idle)
    const { file: opened } = await rig.engine.openFile(LOCAL, (await upload(rig)).file)
    const { add } = rig.store.files
    rig.store.files.add = () => Promise.reject(new Error('full'))
    await expect(upload(rig)).rejects.toThrow('full')
    rig.store.files.add = add
    expect(readdirSync(folderOf(opened.path)).filter((name) => name.startsWith('file_'))).toHaveLength(1)
  })
})

describe('who may', () => {
  it('open: whoever uploaded it, and readers of the tenant; to all others it does not exist', async () => {
    const rig = await open([], idle)
    const mine: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_a' }, scopes: ['jobs:submit'] }
    const { file: id } = await upload(rig, ['x'], mine)
    expect((await rig.engine.openFile(mine, id)).meta.bytes).toBe(1)
    expect(
      (await rig.engine.openFile({ ...mine, actor: { kind: 'user', id: 'u' }, scopes: ['jobs:read'] }, id)).meta.bytes,
    ).toBe(1)
    for (const caller of [
      { ...mine, actor: { kind: 'apiKey' as const, id: 'key_b' } },
      { ...LOCAL, tenant: 'other' },
    ]) {
      await expect(rig.engine.openFile(caller, id)).rejects.toMatchObject({ code: 'file-not-found' })
    }
    await expect(upload(rig, ['x'], { ...mine, scopes: ['jobs:read'] })).rejects.toMatchObject({ code: 'forbidden' })
  })
})

describe('how long', () => {
  it('24 h without a job, then row and bytes go', async () => {
    const rig = await open([], idle)
    const { file: id } = await upload(rig)
    const { file: opened } = await rig.engine.openFile(LOCAL, id)
    await rig.crash()
    await rig.clock.advance(86_400_000 - 61_000)
    await rig.restart()
    await rig.advance(60_000)
    expect(existsSync(opened.path)).toBe(true)
    await rig.advance(61_000)
    await until(() => !existsSync(opened.path), 'the bytes to go')
    await expect(rig.engine.openFile(LOCAL, id)).rejects.toMatchObject({ code: 'file-not-found' })
  })

  it('bytes without a row are removed at the next start, and other files in the folder are left alone', async () => {
    const rig = await open([], idle)
    const { file: opened } = await rig.engine.openFile(LOCAL, (await upload(rig)).file)
    const folder = folderOf(opened.path)
    const orphan = join(folder, `file_${'o'.repeat(22)}`)
    const foreign = join(folder, 'notes.txt')
    const half = join(folder, 'uploads', 'half')
    for (const path of [orphan, foreign, half]) writeFileSync(path, 'x')
    await rig.restart()
    expect(rig.app.recovered.files).toBe(1)
    expect([orphan, foreign, half, opened.path].map((path) => existsSync(path))).toEqual([false, true, false, true])
  })
})

describe('in jobs', () => {
  const convert = defineJob('convert', { input: z.object({ pdf: file() }), output: z.object({ text: file() }) })
  const handler = convert.handler({ retention: '1h' }, async (job) => {
    const pdf = await job.open(job.input.pdf)
    const text = await job.step('convert', () =>
      job.file(Buffer.from(readFileSync(pdf.path, 'utf8').toUpperCase()), {
        name: 'out.txt',
        contentType: 'text/plain',
      }),
    )
    return { text }
  }) as unknown as JobHandler

  it('a result refers to a file the job made, readable by its submitter, kept with the job and 24 h longer', async () => {
    const rig = await open(handler)
    const mine: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_a' }, scopes: ['jobs:submit'] }
    const { file: pdf } = await upload(rig, ['scan'], mine)
    const { job } = await rig.engine.submit(mine, { type: 'convert', input: { pdf } }, null)
    const done = await until(async () => {
      await rig.advance(1)
      const now = await rig.get(job.id)
      return now.done && now
    }, 'the job')
    const { text } = done.result as { text: string }
    const opened = await rig.engine.openFile(mine, text)
    expect(readFileSync(opened.file.path, 'utf8')).toBe('SCAN')
    expect(opened.meta).toMatchObject({ name: 'out.txt', contentType: 'text/plain', expiresAt: null })
    await rig.crash()
    await rig.clock.advance(3_600_000)
    await rig.restart()
    await rig.advance('61s')
    await expect(rig.engine.get(mine, job.id)).rejects.toMatchObject({ code: 'job-expired' })
    expect((await rig.engine.openFile(mine, text)).meta.expiresAt).not.toBeNull()
    await rig.crash()
    await rig.clock.advance(86_400_000)
    await rig.restart()
    await rig.advance('61s')
    await until(() => !existsSync(opened.file.path), 'the bytes to go')
    await expect(rig.engine.openFile(LOCAL, pdf)).rejects.toMatchObject({ code: 'file-not-found' })
  })

  it('a file of another tenant cannot be opened by a job', async () => {
    const peek = defineJob('peek', { input: z.object({ id: z.string() }) })
    const rig = await open(
      peek.handler(
        async (job) => (await job.open(job.input.id).catch((error) => error.code)) as never,
      ) as unknown as JobHandler,
    )
    const { file: id } = await upload(rig, ['secret'], { ...LOCAL, tenant: 'other' })
    expect((await rig.untilDone(await rig.submit(peek, { id }))).result).toBe('file-not-found')
  })

  it('a file from disk is copied under its own name', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'untildone-source-'))
    writeFileSync(join(dir, 'made.bin'), 'bytes')
    const make = defineJob('make', { input: z.object({}) })
    const rig = await open(
      make.handler(async (job) => (await job.file(join(dir, 'made.bin'))) as never) as unknown as JobHandler,
    )
    const { id } = await rig.submit(make, {})
    const job = await until(async () => {
      await rig.advance(1)
      const now = await rig.get(id)
      return now.done && now
    }, 'the job')
    expect((await rig.engine.openFile(LOCAL, job.result as string)).meta).toMatchObject({
      name: 'made.bin',
      bytes: 5,
      contentType: 'application/octet-stream',
    })
    rmSync(dir, { recursive: true })
  })
})
