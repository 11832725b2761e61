/** Files: rows, pins and sweeps. A file is kept as long as a job refers to it. */
import { expect } from 'vitest'
import { isTombstone } from '../../stores/store.js'
import { cancel, DAY } from './bench.js'
import type { Suite } from './index.js'

const HOUR = 3_600_000

export function fileTests({ test }: Suite): void {
  test('a row comes back as it was added', async (bench) => {
    const id = await bench.addFile({ name: 'scan.pdf', contentType: 'application/pdf', bytes: 2 ** 40 })
    expect(await bench.store.files.get(id)).toMatchObject({
      id,
      name: 'scan.pdf',
      bytes: 2 ** 40,
      expiresAt: bench.clock.now() + DAY,
    })
    expect(await bench.store.files.get('file_x')).toBeNull()
    expect(await bench.store.files.known([id, 'file_x'])).toEqual(new Set([id]))
    expect(await bench.store.files.known([])).toEqual(new Set())
  })

  test('swept when nobody refers to it, not before its time', async (bench) => {
    const id = await bench.addFile()
    const { files } = bench.store
    await bench.clock.advance(DAY - 1)
    expect(await files.sweep(bench.store.now(), 10)).toEqual([])
    await bench.clock.advance(1)
    expect(await files.sweep(bench.store.now(), 10)).toEqual([id])
    expect(await files.get(id)).toBeNull()
    expect(await files.sweep(bench.store.now(), 10)).toEqual([])
  })

  test('sweeps in chunks, the oldest first', async (bench) => {
    const ids = []
    for (let i = 0; i < 5; i++) {
      ids.push(await bench.addFile())
      await bench.clock.advance(1)
    }
    await bench.clock.advance(DAY)
    expect(await bench.store.files.sweep(bench.store.now(), 3)).toEqual(ids.slice(0, 3))
    expect(await bench.store.files.sweep(bench.store.now(), 3)).toEqual(ids.slice(3))
  })

  test('an input pins its file as long as the job is kept, then a grace follows', async (bench) => {
    const id = await bench.addFile()
    await bench.submitOne({ files: [id] })
    expect((await bench.store.files.get(id))!.expiresAt).toBeNull()
    await bench.clock.advance(40 * DAY)
    expect(await bench.store.files.sweep(bench.store.now(), 10)).toEqual([])
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at + HOUR })
    await bench.clock.advance(HOUR)
    expect(await bench.store.expire(10)).toBe(1)
    expect((await bench.store.files.get(id))!.expiresAt).toBe(bench.clock.now() + DAY)
    await bench.clock.advance(DAY)
    expect(await bench.store.files.sweep(bench.store.now(), 10)).toEqual([id])
  })

  test('a file of two jobs stays until both are gone', async (bench) => {
    const id = await bench.addFile()
    await bench.submit({ files: [id, id] }, { files: [id] })
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at + HOUR })
    await bench.clock.advance(2 * DAY)
    expect(await bench.store.expire(10)).toBe(1)
    expect((await bench.store.files.get(id))!.expiresAt).toBeNull()
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at + HOUR })
    await bench.clock.advance(HOUR)
    await bench.store.expire(10)
    expect((await bench.store.files.get(id))!.expiresAt).not.toBeNull()
  })

  test('a result pins its files', async (bench) => {
    const id = await bench.addFile()
    await bench.succeed(await bench.started(), {}, { files: [id] })
    await bench.clock.advance(2 * DAY)
    expect(await bench.store.files.sweep(bench.store.now(), 10)).toEqual([])
  })

  test('a file that a running job made is kept while the job is, however long it takes', async (bench) => {
    const { live } = await bench.started()
    const now = bench.clock.now()
    const row = {
      id: 'file_made',
      tenant: 'default',
      bytes: 1,
      sha256: 'a',
      contentType: 'x',
      name: null,
      createdBy: 'worker:w-1',
      createdAt: now,
    }
    await bench.store.files.add({ ...row, expiresAt: now + DAY }, live.id)
    await bench.clock.advance(5 * DAY)
    expect(await bench.store.files.sweep(bench.store.now(), 10)).toEqual([])
    expect(await bench.store.files.get('file_made')).toMatchObject({ ...row, expiresAt: null })
    await bench.apply(live.id, cancel())
    await bench.apply(
      live.id,
      { type: 'released', actor: { kind: 'worker', id: 'w-1' } },
      { expiresAt: (at) => at + HOUR },
    )
    await bench.clock.advance(HOUR)
    expect(await bench.store.expire(10)).toBe(1)
    expect((await bench.store.files.get('file_made'))!.expiresAt).toBe(bench.clock.now() + DAY)
  })

  test('unknown, foreign and expired files are refused, and nothing is stored', async (bench) => {
    const good = await bench.addFile()
    const foreign = await bench.addFile({ tenant: 'other' })
    const expired = await bench.addFile({ expiresAt: bench.clock.now() })
    for (const bad of ['file_x', foreign, expired]) {
      const job = bench.job({ files: [good, bad], key: 'k' })
      expect(await bench.store.submit([bench.job(), job])).toEqual([{ outcome: 'file-missing', file: bad }])
      expect(await bench.store.find(job.record.id)).toBeNull()
    }
    expect((await bench.store.files.get(good))!.expiresAt).not.toBeNull()
    // The same id in the call of its own tenant, in the same transaction, is fine.
    const answers = await Promise.all([
      bench.store.submit([bench.job({ files: [foreign] })]),
      bench.store.submit([bench.job({ files: [foreign], tenant: 'other' })]),
    ])
    expect(answers.flat().map(({ outcome }) => outcome)).toEqual(['file-missing', 'created'])
  })

  test('a replayed submit does not ask for its files again', async (bench) => {
    const id = await bench.addFile()
    const jobId = await bench.submitOne({ files: [id], key: 'k' })
    const again = bench.job({ files: [id, 'file_gone'], key: 'k' })
    expect(await bench.store.submit([again])).toEqual([{ outcome: 'replayed', jobId }])
  })

  test('submit and sweep at once: the job has its file, or is refused', async (bench) => {
    const id = await bench.addFile({ expiresAt: bench.clock.now() + 5 })
    await bench.clock.advance(4)
    const [answers, swept] = await Promise.all([
      bench.store.submit([bench.job({ files: [id] })]),
      bench.store.files.sweep(bench.store.now() + 10, 10),
    ])
    expect(answers[0]!.outcome).toBe('created')
    expect(swept).toEqual([])
    expect(isTombstone((await bench.store.find('jobId' in answers[0]! ? answers[0].jobId : ''))!)).toBe(false)
  })
}
