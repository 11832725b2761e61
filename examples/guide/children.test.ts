/** The snippets of docs/guide/children.md. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterAll, expect, it } from 'vitest'
import { convert, convertHandler, read, readHandler, sweepEngineFiles, thumbnail } from './children.js'

const dir = mkdtempSync(join(tmpdir(), 'untildone-guide-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it('input is copied in, the result is taken out whole, and the step says what the run took', async () => {
  const path = join(dir, 'document')
  writeFileSync(path, 'b\na\n')
  const rig = await createTestRig([convertHandler])
  try {
    const { id } = await rig.submit(convert, { path, outDir: dir })
    const job = await ended(rig, id)
    expect(job).toMatchObject({ status: 'completed', result: { path: join(dir, `${id}.txt`) } })
    expect(readFileSync(join(dir, `${id}.txt`), 'utf8')).toBe('a\nb\n')
  } finally {
    await rig.close()
  }
})

/** Children live in real time. */
async function ended(rig: TestRig, id: string) {
  for (;;) {
    const job = await rig.get(id)
    if (job.done) return job
    await new Promise((resolve) => setTimeout(resolve, 20))
    await rig.advance(10)
  }
}

it('a quirk is one of the versions that have it', async () => {
  const command = join(dir, 'reader')
  writeFileSync(command, '#!/bin/sh\necho "glyph cache: 3 dropped" >&2\n')
  chmodSync(command, 0o755)
  const rig = await createTestRig([readHandler])
  try {
    const run = async (version: string) => ended(rig, (await rig.submit(read, { command, version })).id)
    expect(await run('2.1.4')).toMatchObject({ status: 'completed', warnings: [{ code: 'glyph-cache' }] })
    expect(await run('3.0')).toMatchObject({ status: 'completed', warnings: [] })
    writeFileSync(command, '#!/bin/sh\necho bad tile >&2; exit 3\n')
    expect(await run('2.1.4')).toMatchObject({
      status: 'failed',
      error: { code: 'tile-bug', details: { engine: 'reader', engineVersion: '2.1.4' } },
    })
  } finally {
    await rig.close()
  }
})

it('runs alone as well', async () => {
  expect((await thumbnail(Buffer.from('page'))).toString()).toBe('page')
})

it('sweeps what an engine left', async () => {
  const old = join(dir, 'lu12ab.tmp')
  writeFileSync(old, 'x')
  utimesSync(old, 1, 1)
  expect(await sweepEngineFiles(dir)).toEqual({ files: 1, bytes: 1 })
})
