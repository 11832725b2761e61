import { describe, expect, it } from 'vitest'
import { type Dispatching, dispatches, Runs, range } from '../testing/fixtures/dispatching.js'

const dispatching = dispatches()

describe('a worker that does nothing', () => {
  const directly = async (options: Dispatching = {}) => {
    const given = await dispatching(options)
    given.transport.direct = true
    return given
  }

  it('starts a job that its process is told of at once; while it runs others go over the transport', async () => {
    const { transport, rig, runs, submit, soon } = await directly({ worker: { slots: 4 } })
    transport.holds = true
    runs.held = true
    await submit([1])
    await soon()
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 0, started: [1] })
    await submit([2])
    await soon()
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 1, started: [1] })
    transport.holds = false
    transport.deliver()
    await soon()
    expect(runs.started).toEqual([1, 2])
    runs.release()
    await rig.advance('1s')
    await submit([3])
    await soon()
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 1, started: [1, 2, 3] })
  })

  it('has one of many, and the others go over the transport', async () => {
    const { transport, runs, submit, soon } = await directly()
    transport.holds = true
    runs.held = true
    await submit(range(5))
    await soon()
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 4, started: [0] })
  })

  it('has none that another one serves', async () => {
    const runs = new Runs()
    const { transport, submit, soon } = await directly({
      ...{ runs, types: [runs.handler('t', { queue: 'a' }), runs.handler('u', { queue: 'b' })] },
      worker: [
        { queues: ['a'], slots: 1 },
        { queues: ['b'], slots: 1 },
      ],
    })
    transport.holds = true
    runs.held = true
    await submit([1, 2], 'u')
    await submit([3, 4], 't')
    await soon()
    expect({ sent: transport.sent.length, started: runs.started.sort() }).toEqual({ sent: 2, started: [1, 3] })
  })

  it('and cannot claim it gives it back: it is announced anew', async () => {
    const { transport, rig, runs, submit } = await directly()
    const { store } = rig
    const { claim } = store
    store.claim = () => {
      store.claim = claim
      return Promise.reject(new Error('once'))
    }
    await submit([1])
    await rig.advance('100ms')
    expect(rig.errors.splice(0).map(String)).toEqual(['Error: once'])
    expect({ sent: transport.sent.length, started: runs.started }).toEqual({ sent: 1, started: [1] })
  })
})
