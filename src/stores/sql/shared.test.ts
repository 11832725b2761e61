import { describe, expect, it, vi } from 'vitest'
import type { Change } from '../store.js'
import { type Bell, Shared, type Told } from './shared.js'

/** A line on which everybody hears everybody, themselves included; time moves by hand. */
class Line {
  readonly bells: TestBell[] = []
  readonly told: string[] = []
  now = 0
  cut = false
  bell(most = 7900): TestBell {
    const bell = new TestBell(this, most)
    this.bells.push(bell)
    return bell
  }
  async advance(ms: number): Promise<void> {
    const until = this.now + ms
    for (;;) {
      const due = this.bells.flatMap((bell) => bell.timers).sort((a, b) => a.at - b.at)[0]
      if (!due || due.at > until) break
      this.now = due.at
      for (const bell of this.bells) bell.timers = bell.timers.filter((timer) => timer !== due)
      due.fn()
      await settle()
    }
    this.now = until
    await settle()
  }
}

class TestBell implements Bell {
  timers: { at: number; fn: () => void }[] = []
  heard: (text: string | null) => void = () => {}
  works = true
  private attends = false
  constructor(
    private readonly line: Line,
    readonly most: number,
  ) {}
  attend(): void {
    this.attends = true
    this.heard(null)
  }
  hear({ texts, toAll }: Told): void {
    if (toAll || this.attends) for (const text of texts) this.heard(text)
  }
  listen(heard: (text: string | null) => void): void {
    this.heard = heard
  }
  async ring(told: Told): Promise<void> {
    for (const text of told.texts) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(this.most)
    this.line.told.push(...told.texts)
    if (!this.line.cut) for (const bell of this.line.bells) bell.hear(told)
  }
  rest(): Promise<void> {
    return new Promise((resolve) => this.later(resolve, 5))
  }
  later(fn: () => void, ms: number): void {
    this.timers.push({ at: this.line.now + ms, fn })
  }
  async close(): Promise<void> {
    this.timers = []
  }
}

const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

function change(jobId: string, set: Partial<Change> = {}): Change {
  return {
    ...{ jobId, tenant: 't', type: 'x', groupId: null, lane: 't/x/default', status: 'processing', done: false },
    ...{ version: 2, revision: 2, moved: true, queuedAt: null, cancelling: null, pausing: false, wakeAt: null },
    ...set,
  }
}

/** @param attends whether it carries out jobs */
function member(line: Line, name: string, rows = new Map<string, Change>(), most?: number, attends = true) {
  const told: Change[] = []
  const tellOutbox = vi.fn()
  const look = vi.fn(async (ids: readonly string[]) => ids.flatMap((id) => rows.get(id) ?? []))
  const bell = line.bell(most)
  const tell = (changes: readonly Change[]) => void told.push(...changes)
  const shared = new Shared(bell, { name, tell, tellOutbox, look }, () => line.now)
  if (attends) shared.attend()
  return { shared, told, tellOutbox, look, bell }
}

async function two(most?: number) {
  const line = new Line()
  const rows = new Map<string, Change>()
  const a = member(line, 'a', rows, most)
  const b = member(line, 'b', rows, most)
  await line.advance(6000)
  for (const one of [a, b]) one.told.length = 0
  return { line, rows, a, b }
}

it('tells the others what changed, as it was, and not itself', async () => {
  const { a, b } = await two()
  const changes = [
    change('1', { queuedAt: 5, groupId: 'g', status: 'accepted' }),
    change('2', { cancelling: 'force', pausing: true, wakeAt: 9 }),
    change('3', { done: true, status: 'completed', ties: true, version: 7, revision: 9 }),
    change('4', { moved: false }),
  ]
  a.shared.publish(changes, true)
  await settle()
  const byId = (list: readonly Change[]) => [...list].sort((x, y) => (x.jobId < y.jobId ? -1 : 1))
  expect(byId(b.told).map(({ from: _, ...rest }) => rest)).toEqual(changes)
  expect(b.tellOutbox).toHaveBeenCalledTimes(1)
  expect(a.told).toEqual([])
})

it('says nothing while nobody else is there, and again when somebody is', async () => {
  const line = new Line()
  const a = member(line, 'a')
  await line.advance(20_000)
  line.told.length = 0
  a.shared.publish([change('1')], false)
  await settle()
  expect(line.told).toEqual([])
  const b = member(line, 'b')
  await settle()
  a.shared.publish([change('1')], false)
  await settle()
  expect(b.told.map(({ jobId }) => jobId)).toEqual(['1'])
})

describe('what is for readers', () => {
  const begun = (jobId: string, set: Partial<Change> = {}) => change(jobId, { forReaders: true, ...set })
  const ids = (of: { told: Change[] }) => of.told.splice(0).map(({ jobId }) => jobId)

  it('is told while somebody reads in another process, and a while longer', async () => {
    const { line, a, b } = await two()
    const tell = async (jobId: string) => {
      a.shared.publish([begun(jobId), change(`${jobId}!`)], false)
      await line.advance(10)
      return ids(b).sort()
    }
    expect(await tell('1')).toEqual(['1!'])
    const stop = b.shared.follow()
    await settle()
    expect(await tell('2')).toEqual(['2', '2!'])
    stop()
    stop()
    await line.advance(20_000)
    expect(await tell('3')).toEqual(['3', '3!'])
    await line.advance(20_000)
    expect(await tell('4')).toEqual(['4!'])
  })

  it('is told to whoever waits for a job, not to whoever runs one', async () => {
    const { line, a, b } = await two()
    const tell = async (jobId: string) => {
      a.shared.publish([begun(jobId)], false)
      await line.advance(10)
      return ids(b)
    }
    b.shared.watch('1', false)
    await settle()
    expect(await tell('1')).toEqual([])
    const stop = b.shared.watch('1')
    await settle()
    expect(await tell('1')).toEqual(['1'])
    stop()
    await line.advance(40_000)
    expect(await tell('1')).toEqual([])
  })

  it('that came before somebody was known to read is looked for, by that one alone', async () => {
    const { line, rows, a, b } = await two()
    const c = member(line, 'c', rows)
    await line.advance(6000)
    const gaps = [a, b, c].map(({ shared }) => {
      const gap = vi.fn()
      shared.onGap(gap)
      return gap
    })
    line.cut = true
    b.shared.watch('1')
    await settle()
    rows.set('1', begun('1', { revision: 4 }))
    a.shared.publish([rows.get('1')!], false)
    await settle()
    expect(ids(b)).toEqual([])
    line.cut = false
    // What it says next, whenever that is, says that it reads.
    b.shared.publish([change('2')], false)
    await settle()
    expect(ids(b)).toEqual(['1'])
    expect(gaps.map((gap) => gap.mock.calls.length)).toEqual([0, 1, 0])
  })

  it('is withheld from what goes behind a commit, and told after it to who reads by then', async () => {
    const { line, a, b } = await two()
    const changes = [begun('1'), change('2')]
    const behind = a.shared.behind(changes, false)!
    b.bell.hear(behind)
    expect({ ids: ids(b), toAll: behind.toAll }).toEqual({ ids: ['2'], toAll: false })
    await line.advance(10)
    a.shared.toReaders(changes)
    await line.advance(10)
    expect(ids(b)).toEqual([])
    b.shared.watch('1')
    await settle()
    a.shared.toReaders(changes)
    await line.advance(10)
    expect(ids(b).sort()).toEqual(['1', '2'])
    expect(a.shared.behind([change('2')], false)).toMatchObject({ toAll: true })
  })

  it('is all that is told to whoever neither works nor reads: nothing', async () => {
    const { line, rows, a, b } = await two()
    const c = member(line, 'c', rows, undefined, false)
    await line.advance(6000)
    const heard = async (jobId: string) => {
      a.shared.publish([begun(jobId), change(`${jobId}!`)], true)
      await line.advance(10)
      return [b, c].map((one) => ids(one).sort())
    }
    expect(await heard('1')).toEqual([['1!'], []])
    expect([b, c].map(({ tellOutbox }) => tellOutbox.mock.calls.length)).toEqual([1, 0])
    const stop = c.shared.follow()
    await settle()
    expect(await heard('2')).toEqual([
      ['2', '2!'],
      ['2', '2!'],
    ])
    stop()
    await line.advance(40_000)
    expect(await heard('3')).toEqual([['3!'], []])
    c.shared.attend()
    expect(await heard('4')).toEqual([['4!'], ['4!']])
  })

  it('is told also where an older text comes later', async () => {
    const { line, a, b } = await two()
    const before = line.told.findLast((text) => text.startsWith('{"by":"b"'))!
    b.shared.follow()
    await settle()
    a.bell.heard(before)
    a.shared.publish([begun('1')], false)
    await settle()
    expect(ids(b)).toEqual(['1'])
  })

  it('takes the place of what the job was before', async () => {
    const { line, a, b } = await two()
    a.shared.publish([change('0')], false)
    a.shared.publish([change('1', { queuedAt: 5 })], false)
    a.shared.publish([begun('1')], false)
    await line.advance(10)
    expect(ids(b)).toEqual(['0'])
  })

  it('goes behind no commit while nobody reads, and does not keep the next one from it', async () => {
    const { a } = await two()
    expect(a.shared.behind([begun('1')], false)).toBeNull()
    expect(a.shared.behind([change('2')], false)).not.toBeNull()
  })
})

it('goes right behind a commit where nobody was told a moment ago; what comes then is gathered', async () => {
  const { line, a, b } = await two()
  const told = a.shared.behind([change('1')], true)
  expect(told).not.toBeNull()
  b.bell.hear(told!)
  expect(b.told.map(({ jobId }) => jobId)).toEqual(['1'])
  expect(b.tellOutbox).toHaveBeenCalledTimes(1)
  // While they rest, the next commit is told with the round after it.
  expect(a.shared.behind([change('2')], false)).toBeNull()
  a.shared.publish([change('2')], false)
  await settle()
  expect(b.told.map(({ jobId }) => jobId)).toEqual(['1'])
  await line.advance(10)
  expect(b.told.map(({ jobId }) => jobId)).toEqual(['1', '2'])
  expect(b.tellOutbox).toHaveBeenCalledTimes(1)
  expect(a.shared.behind([], false)).toBeNull()
})

it('goes behind no commit while nobody else is there', async () => {
  const line = new Line()
  const a = member(line, 'a')
  await line.advance(20_000)
  expect(a.shared.behind([change('1')], false)).toBeNull()
})

it('two moves of a job are one word, and say what came before both', async () => {
  const { a, b } = await two()
  a.shared.publish([change('0')], false) // under way while the next ones come
  a.shared.publish([change('1', { version: 4 }), change('1', { version: 5, status: 'blocked' })], false)
  a.shared.publish([change('1', { version: 6, done: true, status: 'completed' })], false)
  await settle()
  expect(b.told.filter(({ jobId }) => jobId === '1')).toEqual([
    change('1', { version: 6, done: true, status: 'completed', from: 3 }),
  ])
})

it('what does not fit is not told, ends and requests to stop come first, and the others learn that there was more', async () => {
  const { line, rows, a, b } = await two(700)
  b.shared.watch('j499')
  await line.advance(200)
  const gap = vi.fn()
  b.shared.onGap(gap)
  const many = Array.from({ length: 500 }, (_, i) => change(`j${i}`))
  rows.set('j499', change('j499', { revision: 3 }))
  a.shared.publish([...many, change('end', { done: true }), change('stop', { cancelling: 'graceful' })], false)
  await settle()
  const ids = b.told.map(({ jobId }) => jobId)
  expect(ids).toContain('end')
  expect(ids).toContain('stop')
  expect(ids.length).toBeLessThan(400)
  expect(gap).toHaveBeenCalledTimes(1)
  // Somebody waits for this one, so it was looked at.
  expect(ids).toContain('j499')
})

it('a job that somebody waits for is looked at, though nothing was told; told once', async () => {
  const { line, rows, b } = await two()
  const stop = b.shared.watch('1')
  await line.advance(6000)
  expect(b.told).toEqual([])
  rows.set('1', change('1', { done: true, status: 'completed', revision: 4 }))
  await line.advance(12_000)
  expect(b.told.map(({ revision }) => revision)).toEqual([4])
  stop()
  stop()
  b.look.mockClear()
  await line.advance(20_000)
  expect(b.look).not.toHaveBeenCalled()
})

it('a look says nothing of what this process has written itself', async () => {
  const { line, rows, a } = await two()
  a.shared.watch('1', false)
  rows.set('1', change('1', { revision: 4 }))
  a.shared.saw([rows.get('1')!])
  await line.advance(12_000)
  expect(a.told).toEqual([])
  rows.set('1', change('1', { revision: 5 }))
  await line.advance(6000)
  expect(a.told.map(({ revision }) => revision)).toEqual([5])
})

it('where nothing is heard it looks much more often', async () => {
  const { line, rows, b } = await two()
  b.bell.works = false
  b.shared.watch('1')
  await line.advance(6000)
  rows.set('1', change('1', { done: true, revision: 4 }))
  await line.advance(700)
  expect(b.told).toHaveLength(1)
})

it('after its line came back it looks, and tells that it is there', async () => {
  const { line, rows, b } = await two()
  b.shared.watch('1')
  await line.advance(200)
  const gap = vi.fn()
  b.shared.onGap(gap)
  rows.set('1', change('1', { revision: 4 }))
  line.told.length = 0
  b.bell.heard(null)
  await settle()
  expect(gap).toHaveBeenCalledTimes(1)
  expect(b.told).toHaveLength(1)
  expect(line.told).toEqual(['{"by":"b","turn":1}'])
})

it('a neighbour that is too busy to tell does not keep the others looking', async () => {
  const { line, b } = await two()
  const gap = vi.fn()
  b.shared.onGap(gap)
  for (let i = 0; i < 50; i++) b.bell.heard('{"by":"a","turn":0,"more":1}')
  await settle()
  expect(gap).toHaveBeenCalledTimes(1)
  await line.advance(150)
  expect(gap).toHaveBeenCalledTimes(2)
})

it('a text that is none is a gap, not an error', async () => {
  const { b } = await two()
  const gap = vi.fn()
  b.shared.onGap(gap)
  b.bell.heard('{"by":')
  expect(gap).toHaveBeenCalledTimes(1)
})

it('a look that fails is made again', async () => {
  const { line, rows, b } = await two()
  b.shared.watch('1')
  rows.set('1', change('1', { revision: 4 }))
  b.look.mockRejectedValueOnce(new Error('away'))
  await line.advance(12_000)
  expect(b.told).toHaveLength(1)
})

it('stirs the others without a job', async () => {
  const { a, b } = await two()
  const gap = vi.fn()
  b.shared.onGap(gap)
  a.shared.stir()
  await settle()
  expect(gap).toHaveBeenCalledTimes(1)
})
