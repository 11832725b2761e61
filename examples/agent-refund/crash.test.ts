// The process dies at each commit of a whole run in turn, just before it and just after it. Whatever the instant: one refund
// in the shop, one outcome, and a history without a gap in which every entry may follow the one before.
import { readFileSync } from 'node:fs'
import type { DeathPoint } from 'untildone/testing'
import { expect, it, vi } from 'vitest'
import { Bench, FINN, MARA } from './support.js'

const OPS = ['submit', 'claim', 'record', 'move', 'decide'] as const

/** Order 3 is of high risk: two people decide. Whoever got no answer is told by the card what counts already. */
async function decide(bench: Bench, id: string): Promise<unknown> {
  const { quorum } = (await bench.rig.get(id)).blockedOn[0]!
  return bench.rig.approve(id, { by: quorum!.filled === 0 ? MARA : FINN, reason: 'Saw the photos.' })
}

/** Where the job is, read from the store: the process may be gone. */
async function placeOf({ rig }: Bench, id: string): Promise<'done' | 'approval' | 'at work'> {
  const stored = await rig.store.find(id, 0)
  if (!stored || !('record' in stored)) throw new Error('The job is lost.')
  if (stored.outcome) return 'done'
  return stored.live?.waitKind === 'approval' ? 'approval' : 'at work'
}

/** Submits, and drives the job to its end, over the death of the process. @returns the job, and how often it died */
async function run(bench: Bench, point: DeathPoint | null): Promise<{ id: string; deaths: number }> {
  const { rig } = bench
  const died = point ? rig.crashAt(point) : new Promise<void>(() => {})
  let deaths = 0
  const bury = async () => {
    await died
    deaths++
    await rig.restart()
  }
  // Whoever got no answer sends the same request again.
  let id = await Promise.race([bench.submit(3), died.then(() => null)])
  if (id === null) {
    await bury()
    id = await bench.submit(3)
  }
  for (;;) {
    await rig.advanceUntil(async () => !rig.alive || (await placeOf(bench, id)) !== 'at work')
    if (rig.alive && (await placeOf(bench, id)) === 'done') return { id, deaths }
    if (rig.alive) await Promise.race([decide(bench, id), died])
    if (!rig.alive) await bury()
  }
}

/** Where it writes: a look for work that finds none is no commit. */
async function commitsOf(calls: readonly (readonly [DeathPoint['op'], { mock: { results: { value: any }[] } }])[]) {
  const all: { op: DeathPoint['op']; nth: number }[] = []
  for (const [op, { mock }] of calls)
    for (const [i, { value }] of mock.results.entries())
      if (op !== 'claim' || (await value).length > 0) all.push({ op, nth: i + 1 })
  return all
}

it('at every commit, before and after: one refund, one outcome, a legal history', { timeout: 120_000 }, async () => {
  const pathsOf = async (bench: Bench, id: string) => (await bench.rig.store.decisions(id)).map(({ path }) => path)
  const smooth = await Bench.open()
  const calls = OPS.map((op) => [op, vi.spyOn(smooth.rig.store, op)] as const)
  const { id: smoothly, deaths } = await run(smooth, null)
  expect(deaths).toBe(0)
  const commits = await commitsOf(calls)
  const points = commits.flatMap((commit): DeathPoint[] => [
    { ...commit, when: 'before' },
    { ...commit, when: 'after' },
  ])
  const counts = OPS.map((one) => `${commits.filter(({ op }) => op === one).length} ${one}`).join(', ')
  console.log(`A whole run makes ${points.length / 2} commits: ${counts}. The process dies at ${points.length} points.`)
  const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8')
  expect(readme.replaceAll('\n', ' ')).toContain(`at each of the ${points.length / 2} commits of a whole run`)
  const paths = await pathsOf(smooth, smoothly)
  expect(paths).toHaveLength(4)

  for (const point of points) {
    const about = `${point.when} ${point.op} ${point.nth}`
    const bench = await Bench.open()
    const { id, deaths } = await run(bench, point)
    expect(deaths, about).toBe(1)
    expect((await bench.rig.get(id)).result, about).toEqual({
      ...{ status: 'refunded', amount: 89_900, receipt: 'R-1', decidedBy: ['mara', 'finn'] },
    })
    expect(await pathsOf(bench, id), about).toEqual(paths)
    expect(bench.effects(), about).toEqual(['refund O-3 89900', 'answer O-3'])
    await bench.expectLegalHistory(id, about)
  }
})
