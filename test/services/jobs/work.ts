// Jobs of the tests with several processes. Each step goes to the world of the test, which may keep it there.
import { defineJob } from 'untildone'
import { z } from 'zod'

const { WORLD = '', WORKER = '' } = process.env

interface Here {
  id: string
  attempt: number
}

/** Tells the world who is where, and waits until it lets go. */
async function pass(point: string, { id, attempt }: Here, signal?: AbortSignal): Promise<string> {
  const body = JSON.stringify({ point, worker: WORKER, job: id, attempt })
  await (await fetch(WORLD, { method: 'POST', body, signal })).text()
  return WORKER
}

/** Goes to one point after the other. */
export const walk = defineJob('walk', {
  title: 'Walk',
  input: z.object({ points: z.array(z.string()) }),
  output: z.object({ by: z.array(z.string()) }),
  stages: [{ name: 'way', label: 'On the way' }],
})
export const walkHandler = walk.handler(async (job) => {
  const by: string[] = []
  for (const [i, point] of job.input.points.entries()) {
    const here = { id: job.id, attempt: job.attempt }
    job.progress('way', { completed: i, total: job.input.points.length, message: `Towards ${point}` })
    by.push(
      await job.step(point, async ({ signal }) => {
        signal.addEventListener('abort', () => void pass(`${point}, stopped`, here).catch(() => {}))
        return pass(point, here, signal)
      }),
    )
  }
  return { by }
})

export const leg = defineJob('leg', { input: z.object({ point: z.string() }), output: z.object({ by: z.string() }) })
export const legHandler = leg.handler(async (job) => ({
  by: await job.step('go', () => pass(job.input.point, { id: job.id, attempt: job.attempt })),
}))

/** Waits for everything that a job can wait for: a signal, a callback, other jobs. */
export const wait = defineJob('wait', {
  input: z.object({ point: z.string(), legs: z.int() }),
  output: z.object({ paidBy: z.string(), text: z.string(), legs: z.array(z.string()) }),
  signals: { paid: z.object({ by: z.string() }) },
})
export const waitHandler = wait.handler(async (job) => {
  const { point } = job.input
  const answer = await job.callback<{ text: string }>('scanned')
  await job.step('hand out', () => pass(`${point} ${answer.url}`, { id: job.id, attempt: job.attempt }))
  const legs = Array.from({ length: job.input.legs }, (_, i) =>
    job.call(leg, { point: `${point}, leg` }, { name: `leg ${i}` }),
  )
  const [paid, end, ends] = await Promise.all([job.waitFor('paid'), answer.result(), Promise.all(legs)])
  return {
    paidBy: paid.payload?.by ?? 'nobody',
    text: end.outcome === 'completed' ? end.payload.text : end.outcome,
    legs: ends.map(({ by }) => by),
  }
})
