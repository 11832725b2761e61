// Three workers in one process, each for a queue of its own: what one of them does not serve, it does not run.
import { LOCAL } from 'untildone'
import { expect, it } from 'vitest'
import { approvals } from './agent/policy.js'
import { WORKERS } from './start.js'
import { Bench, SAM } from './support.js'

it('each stage is done by the worker of its queue', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(1)
  await bench.rig.approve(id, { by: SAM })
  await bench.rig.untilDone(id)
  const attempts = await bench.rig.engine.attempts(LOCAL, id)
  const [intake, agents, asks, pays] = attempts.map(({ workerId }) => workerId)
  expect(attempts).toHaveLength(4)
  expect(new Set([intake, agents, asks]).size).toBe(3)
  expect(pays).toBe(asks)
})

it('without a worker for payments the job waits for one, and says so; nothing of payments is done', async () => {
  const [intake, agents] = WORKERS
  const bench = await Bench.open({ worker: [intake!, agents!] })
  const { rig } = bench
  const id = await bench.submit(1)
  await rig.advance('10s')
  expect(await rig.get(id)).toMatchObject({
    ...{ status: 'processing', done: false, ops: { queue: 'payments', attempt: 2, workerId: null } },
    statusText: expect.stringContaining('no worker for "agent.refund" in queue "payments"'),
  })
  expect(bench.asked).toBe(1)
  expect(await rig.store.approvalsOf(id)).toEqual([])

  // Approved meanwhile in a process that has one; then only the agents are served again.
  await rig.restart(undefined, { worker: WORKERS, approvals })
  const { id: approval } = await rig.approval(id)
  await rig.restart(undefined, { worker: [intake!, agents!], approvals })
  await rig.approve(approval, { by: SAM })
  await rig.advance('2h')
  expect(bench.effects()).toEqual([])

  await rig.restart(undefined, { worker: WORKERS, approvals })
  expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { receipt: 'R-1' } })
  expect(bench.effects()).toEqual(['refund O-1 3900', 'answer O-1'])
  await bench.expectLegalHistory(id)
})
