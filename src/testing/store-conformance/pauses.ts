/** Pauses of types and queues: what is paused is not claimed and not told to be claimable; everything else goes on. */
import { expect } from 'vitest'
import { laneOf } from '../../core/job.js'
import type { PauseRow } from '../../stores/store.js'
import { audit, type Bench, LANE, SYSTEM } from './bench.js'
import type { Suite } from './index.js'

export const setPause = (bench: Bench, row: Partial<PauseRow>, on: boolean) =>
  bench.store.pauses.set(
    { tenant: 'default', kind: 'type', name: 't', by: SYSTEM, reason: 'vendor', at: bench.clock.now(), ...row },
    on,
    audit({ action: `type.${on ? 'pause' : 'resume'}`, target: 'type/t' }),
  )

export function pauseTests({ test }: Suite): void {
  test('a paused type is not claimed, and not named among the lanes; resumed it goes on', async (bench) => {
    const ids = await bench.submit({}, {}, { type: 'x' })
    expect(await setPause(bench, {}, true)).toBe(true)
    expect(await bench.claim()).toEqual([])
    expect(await bench.store.due(LANE)).toBeNull()
    expect((await bench.store.lanes()).map(({ lane }) => lane)).toEqual([laneOf('default', 'x', 'default')])
    expect(await bench.claim(9, { lane: laneOf('default', 'x', 'default') })).toHaveLength(1)
    expect(await setPause(bench, {}, false)).toBe(true)
    expect((await bench.store.lanes()).map(({ lane }) => lane)).toEqual([LANE])
    expect((await bench.claim()).map(({ live }) => live.id)).toEqual(ids.slice(0, 2))
  })

  test('a paused queue stops its lanes of one tenant, whatever their types', async (bench) => {
    await bench.submit({ queue: 'q' }, { queue: 'q', type: 'x' }, { queue: 'q', tenant: 'z' }, {})
    await setPause(bench, { kind: 'queue', name: 'q' }, true)
    expect(await bench.claim(9, { lane: laneOf('q', 't', 'default') })).toEqual([])
    expect(await bench.claim(9, { lane: laneOf('q', 'x', 'default') })).toEqual([])
    expect(await bench.claim(9, { lane: laneOf('q', 't', 'z') })).toHaveLength(1)
    expect(await bench.claim()).toHaveLength(1)
  })

  test('a pause is on or off: twice is once, with one audit entry each', async (bench) => {
    expect(await setPause(bench, {}, false)).toBe(false)
    expect(await setPause(bench, {}, true)).toBe(true)
    expect(await setPause(bench, { reason: 'again' }, true)).toBe(false)
    expect(await bench.store.pauses.list()).toMatchObject([{ kind: 'type', name: 't', reason: 'vendor', by: SYSTEM }])
    expect(await setPause(bench, {}, false)).toBe(true)
    expect(await bench.store.pauses.list()).toEqual([])
    expect((await bench.store.audit('default', 0, 9)).map(({ action }) => action)).toEqual([
      'type.pause',
      'type.resume',
    ])
  })

  test('running jobs of a paused type go on', async (bench) => {
    const claimed = await bench.started()
    await setPause(bench, {}, true)
    expect(await bench.succeed(claimed)).toMatchObject({ outcome: 'moved' })
  })

  test('a pause survives a restart', async (bench) => {
    await bench.submit({})
    await setPause(bench, {}, true)
    await bench.reopen()
    expect(await bench.store.pauses.list()).toHaveLength(1)
    expect(await bench.claim()).toEqual([])
  })
}
