/** Short jobs that end as their input says. They touch nothing outside: what is tortured here is the telling. */

const sleep = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })

export function handlersOf({ defineJob, until, z, Permanent, Transient }) {
  const anything = z.looseObject({})

  async function run(job) {
    const { script, serial, canary, waitMs = 0 } = job.input
    if (script === 'fail') throw new Permanent('The script refuses.', { code: 'script-refused' })
    if (script === 'transient' && job.attempt === 1) throw new Transient('Busy.', { code: 'script-busy' })
    if (script === 'slow') await sleep(waitMs, job.signal)
    if (script === 'cancelRunning') await sleep(60_000, job.signal)
    if (job.signal.aborted) throw job.signal.reason
    return { serial, canary }
  }

  /** Ends when it is told to, as it is told. */
  const onWord = defineJob('told.onWord', {
    input: anything,
    output: anything,
    signals: { end: z.object({ how: z.string() }) },
  })

  const options = { retry: until({ within: '24h', backoff: { from: '10ms', to: '60ms' } }), maxLost: 1_000_000 }
  return [
    ...['told.small', 'told.large', 'plain'].map((name) =>
      defineJob(name, { input: anything, output: anything }).handler(options, run),
    ),
    onWord.handler(options, async (job) => {
      const { how } = await job.waitFor('end')
      if (how === 'failed') throw new Permanent('It was told to fail.', { code: 'told-to' })
      return { serial: job.input.serial }
    }),
  ]
}
