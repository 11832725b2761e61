import { describe, expect, it } from 'vitest'
import { LANE as A, idle, type RelayingOptions, range, relaying } from '../testing/fixtures/relaying.js'

const B = 'q/b/x'
const OTHER = 'p/a/x'
const AWAY = { since: 1, why: 'The line is cut.' }

describe('a relay that leads', () => {
  it('announces what waits in the order of a claim, as much as the window holds', async () => {
    const { put, start, sent } = relaying()
    put(10)
    put(1, { level: 0 })
    await start()
    expect(sent()).toEqual([10, ...range(7)])
  })

  it('announces more as soon as it hears that some were claimed, and none twice', async () => {
    const { clock, put, claim, soon, start, sent } = relaying()
    put(20)
    await start()
    claim([0, 1, 5])
    await soon()
    expect(sent()).toEqual(range(11))
    await clock.advance(3000)
    expect(sent()).toEqual(range(11))
    claim(range(20).filter((n) => n < 11 && ![0, 1, 5].includes(n)))
    await soon()
    expect(sent()).toEqual(range(19))
  })

  it('announces what is for later at its time', async () => {
    const { clock, submit, sent } = await idle()
    submit(1, { runAt: clock.now() + 300 })
    await clock.advance(299)
    expect(sent()).toEqual([])
    await clock.advance(10)
    expect(sent()).toEqual([1])
  })

  it('announces nothing of a lane that nobody is reached in', async () => {
    const { clock, put, submit, start, lanesSent } = relaying({ reaches: (lane) => lane !== B })
    put(2, { lane: B })
    put(1)
    await start()
    submit(2, { lane: B })
    submit(1)
    await clock.advance(3000)
    expect(lanesSent()).toEqual([A, A])
  })

  it('forgets all when it does not lead any more, and looks at once when it does again', async () => {
    const { clock, relay, put, submit, soon, start, sent } = relaying()
    put(2)
    await start()
    relay.lead(Number.NEGATIVE_INFINITY)
    submit(1)
    await soon()
    expect(sent()).toEqual([0, 1])
    relay.lead(clock.monotonic() + 100)
    await soon()
    expect(sent()).toEqual([0, 1, 0, 1, 2])
  })
})

describe('a relay that does not lead', () => {
  const given = async (options: RelayingOptions = {}) => {
    const rig = relaying({ leads: false, ...options })
    const [job] = rig.put(1)
    await rig.start()
    rig.tell([job!])
    await rig.clock.advance(1500)
    const message = { jobId: job!.id, lane: A, dispatchNo: rig.clock.now() + 10_000 }
    return { ...rig, message }
  }

  it('announces nothing but what is given back to it, under a higher number', async () => {
    const { clock, relay, wire, message } = await given()
    expect(wire.sent).toEqual([])
    relay.giveBack(message)
    await clock.advance(150)
    expect(wire.sent).toEqual([{ ...message, dispatchNo: message.dispatchNo + 1 }])
    await clock.advance(10_000)
    expect(wire.sent).toHaveLength(1)
  })

  it.each([
    ['and waits no more', true, true],
    ['where nobody is reached', false, false],
  ])('does not announce what is given back %s', async (_, claimed, reached) => {
    const { clock, relay, wire, claim, message } = await given({ reaches: () => reached })
    if (claimed) claim([0])
    relay.giveBack(message)
    await clock.advance(150)
    expect(wire.tried).toBe(0)
  })
})

describe('a job that is told of', () => {
  it('is announced without asking the store, until half of the window is under way', async () => {
    const { store, submit, soon, sent } = await idle()
    const { asked } = store
    for (const n of range(3, 1)) {
      submit(1)
      await soon()
      expect({ sent: sent().at(-1), asked: store.asked }).toEqual({ sent: n, asked })
    }
    submit(1)
    await soon()
    expect(sent()).toEqual(range(4, 1))
    expect(store.asked).toBeGreaterThan(asked)
  })

  it('does not overtake those that wait for room', async () => {
    const { put, submit, claim, soon, start, sent } = relaying()
    put(20)
    await start()
    claim(range(8))
    submit(1, { level: 3 })
    await soon()
    expect(sent()).toEqual(range(16))
  })

  it('does not overtake those that are asked for', async () => {
    const { relay, wire, submit, soon, sent } = await idle()
    submit(1)
    await soon()
    relay.dropped(wire.sent[0]!)
    submit(1)
    await soon()
    expect(sent()).toEqual([1, 1, 2])
  })

  it('is not announced while the transport is away, and is when it is back', async () => {
    const { relay, store, wire, submit, soon, sent } = await idle()
    wire.away = AWAY
    const before = [store.asked, wire.tried]
    submit(1)
    await soon()
    expect([store.asked, wire.tried]).toEqual(before)
    wire.away = null
    void relay.look()
    await soon()
    expect(sent()).toEqual([1])
  })

  it('as claimed while the store was asked is not announced, and takes no place', async () => {
    const { store, put, claim, soon, start, sent } = relaying({ window: 1 })
    const answer = store.hold()
    put(2)
    await start()
    expect(store.asked).toBe(1)
    claim([0])
    answer()
    await soon()
    expect(sent()).toEqual([1])
  })

  it('as claimed while the store was asked is not announced when it was given back either', async () => {
    const { relay, store, wire, put, claim, soon, start, sent } = relaying({ window: 1 })
    put(2)
    await start()
    const answer = store.hold()
    relay.giveBack(wire.sent[0]!)
    await soon()
    claim([0])
    answer()
    await soon()
    expect(sent()).toEqual([0, 1])
  })
})

describe('the window', () => {
  it('is shared by the lanes of a queue; each queue has its own', async () => {
    const { put, start, lanesSent } = relaying()
    for (const lane of [A, B, OTHER]) put(20, { lane })
    await start()
    const count = (lane: string) => lanesSent().filter((one) => one === lane).length
    expect([A, B, OTHER].map(count)).toEqual([4, 4, 8])
  })

  it('gives what one lane leaves to the others', async () => {
    const { put, start, lanesSent } = relaying()
    put(1)
    put(20, { lane: B })
    await start()
    expect(lanesSent().filter((lane) => lane === B)).toHaveLength(7)
  })

  it('of a lane whose announcements nobody takes keeps no other lane out', async () => {
    const { clock, put, submit, start, lanesSent } = relaying()
    put(20)
    await start()
    submit(20, { lane: B })
    await clock.advance(400)
    expect(lanesSent()).toEqual(Array(8).fill(A))
    await clock.advance(700)
    expect(lanesSent().slice(8)).toEqual(Array(8).fill(B))
  })

  it('is kept where only another queue has such a lane', async () => {
    const { clock, put, submit, start, lanesSent } = relaying()
    put(20, { lane: OTHER })
    await start()
    await clock.advance(800)
    submit(20)
    await clock.advance(300)
    expect(lanesSent().filter((lane) => lane === A)).toHaveLength(8)
  })

  it('gives the places that one lane leaves to one that had none, as soon as it hears of them', async () => {
    const { put, submit, claim, soon, start, lanesSent } = relaying()
    put(3)
    put(20, { lane: B })
    await start()
    submit(3, { lane: 'q/c/x' })
    await soon()
    expect(lanesSent()).toEqual([...Array(3).fill(A), ...Array(5).fill(B)])
    claim([0, 1, 2])
    await soon()
    expect(lanesSent().slice(8)).toEqual(Array(3).fill('q/c/x'))
  })

  it('with more lanes than places has one for each lane in turn', async () => {
    const { put, claim, soon, start, sent, lanesSent } = relaying()
    for (const n of range(20)) put(30, { lane: `q/t${n}/x` })
    await start()
    expect(new Set(lanesSent()).size).toBe(8)
    for (let turn = 0; turn < 20; turn++) {
      claim(sent().slice(-8))
      await soon()
    }
    expect(new Set(lanesSent()).size).toBe(20)
  })

  it('is what the transport carries, if that is more than what is known', async () => {
    const { wire, put, start, sent } = relaying()
    wire.foreign = 6
    put(20)
    await start()
    expect(sent()).toEqual([0, 1])
  })

  it('has the place again of one whose claim was not heard, at the next look', async () => {
    const { clock, put, claim, start, sent } = relaying()
    put(10)
    await start()
    claim([3], false)
    await clock.advance(900)
    expect(sent()).toEqual(range(8))
    await clock.advance(1200)
    expect(sent()).toEqual(range(9))
  })
})

describe('an announcement', () => {
  it('that was lost is made again after five seconds under its number and alone, if its job waits still', async () => {
    const { clock, wire, put, claim, start, sent } = relaying({ window: 64 })
    put(20)
    await start()
    expect(wire.together).toEqual([2])
    wire.carried = []
    claim([4], false)
    await clock.advance(4900)
    expect(sent()).toEqual(range(20))
    await clock.advance(1200)
    expect(sent().slice(20)).toEqual(range(20).filter((n) => n !== 4))
    expect(wire.together).toEqual([2, 1])
    expect(new Set(wire.sent.map(({ jobId, dispatchNo }) => `${jobId} ${dispatchNo}`)).size).toBe(20)
  })

  it('is repeated also when the clock was set back', async () => {
    const { clock, put, start, sent } = relaying()
    put(1, { runAt: 0 })
    await start()
    clock.skew(-3_600_000)
    await clock.advance(5000)
    expect(sent()).toEqual([0, 0])
    await clock.advance(5000)
    expect(sent()).toEqual([0, 0, 0])
  })

  it('of what is paused is forgotten at the look, and made anew when it goes on', async () => {
    const { clock, store, wire, put, start, sent } = relaying()
    put(2)
    await start()
    store.paused.add(A)
    await clock.advance(1200)
    store.paused.delete(A)
    await clock.advance(1200)
    expect(sent()).toEqual([0, 1, 0, 1])
    expect(new Set(wire.sent.map(({ dispatchNo }) => dispatchNo)).size).toBe(2)
  })

  it('that was dropped while its job waits is made anew, and that of a job that does not wait is not', async () => {
    const { relay, wire, put, claim, soon, start, sent } = relaying()
    put(2)
    await start()
    claim([1])
    for (const message of [...wire.sent]) relay.dropped(message)
    await soon()
    expect(sent()).toEqual([0, 1, 0])
    expect(wire.sent[2]!.dispatchNo).toBeGreaterThan(wire.sent[0]!.dispatchNo)
  })

  it('that is made anew within its millisecond has another number', async () => {
    const { clock, relay, store, wire, submit, claim, tell, sent } = await idle()
    submit(1)
    await clock.advance(0)
    relay.dropped(wire.sent[0]!)
    await clock.advance(0)
    expect(sent()).toEqual([1, 1])
    claim([1])
    Object.assign(store.all[1]!, { waits: true, version: 3 })
    tell([store.all[1]!])
    await clock.advance(0)
    expect(sent()).toEqual([1, 1, 1])
    expect(new Set(wire.sent.map(({ dispatchNo }) => dispatchNo)).size).toBe(3)
  })

  it('that the transport refused is made when it takes again', async () => {
    const { wire, put, soon, start, sent } = relaying()
    wire.refuses = true
    put(2)
    await start()
    expect(sent()).toEqual([])
    wire.refuses = false
    await soon()
    expect(sent()).toEqual([0, 1])
  })
})

describe('a job that stands before what was announced', () => {
  const full = async () => {
    const rig = relaying()
    await rig.clock.advance(1000)
    for (const ms of range(12)) rig.put(1, { runAt: rig.clock.now() - 20 + ms })
    await rig.start()
    return rig
  }

  it('is announced next when it was told of', async () => {
    const { clock, submit, claim, soon, sent } = await full()
    submit(1, { runAt: clock.now() - 500 })
    claim([0])
    await soon()
    expect(sent()).toEqual([...range(8), 12])
  })

  it('is found by the next look when it was not', async () => {
    const { clock, put, claim, soon, sent } = await full()
    put(1, { runAt: clock.now() - 500 })
    claim(range(8))
    await soon()
    expect(sent()).toEqual(range(12))
    await clock.advance(1200)
    expect(sent()).toEqual(range(13))
  })

  it('or with it, as hundreds of one instant do, is announced when there is room, and read no further than that', async () => {
    const { store, put, claim, soon, start, sent } = relaying()
    put(300)
    await start()
    for (let turn = 1; turn <= 37; turn++) {
      claim(sent().slice(-8))
      await soon()
    }
    expect(sent()).toEqual(range(300))
    expect(store.most).toBeLessThanOrEqual(2 * 8)
  })
})

describe('the end of a relay', () => {
  const ending = async () => {
    const rig = relaying()
    rig.put(1)
    await rig.start()
    return { ...rig, message: rig.wire.sent[0]! }
  }

  it('hands what was given back to others, and sets no timer', async () => {
    const { clock, relay, wire, message } = await ending()
    const stopping = relay.stop()
    relay.giveBack(message)
    await stopping
    expect(wire.sent.slice(1)).toEqual([{ ...message, dispatchNo: expect.any(Number) }])
    expect(wire.sent[1]!.dispatchNo).toBeGreaterThan(message.dispatchNo)
    expect(clock.timers).toBe(0)
  })

  it('hands over nothing while the transport is away', async () => {
    const { clock, relay, wire, message } = await ending()
    wire.away = AWAY
    relay.giveBack(message)
    await relay.stop()
    wire.away = null
    await clock.advance(10_000)
    expect(wire.tried).toBe(1)
  })
})
