/** The snippets of docs/guide/children.md. */
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestRig } from 'untildone/testing'
import { afterAll, expect, it } from 'vitest'
import { convert, convertHandler, sweepEngineFiles, thumbnail } from './children.js'

const dir = mkdtempSync(join(tmpdir(), 'untildone-guide-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it('input is copied in, the result is taken out whole, and the step says what the run took', async () => {
  const path = join(dir, 'document')
  writeFileSync(path, 'b\na\n')
  const rig = await createTestRig([convertHandler])
  try {
    const { id } = await rig.submit(convert, { path, outDir: dir })
    let job = await rig.get(id)
    while (!job.done) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      await rig.advance(10)
      job = await rig.get(id)
    }
    expect(job).toMatchObject({ status: 'completed', result: { path: join(dir, `${id}.txt`) } })
    expect(readFileSync(join(dir, `${id}.txt`), 'utf8')).toBe('a\nb\n')
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
