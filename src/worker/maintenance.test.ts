import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler } from '../define/index.js'
import { bootId, readStat } from '../process/procfs.js'
import { isTombstone } from '../stores/store.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { until } from '../testing/until.js'

const open = rigs()
const work = defineJob('work', { input: z.object({}) })

describe('maintenance', () => {
  it('removes what has had its time, however much it is, and leaves the rest', async () => {
    const handler = work.handler({ retention: '1h' }, () => 'ok' as never) as unknown as JobHandler
    const keeper = defineJob('keeper', { input: z.object({}) }).handler({ retention: '30d' }, () => 'ok' as never)
    const rig = await open([handler, keeper as unknown as JobHandler])
    const handles = await Promise.all(Array.from({ length: 1203 }, () => rig.submit(work, {})))
    const kept = await rig.submit('keeper', {})
    await rig.untilIdle()
    expect(await rig.store.check()).toMatchObject({ finished: 1204 })
    await rig.crash()
    await rig.clock.advance(3_600_000)
    await rig.restart()
    await rig.advance('61s')
    expect(await rig.store.check()).toMatchObject({ finished: 1 })
    for (const { id } of [handles[0]!, handles.at(-1)!]) expect(isTombstone((await rig.store.find(id))!)).toBe(true)
    expect((await rig.get(kept)).status).toBe('completed')
  })

  it('a chunk of jobs with a tombstone among it does not end the sweep early', async () => {
    const handler = work.handler({ retention: '1h' }, () => 'ok' as never) as unknown as JobHandler
    const rig = await open(handler)
    await rig.untilDone(await rig.submit(work, {}))
    await rig.crash()
    await rig.clock.advance(3_600_000)
    await rig.restart()
    await rig.advance('61s')
    for (let i = 0; i < 1001; i++) void rig.submit(work, {})
    await rig.untilIdle()
    await rig.crash()
    await rig.clock.advance(366 * 86_400_000)
    await rig.restart()
    await rig.advance('61s')
    expect(await rig.store.check()).toMatchObject({ finished: 0, unfinished: 0 })
  })

  it('a child that a killed worker of this machine has left is ended, while the one of a living worker goes on', async () => {
    const rig = await open(work.handler(() => 'ok' as never) as unknown as JobHandler)
    const { id: jobId } = await rig.submit(work, {})
    const [own] = await rig.store.workers.list()
    const children = [own!.id, 'w-killed'].map((worker) => {
      const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' })
      return { child, worker, pgid: child.pid!, ended: once(child, 'exit') }
    })
    try {
      for (const { worker, pgid } of children) {
        const startTime = readStat(pgid)!.startTime
        await rig.store.workers.addProcess({ jobId, pgid, startTime, bootId: bootId()!, worker })
      }
      await rig.advance('6s')
      expect((await children[1]!.ended)[1]).toBe('SIGKILL')
      await until(async () => (await rig.store.workers.strays()).length === 0, 'no record of it')
      expect(children[0]!.child.signalCode).toBeNull()
    } finally {
      for (const { child } of children) child.kill('SIGKILL')
    }
  })

  it('a wait whose end cannot be stored is told of, and keeps no other wait and no deadline from its turn', async () => {
    const [short, long] = [work, defineJob('long', { input: z.object({}) })].map((definition, i) =>
      definition.handler(async (job) => {
        await job.sleep('nap', i === 0 ? '5m' : '1h')
        return 'ok' as never
      }),
    ) as unknown as JobHandler[]
    const rig = await open([short!, long!])
    const [stuck, other] = [await rig.submit(work, {}), await rig.submit(work, {})]
    const late = await rig.submit('long', {}, { deadlineAt: new Date(rig.clock.now() + 420_000) })
    await rig.settle()
    await rig.advance('1m')
    const { settle } = rig.store
    rig.store.settle = (about) =>
      about.jobId === stuck.id ? Promise.reject(new Error('it cannot be stored')) : settle.call(rig.store, about)
    await rig.advance('9m')
    expect((await rig.get(other)).status).toBe('completed')
    expect((await rig.get(late)).status).toBe('failed')
    expect((await rig.get(stuck)).done).toBe(false)
    expect(rig.errors.map(String)).toContain('Error: it cannot be stored')
    rig.store.settle = settle
    rig.errors.length = 0
    expect((await rig.untilDone(stuck)).status).toBe('completed')
  })

  it('its own trouble is reported, and it goes on', async () => {
    const rig = await open(work.handler(() => 'ok' as never) as unknown as JobHandler)
    const { overdue } = rig.store
    rig.store.overdue = () => Promise.reject(new Error('the store is away'))
    await rig.advance('3s')
    rig.store.overdue = overdue
    expect(rig.errors.map(String)).toEqual(Array(3).fill('Error: the store is away'))
    rig.errors.length = 0
    const { id } = await rig.submit(
      work,
      {},
      { runAt: new Date(rig.clock.now() + 60_000), deadlineAt: new Date(rig.clock.now() + 61_000) },
    )
    expect((await rig.untilDone(id)).status).toBe('completed')
  })

  it('says nothing after a stop', async () => {
    for (const ms of [0, 999, 1000, 5000, 60_000]) {
      const rig = await open(work.handler(() => 'ok' as never) as unknown as JobHandler)
      await rig.submit(work, {})
      await rig.advance(ms)
      await rig.stop()
      await rig.advance('2m')
      expect(rig.errors).toEqual([])
    }
  })
})
