/** Move: the one guarded write. Fences, known rows, results, operation ids, tenants. */
import { expect } from 'vitest'
import { transition } from '../../core/lifecycle.js'
import { audit, CALLER, cancel, errored, errorInfo, lost, released, retry, succeeded, WORKER } from './bench.js'
import type { Suite } from './index.js'

export function moveTests({ test }: Suite): void {
  test('the decision is what is stored: live row, attempt and history', async (bench) => {
    const claimed = await bench.started()
    await bench.clock.advance(250)
    const moved = await bench.settle(claimed, errored('transient', { retryAfterMs: 1000 }))
    if (moved.outcome !== 'moved') throw new Error(moved.outcome)
    const { id } = claimed.live
    expect((await bench.stored(id)).live).toEqual(moved.decision.live)
    expect(await bench.store.attempts(id)).toEqual([moved.decision.attempt])
    expect(moved.decision.attempt).toMatchObject({
      outcome: 'error',
      verdict: 'transient',
      retryInMs: 1000,
      error: errorInfo(),
    })
    const { entries } = await bench.store.history(id, 2, 5)
    expect(entries).toEqual([{ ...moved.decision.history, hash: null, prevHash: null }])
  })

  test('the end: an outcome and no live row, with result, hash, error and expiry', async (bench) => {
    const claimed = await bench.started()
    const result = { pages: 3, text: 'é'.repeat(10) }
    await bench.succeed(claimed, result)
    const { live, outcome } = await bench.stored(claimed.live.id)
    const text = JSON.stringify(result)
    expect(live).toBeNull()
    expect(outcome).toMatchObject({
      status: 'completed',
      phase: 'clean',
      error: null,
      result: text,
      attempt: 1,
      epoch: 1,
    })
    expect(outcome).toMatchObject({
      resultBytes: Buffer.byteLength(text),
      resultSha256: bench.entropy.sha256(text),
      version: 3,
    })
    expect(outcome!.expiresAt).toBe(outcome!.finishedAt + 30 * 86_400_000)

    const failed = await bench.started()
    await bench.settle(failed, errored('permanent'), { result: '"ignored"', expiresAt: (at) => at + 5 })
    const end = (await bench.stored(failed.live.id)).outcome!
    expect(end).toMatchObject({
      status: 'failed',
      error: errorInfo('permanent'),
      result: null,
      resultBytes: 0,
      resultSha256: null,
    })
  })

  test('a job in its final state is never changed', async (bench) => {
    const claimed = await bench.started()
    await bench.succeed(claimed)
    const before = await bench.stored(claimed.live.id)
    const { told } = bench
    const count = told.length
    for (const event of [succeeded, errored(), errored('permanent'), released, lost, cancel(), retry]) {
      const status = { outcome: 'finished', status: 'completed' }
      expect(await bench.apply(claimed.live.id, event)).toEqual(status)
      expect(await bench.settle(claimed, event, { result: '"other"', audit: audit() })).toEqual(status)
    }
    await bench.store.record({
      jobId: claimed.live.id,
      epoch: 1,
      warnings: [{ code: 'w', message: 'late', step: null, at: 1 }],
    })
    expect(await bench.stored(claimed.live.id)).toEqual(before)
    expect(await bench.store.attempts(claimed.live.id)).toHaveLength(1)
    expect(await bench.store.audit('default', 0, 10)).toEqual([])
    expect(told.length).toBe(count)
  })

  test('ended() tells the end, and nothing before it', async (bench) => {
    const { store } = bench
    expect(await store.ended('01a00000-0000-7000-8000-000000000000')).toBe('gone')
    const claimed = await bench.started()
    expect(await store.ended(claimed.live.id)).toBeNull()
    await bench.succeed(claimed, {}, { expiresAt: (at) => at })
    expect(await store.ended(claimed.live.id)).toBe('completed')
    await store.expire(10)
    expect(await store.ended(claimed.live.id)).toBe('gone')
  })

  test('results of any size come back whole; large ones only when asked for', async (bench) => {
    for (const size of [65_533, 65_535, 400_000]) {
      const claimed = await bench.started()
      await bench.succeed(claimed, 'x'.repeat(size))
      const { id } = claimed.live
      const whole = await bench.store.find(id, Number.MAX_SAFE_INTEGER)
      expect(whole).toMatchObject({ outcome: { result: JSON.stringify('x'.repeat(size)), resultBytes: size + 2 } })
      expect(await bench.store.find(id, size + 1)).toMatchObject({ outcome: { result: null, resultBytes: size + 2 } })
      expect(await bench.store.find(id, size + 2)).toMatchObject({ outcome: { resultBytes: size + 2 } })
    }
  })

  test('a stale epoch is refused, whatever the event', async (bench) => {
    const first = await bench.started()
    await bench.apply(first.live.id, lost)
    await bench.clock.advance(1000)
    const second = await bench.claimOne('w-2')
    for (const event of [succeeded, errored(), errored('permanent'), released]) {
      expect(await bench.settle(first, event)).toMatchObject({ outcome: 'refused', reason: 'stale-lease' })
    }
    expect((await bench.stored(first.live.id)).live).toEqual(second.live)
    expect(await bench.succeed(second)).toMatchObject({ outcome: 'moved' })
  })

  test('a stale worker cannot finish a job that has been given back but not yet claimed', async (bench) => {
    const first = await bench.started()
    await bench.apply(first.live.id, lost)
    expect(await bench.succeed(first)).toMatchObject({ outcome: 'refused' })
    expect((await bench.stored(first.live.id)).live!.state).toBe('queued')
  })

  test('a known row that is out of date is read anew: the decision is made on the truth', async (bench) => {
    const claimed = await bench.started()
    await bench.apply(claimed.live.id, cancel())
    const moved = await bench.settle(claimed, errored('transient'))
    expect(moved).toMatchObject({ outcome: 'moved', decision: { outcome: { status: 'cancelled' } } })
  })

  test('progress since the claim does not keep the known row from being used, nor its revision from rising', async (bench) => {
    const claimed = await bench.started()
    const progress = { stage: null, message: 'x', completed: 1, total: 2, unit: null, iterations: null, updatedAt: 1 }
    for (let i = 0; i < 3; i++) await bench.store.record({ jobId: claimed.live.id, epoch: 1, progress })
    const before = (await bench.stored(claimed.live.id)).live!
    expect(before).toMatchObject({ version: 2, revision: claimed.live.revision + 3 })
    await bench.succeed(claimed)
    expect((await bench.stored(claimed.live.id)).outcome).toMatchObject({ version: 3, revision: before.revision + 1 })
  })

  test('a version fence is refused when the job has moved on', async (bench) => {
    const id = await bench.submitOne()
    await bench.claimOne()
    const at = (version: number) =>
      bench.store.move({ jobId: id, decide: (live, now) => transition(live, cancel(), now, { version }) })
    expect(await at(1)).toMatchObject({ outcome: 'refused', reason: 'stale-lease', live: { version: 2 } })
    expect(await at(2)).toMatchObject({ outcome: 'moved' })
  })

  test('a refused event changes nothing', async (bench) => {
    const claimed = await bench.started()
    const before = await bench.stored(claimed.live.id)
    const answer = await bench.apply(claimed.live.id, retry, { audit: audit(), operationId: 'op', files: ['file_x'] })
    expect(answer).toMatchObject({ outcome: 'refused', reason: 'illegal-transition', live: before.live })
    expect(await bench.stored(claimed.live.id)).toEqual(before)
    expect(await bench.store.audit('default', 0, 10)).toEqual([])
  })

  test('a job of another tenant does not exist', async (bench) => {
    const running = await bench.started()
    const ended = await bench.started()
    await bench.succeed(ended)
    for (const { live } of [running, ended]) {
      expect(await bench.apply(live.id, cancel(), { tenant: 'other' })).toEqual({ outcome: 'not-found' })
    }
    expect(await bench.apply('01a00000-0000-7000-8000-000000000000', cancel())).toEqual({ outcome: 'not-found' })
    expect((await bench.stored(running.live.id)).live!.state).toBe('running')
    expect(await bench.apply(running.live.id, cancel(), { tenant: 'default' })).toMatchObject({ outcome: 'moved' })
    expect(await bench.apply(ended.live.id, cancel(), { tenant: 'default' })).toMatchObject({ outcome: 'finished' })
  })

  test('an operation id is carried out once, also when it ended the job', async (bench) => {
    const scheduled = await bench.submitOne({ runAt: bench.clock.now() + 60_000 })
    expect(
      await bench.apply(scheduled, cancel(), { tenant: 'default', operationId: 'op-1', audit: audit() }),
    ).toMatchObject({
      outcome: 'moved',
    })
    expect(await bench.apply(scheduled, cancel(), { tenant: 'default', operationId: 'op-1', audit: audit() })).toEqual({
      outcome: 'repeated',
    })

    const { live } = await bench.started()
    expect(await bench.apply(live.id, cancel(), { tenant: 'default', operationId: 'op-2' })).toMatchObject({
      outcome: 'moved',
    })
    const force = cancel({ mode: 'force' })
    expect(await bench.apply(live.id, force, { tenant: 'default', operationId: 'op-2' })).toEqual({
      outcome: 'repeated',
    })
    expect(await bench.apply(live.id, force, { tenant: 'default', operationId: 'op-3' })).toMatchObject({
      outcome: 'moved',
    })
    expect(await bench.store.audit('default', 0, 10)).toHaveLength(1)
  })

  test('one operation id twice in one transaction is carried out once', async (bench) => {
    const [a, b] = await bench.submit({}, {})
    const answers = await Promise.all(
      [a!, a!, b!].map((id) => bench.apply(id, cancel(), { tenant: 'default', operationId: 'op' })),
    )
    expect(answers.map(({ outcome }) => outcome)).toEqual(['moved', 'repeated', 'repeated'])
    expect((await bench.stored(b!)).live!.state).toBe('queued')
  })

  test('operation ids belong to a tenant and are forgotten after a day', async (bench) => {
    const run = async (tenant: string) => {
      const { live } = await bench.started({ tenant })
      return (await bench.apply(live.id, cancel(), { tenant, operationId: 'op' })).outcome
    }
    expect(await run('default')).toBe('moved')
    expect(await run('other')).toBe('moved')
    expect(await run('default')).toBe('repeated')
    await bench.clock.advance(86_400_001)
    expect(await run('default')).toBe('moved')
  })

  test('what the attempt recorded is stored with its end, or not at all', async (bench) => {
    const record = (jobId: string, epoch: number) => ({
      ...{ jobId, epoch, warnings: [{ code: 'note', message: 'm', step: null, at: 5 }] },
      logs: [{ at: 5, attempt: 1, level: 'info', message: 'l', data: '{"a":1}' }],
      progress: { stage: 's', message: null, completed: 1, total: 1, unit: 'page', iterations: null, updatedAt: 5 },
    })
    const good = await bench.started()
    await bench.succeed(good, {}, { record: record(good.live.id, 1) })
    expect(await bench.stored(good.live.id)).toMatchObject({ warnings: [{ code: 'note' }], progress: { stage: 's' } })
    expect(await bench.store.logs(good.live.id, 0, 5)).toMatchObject([{ row: { message: 'l', data: '{"a":1}' } }])

    const stale = await bench.started()
    await bench.apply(stale.live.id, lost)
    await bench.succeed(stale, {}, { record: record(stale.live.id, 1) })
    expect(await bench.stored(stale.live.id)).toMatchObject({ warnings: [], progress: null })
    expect(await bench.store.logs(stale.live.id, 0, 5)).toEqual([])
  })

  test('a decision that throws rejects its own move only', async (bench) => {
    const [a, b] = await bench.submit({}, {})
    const bad = bench.store.move({
      jobId: a!,
      decide: () => {
        throw new Error('bug in a rule')
      },
    })
    const good = bench.apply(b!, cancel())
    await expect(bad).rejects.toThrow('bug in a rule')
    expect(await good).toMatchObject({ outcome: 'moved' })
    expect((await bench.stored(a!)).live!.version).toBe(1)
  })

  test('moves of one job in one transaction follow each other', async (bench) => {
    const { live } = await bench.started()
    const answers = await Promise.all([
      bench.apply(live.id, cancel()),
      bench.apply(live.id, cancel({ mode: 'force', actor: CALLER })),
      bench.apply(live.id, { type: 'succeeded', actor: WORKER, warnings: 1 }, { result: '1' }),
      bench.apply(live.id, cancel()),
    ])
    expect(answers.map(({ outcome }) => outcome)).toEqual(['moved', 'moved', 'moved', 'finished'])
    const { entries } = await bench.store.history(live.id, 0, 20)
    expect(entries.map(({ seq, event }) => `${seq} ${event}`)).toEqual([
      '1 submitted',
      '2 claimed',
      '3 cancelRequested',
      '4 cancelRequested',
      '5 succeeded',
    ])
  })
}
