import { describe, expect, it } from 'vitest'
import type { Store } from '../stores/store.js'
import { TestClock } from '../testing/index.js'
import { writeGroup } from './groups.js'

const row = { jobId: 'j', pgid: 7, startTime: '1', bootId: 'b', worker: 'w' }
const turns = async () => {
  for (let i = 0; i < 10; i++) await null
}

describe('a process group', () => {
  it('is taken back after it was written, however late that is', async () => {
    const done: string[] = []
    let written = () => {}
    const workers = {
      addProcess: () =>
        new Promise<void>((resolve) => {
          written = () => {
            done.push('written')
            resolve()
          }
        }),
      removeProcess: async () => void done.push('removed'),
    } as unknown as Store['workers']
    writeGroup(workers, new TestClock(), row).ended()
    await turns()
    expect(done).toEqual([])
    written()
    await turns()
    expect(done).toEqual(['written', 'removed'])
  })

  it('is taken back once the store takes it, and not tried for ever', async () => {
    const clock = new TestClock()
    let tries = 0
    let away = true
    const workers = {
      addProcess: () => Promise.reject(new Error('away')),
      removeProcess: () => {
        tries++
        return away ? Promise.reject(new Error('away')) : Promise.resolve()
      },
    } as unknown as Store['workers']
    writeGroup(workers, clock, row).ended()
    await clock.advance(3500)
    expect(tries).toBe(3)
    away = false
    await clock.advance(60_000)
    expect(tries).toBe(4)
    away = true
    writeGroup(workers, clock, row).ended()
    await clock.advance(3_600_000)
    expect(tries).toBe(14)
  })
})
