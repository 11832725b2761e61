/** Record: what a running attempt writes besides its end; fenced by the epoch, in every state. */
import { expect } from 'vitest'
import type { ProgressRow, StepRow } from '../../stores/store.js'
import { cancel, errored, lost } from './bench.js'
import type { Suite } from './index.js'

const step = (key: string, more: Partial<StepRow> = {}): StepRow => ({
  ...{ key, kind: 'step', attempt: 1, seq: 0, startedAt: 10, endedAt: 20, result: '{"a":1}', info: null },
  effect: null,
  undo: null,
  ...more,
})
const progress: ProgressRow = {
  ...{ stage: 'pages', message: 'Page 3', completed: 3, total: 9.5, unit: 'page', updatedAt: 77 },
  iterations: { completed: 1, total: 4.5 },
}

export function recordTests({ test }: Suite): void {
  test('steps come back as they were recorded, in order', async (bench) => {
    const { live } = await bench.started()
    const rows = [
      // In the same millisecond: their place says which came first.
      step('fetch', { seq: 1 }),
      step('charge#2', { kind: 'process', seq: 2, result: null, info: '{"pid":7}' }),
      step('recognize/fast', { kind: 'first', attempt: 2, seq: 3, result: '""' }),
    ]
    for (const row of rows) expect(await bench.store.record({ jobId: live.id, epoch: 1, steps: [row] })).toBe(true)
    expect(await bench.store.steps(live.id)).toEqual(rows)
  })

  test('values of any size come back byte for byte', async (bench) => {
    const { live } = await bench.started()
    const sizes = [0, 1, 65_533, 65_534, 65_535, 65_536, 300_000]
    const rows = sizes.map((size, i) =>
      step(`s${i}`, { endedAt: i, result: JSON.stringify('é'.repeat(size / 2) + 'x'.repeat(size % 2)) }),
    )
    await bench.store.record({ jobId: live.id, epoch: 1, steps: rows })
    expect(await bench.store.steps(live.id)).toEqual(rows)
  })

  test('a recorded step is never replaced', async (bench) => {
    const { live } = await bench.started()
    await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('pay')] })
    const again = { jobId: live.id, epoch: 1, steps: [step('pay', { result: '"other"' })] }
    await expect(bench.store.record(again)).rejects.toThrow()
    expect(await bench.store.steps(live.id)).toEqual([step('pay')])
  })

  test('steps of one job are not those of another', async (bench) => {
    const [a, b] = [await bench.started(), await bench.started()]
    await bench.store.record({ jobId: a.live.id, epoch: 1, steps: [step('x', { result: '1' })] })
    await bench.store.record({ jobId: b.live.id, epoch: 1, steps: [step('x', { result: '2' })] })
    expect((await bench.store.steps(a.live.id))[0]!.result).toBe('1')
    expect((await bench.store.steps(b.live.id))[0]!.result).toBe('2')
  })

  test('without the epoch nothing is written', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    const everything = (epoch: number) => ({
      ...{ jobId: id, epoch, steps: [step(`s${epoch}`)], progress },
      warnings: [{ code: 'w', message: 'm', step: null, at: 1 }],
      logs: [{ at: 1, attempt: 1, level: 'info', message: 'l', data: null }],
    })
    expect(await bench.store.record(everything(0))).toBe(false)
    expect(await bench.store.record(everything(2))).toBe(false)
    await bench.apply(id, lost)
    expect(await bench.store.record(everything(1))).toBe(false)
    await bench.clock.advance(1000)
    await bench.claimOne('w-2')
    expect(await bench.store.record(everything(1))).toBe(false)
    expect(await bench.store.steps(id)).toEqual([])
    expect(await bench.store.logs(id, 0, 5)).toEqual([])
    expect(await bench.stored(id)).toMatchObject({ progress: null, warnings: [] })
    expect(await bench.store.record(everything(2))).toBe(true)
    expect((await bench.store.steps(id)).map(({ key }) => key)).toEqual(['s2'])
  })

  test('a job that is not running takes no record, finished ones least of all', async (bench) => {
    const queued = await bench.submitOne()
    expect(await bench.store.record({ jobId: queued, epoch: 0, steps: [step('a')] })).toBe(false)
    const blocked = await bench.started()
    await bench.settle(blocked, errored('review'))
    expect(await bench.store.record({ jobId: blocked.live.id, epoch: 1, progress })).toBe(false)
    const done = await bench.started()
    await bench.succeed(done)
    expect(await bench.store.record({ jobId: done.live.id, epoch: 1, steps: [step('a')], progress })).toBe(false)
    expect(await bench.store.record({ jobId: 'nope', epoch: 0, logs: [] })).toBe(false)
    expect(await bench.store.steps(done.live.id)).toEqual([])
  })

  test('a job that is being cancelled still records what it did', async (bench) => {
    const { live } = await bench.started()
    await bench.apply(live.id, cancel())
    expect(await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('a')], progress })).toBe(true)
    expect(await bench.stored(live.id)).toMatchObject({ progress, live: { state: 'cancelling' } })
  })

  test('progress: the last value wins, and readers see the revision rise; the version stays', async (bench) => {
    const { live } = await bench.started()
    await bench.clock.advance(10)
    await bench.store.record({ jobId: live.id, epoch: 1, progress: { ...progress, completed: 1 } })
    await bench.store.record({ jobId: live.id, epoch: 1, progress })
    const found = await bench.stored(live.id)
    expect(found.progress).toEqual(progress)
    expect(found.live).toMatchObject({ version: 2, revision: live.revision + 2, changedAt: bench.clock.now() })
  })

  test('progress never falls within a stage; another stage begins anew', async (bench) => {
    const { live } = await bench.started()
    const say = async (stage: string | null, completed: number | null, message = `${stage} ${completed}`) => {
      await bench.store.record({ jobId: live.id, epoch: 1, progress: { ...progress, stage, completed, message } })
      const found = (await bench.stored(live.id)).progress!
      return `${found.stage} ${found.completed} (${found.message})`
    }
    expect(await say('read', 5)).toBe('read 5 (read 5)')
    expect(await say('read', 2)).toBe('read 5 (read 5)')
    expect(await say('read', 5, 'again')).toBe('read 5 (again)')
    expect(await say('read', 6)).toBe('read 6 (read 6)')
    expect(await say('write', 1)).toBe('write 1 (write 1)')
    expect(await say(null, 3)).toBe('null 3 (null 3)')
    expect(await say(null, 1)).toBe('null 3 (null 3)')
    expect(await say(null, null)).toBe('null null (null null)')
  })

  test('rounds come back, with and without a total, and not at all', async (bench) => {
    const { live } = await bench.started()
    for (const iterations of [{ completed: 2, total: 3 }, { completed: 2, total: null }, null]) {
      await bench.store.record({ jobId: live.id, epoch: 1, progress: { ...progress, iterations } })
      expect((await bench.stored(live.id)).progress).toEqual({ ...progress, iterations })
    }
  })

  test('rounds never fall within a stage, and the next round may count from the start', async (bench) => {
    const { live } = await bench.started()
    const say = async (round: number | null, completed: number | null, stage = 'read') => {
      const iterations = round === null ? null : { completed: round, total: 9 }
      await bench.store.record({ jobId: live.id, epoch: 1, progress: { ...progress, stage, completed, iterations } })
      const found = (await bench.stored(live.id)).progress!
      return `${found.iterations?.completed ?? null}/${found.completed}`
    }
    expect(await say(1, 5)).toBe('1/5')
    expect(await say(1, 4)).toBe('1/5')
    expect(await say(0, 9)).toBe('1/5')
    expect(await say(2, 0)).toBe('2/0')
    expect(await say(1, 7)).toBe('2/0')
    expect(await say(2, null)).toBe('2/null')
    expect(await say(null, 3)).toBe('null/3')
    expect(await say(1, 1, 'write')).toBe('1/1')
  })

  test('steps and logs are no news to readers: the revision stays', async (bench) => {
    const { live } = await bench.started()
    const logs = [{ at: 1, attempt: 1, level: 'warn', message: 'l', data: null }]
    await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('a')], logs })
    expect((await bench.stored(live.id)).live).toEqual(live)
  })

  test('warnings: the same one is kept once, in the order they came, a hundred at most shown', async (bench) => {
    const { live } = await bench.started()
    const warn = (n: number, more = {}) => ({
      code: 'font',
      message: `m${n}`,
      step: null as string | null,
      at: n,
      ...more,
    })
    await bench.store.record({ jobId: live.id, epoch: 1, warnings: [warn(1), warn(1), warn(2)] })
    await bench.store.record({
      jobId: live.id,
      epoch: 1,
      warnings: [warn(1, { at: 9 }), warn(1, { step: 'scan', at: 3 })],
    })
    expect((await bench.stored(live.id)).warnings).toEqual([warn(1), warn(2), warn(1, { step: 'scan', at: 3 })])
    await bench.store.record({
      jobId: live.id,
      epoch: 1,
      warnings: Array.from({ length: 150 }, (_, i) => warn(i + 10)),
    })
    expect((await bench.stored(live.id)).warnings).toHaveLength(100)
  })

  test('logs: in order, in pages', async (bench) => {
    const { live } = await bench.started()
    const line = (n: number) => ({
      at: 5,
      attempt: 1,
      level: 'info',
      message: `line ${n}`,
      data: n % 2 ? '{"n":1}' : null,
    })
    await bench.store.record({ jobId: live.id, epoch: 1, logs: Array.from({ length: 25 }, (_, n) => line(n)) })
    const other = await bench.started()
    await bench.store.record({ jobId: other.live.id, epoch: 1, logs: [line(99)] })
    const got: unknown[] = []
    for (let after = 0; ; ) {
      const page = await bench.store.logs(live.id, after, 10)
      if (page.length === 0) break
      got.push(...page.map(({ row }) => row))
      after = page.at(-1)!.id
    }
    expect(got).toEqual(Array.from({ length: 25 }, (_, n) => line(n)))
  })

  test('many attempts record in one transaction, each fenced by itself', async (bench) => {
    const claimed = []
    for (let i = 0; i < 10; i++) claimed.push(await bench.started())
    const answers = await Promise.all(
      claimed.map(({ live }, i) => {
        const visible = i % 3 === 0 ? { progress } : {}
        return bench.store.record({
          jobId: live.id,
          epoch: i % 2 ? 1 : 7,
          steps: [step('a', { result: `${i}` })],
          ...visible,
        })
      }),
    )
    expect(answers).toEqual(claimed.map((_, i) => i % 2 === 1))
    for (const [i, { live }] of claimed.entries()) {
      expect((await bench.store.steps(live.id)).map(({ result }) => result)).toEqual(i % 2 ? [`${i}`] : [])
      expect((await bench.stored(live.id)).progress).toEqual(i % 2 && i % 3 === 0 ? progress : null)
    }
  })

  test('records survive a restart', async (bench) => {
    const { live } = await bench.started()
    await bench.store.record({
      jobId: live.id,
      epoch: 1,
      steps: [step('a', { result: JSON.stringify('x'.repeat(100_000)) })],
      progress,
    })
    const before = [await bench.store.steps(live.id), await bench.stored(live.id)]
    await bench.reopen()
    expect([await bench.store.steps(live.id), await bench.stored(live.id)]).toEqual(before)
  })
}
