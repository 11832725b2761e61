/** What jobs of several processes do besides: wait, call others, share a limit, act once, and are overtaken. */
import { createHash } from 'node:crypto'

const sha256 = (text) => createHash('sha256').update(text).digest('hex')

/** For `handlersOf`: adds its scripts and gives its job types. */
export function manyOf({ defineJob, z, step, plain, tell, run, sleep, options, anything }, scripts) {
  const offspring = defineJob('torture.child', { input: anything, output: anything })

  async function mother(job) {
    const { serial, offspring: many, childWaitMs } = job.input
    const inputs = Array.from({ length: many }, (_, n) => ({
      ...{ script: 'offspring', serial: `${serial}.${n}`, steps: 1 + (n % 2), waitMs: childWaitMs },
    }))
    const call = (input, n) => job.call(offspring, input, { name: `child${n}` })
    const results = await Promise.all(inputs.map(call))
    results.forEach((result, n) => {
      if (result.serial !== `${serial}.${n}`) throw new Error(`Child ${n} gave the result of another one.`)
    })
    return plain(job)
  }

  /** Recorded before it is begun: what began is never begun again unless somebody knows that it did not happen. */
  async function once(job, confirm) {
    const value = await job.step(
      'pay',
      async ({ key, attempt }) => {
        await tell('start', { job: job.id, step: 'pay', key, attempt })
        const { receipt } = await tell('effect', { job: job.id, step: 'pay', key, attempt })
        return { receipt }
      },
      { effect: 'once', ...(confirm ? { confirm } : {}) },
    )
    await tell('recorded', { job: job.id, step: 'pay', attempt: job.attempt, hash: sha256(JSON.stringify(value)) })
    return { pay: value.receipt, ...(await plain(job)) }
  }

  /**
   * The second attempt waits inside its first step until the first one, which stood still for longer than its lease, is
   * back and goes on beside it: whatever that one may still write, it writes under the eyes of its successor.
   */
  async function overtaken(job) {
    let met = job.attempt !== 2
    const meet = async () => {
      if (met) return
      met = true
      const patience = Date.now() + job.input.patienceMs
      while (!(await tell('returned', { job: job.id })).returned && Date.now() < patience) await sleep(50)
      await sleep(300)
    }
    const receipts = {}
    for (let i = 0; i < job.input.steps; i++) {
      const { receipt } = await step(job, `s${i}`, { waitMs: job.input.waitMs, before: meet })
      receipts[`s${i}`] = receipt
    }
    await meet()
    // With nothing left to record, so that one who stands still here has only its end to write.
    if (job.attempt === 1) await sleep(job.input.lingerMs)
    await tell('ending', { job: job.id, attempt: job.attempt })
    return receipts
  }

  Object.assign(scripts, {
    offspring: plain,
    overtaken,
    mother,
    motherCancelled: mother,
    narrow: plain,
    together: plain,
    async sleeper(job) {
      const { receipt } = await step(job, 's0')
      await job.sleep('nap', job.input.napMs)
      const second = await step(job, 's1')
      return { s0: receipt, s1: second.receipt }
    },
    async signalled(job) {
      const receipts = await plain(job)
      const { payload } = await job.waitFor('go')
      if (payload.id !== job.id) throw new Error('The signal of another job came.')
      return receipts
    },
    pay: (job) =>
      once(job, async () => {
        const { receipt } = await tell('find', { job: job.id, step: 'pay' })
        return receipt === null ? { happened: false } : { happened: true, result: { receipt } }
      }),
    transfer: (job) => once(job, null),
  })

  const signals = { go: z.object({ id: z.string() }) }
  return [
    offspring.handler(options, run),
    defineJob('torture.signalled', { input: anything, output: anything, signals }).handler(options, run),
    defineJob('torture.narrow', { input: anything, output: anything }).handler(
      { ...options, limits: { concurrency: { key: ({ lane }) => lane, limit: NARROW } } },
      run,
    ),
  ]
}

/** So many `narrow` jobs of one lane may have a worker at once, in all processes together. */
export const NARROW = 2
