/**
 * The handlers of the torture: they do what the script in their input says, tell the outside witness before and after
 * each step, and pass the points where a kill may wait for them.
 */
import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'

const sha256 = (text) => createHash('sha256').update(text).digest('hex')
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** The witness as seen from a handler. */
function witnessAt(url) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  return (what, about) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify({ what, ...about })
      const out = request(
        `${url}/tell`,
        {
          method: 'POST',
          agent,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        },
        (answer) => {
          const parts = []
          answer.on('data', (part) => parts.push(part))
          answer.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString())))
          answer.on('error', reject)
        },
      )
      out.on('error', reject)
      out.end(text)
    })
}

/** @param more further scripts and job types, made with the tools that these are made of */
export function handlersOf(lib, witnessUrl, passing, more = null) {
  const { defineJob, until, file, z, Permanent, Transient, Harmless, Review } = lib
  const tell = witnessAt(witnessUrl)
  /** Attempts of each job that have begun in this process; for the scripts that wait for one another. */
  const begun = new Map()
  /** Per attempt: which start, by the number that the witness gave it, made the value of each step that it was given. */
  const givenTo = new WeakMap()

  /**
   * One effect outside, in one step; `before` may fail instead of it. Its receipt is the same in every attempt, so the value
   * also names the start that made it: no two attempts make the same.
   */
  async function step(job, name, { before = () => {}, options, pad = 0, waitMs = 0 } = {}) {
    const value = await job.step(
      name,
      async ({ key, attempt }) => {
        const { seq: start } = await tell('start', { job: job.id, step: name, key, attempt })
        passing('step:announced')
        if (waitMs > 0) await sleep(waitMs)
        await before()
        const effect = tell('effect', { job: job.id, step: name, key, attempt })
        await new Promise(setImmediate)
        passing('step:effect-sent')
        const { receipt } = await effect
        passing('step:effect-done')
        return { receipt, start, ...(pad > 0 ? { pad: 'x'.repeat(pad) } : {}) }
      },
      options,
    )
    if (value.start !== undefined) givenTo.set(job, { ...givenTo.get(job), [name]: value.start })
    passing('step:returned')
    await tell('recorded', { job: job.id, step: name, attempt: job.attempt, hash: sha256(JSON.stringify(value)) })
    return value
  }

  const plain = async (job, more = {}) => {
    const receipts = {}
    for (let i = 0; i < job.input.steps; i++) {
      const name = `s${i}`
      const { receipt } = await step(job, name, {
        pad: job.input.pad,
        waitMs: job.input.waitMs,
        ...(i === job.input.at ? more : {}),
      })
      receipts[name] = receipt
    }
    return receipts
  }

  const scripts = {
    complete: plain,
    large: plain,
    slow: plain,
    cancelQueued: plain,
    cancelRace: plain,
    file: async (job) => {
      const opened = await job.open(job.input.file)
      const hash = createHash('sha256')
      for await (const chunk of opened.stream()) hash.update(chunk)
      if (hash.digest('hex') !== job.input.sha256)
        throw new Permanent('The bytes of the file are not those that were sent.', { code: 'file-changed' })
      return plain(job)
    },
    async parallel(job) {
      const names = Array.from({ length: job.input.steps }, (_, i) => `s${i}`)
      const values = await Promise.all(names.map((name) => step(job, name)))
      return Object.fromEntries(names.map((name, i) => [name, values[i].receipt]))
    },
    permanent: (job) =>
      plain(job, {
        before: () => {
          throw new Permanent('The script refuses this step.', { code: 'script-refused' })
        },
      }),
    transient: (job) => plain(job, { before: () => failing(job) }),
    exhausted: (job) => plain(job, { before: () => failing(job) }),
    deadline: (job) => plain(job, { before: () => failing(job) }),
    harmless: (job) =>
      plain(job, {
        before: () => {
          throw new Harmless('A font was replaced.', { code: 'script-noise' })
        },
        options: { onHarmless: { receipt: null } },
      }),
    async thrownHarmless(job) {
      const receipts = await plain(job)
      throw new Harmless('Nothing that matters.', { code: 'script-noise', result: resultOf(job, receipts) })
    },
    review: (job) =>
      plain(job, {
        before: () => {
          if (job.attempt === 1) throw new Review('A person should look at this.')
        },
      }),
    async cancelRunning(job) {
      await step(job, 's0')
      await new Promise((resolve) => {
        if (job.signal.aborted) resolve()
        else job.signal.addEventListener('abort', resolve, { once: true })
      })
      throw job.signal.reason
    },
    overlap: linger,
    lingering: linger,
    async first(job) {
      const { value } = await job.first('pick', {
        fast: async ({ key, attempt }) => {
          await tell('start', { job: job.id, step: 'pick/fast', key, attempt })
          passing('step:announced')
          throw new Permanent('Too blurred for the fast one.', { code: 'too-blurred' })
        },
        thorough: async ({ key, attempt }) => {
          await tell('start', { job: job.id, step: 'pick', key, attempt })
          passing('step:announced')
          const { receipt } = await tell('effect', { job: job.id, step: 'pick', key, attempt })
          passing('step:effect-done')
          return { receipt }
        },
      })
      await tell('recorded', { job: job.id, step: 'pick', attempt: job.attempt, hash: sha256(JSON.stringify(value)) })
      return { pick: value.receipt }
    },
    async child(job) {
      const text = await job.process('child', { command: 'sh', args: ['-c', 'echo made by a child'] })
      if (text.trim() !== 'made by a child') throw new Permanent(`The child said: ${text}`, { code: 'child-changed' })
      return plain(job)
    },
  }

  /** The first attempt ends only once a later one has begun (the lease was lost meanwhile), so that it ends stale. */
  async function linger(job) {
    const receipts = await plain(job)
    const patience = Date.now() + job.input.lingerMs
    while (job.attempt === 1 && begun.get(job.id) === 1 && Date.now() < patience) await sleep(5)
    if (job.attempt > 1) await sleep(40)
    return receipts
  }

  function failing(job) {
    if (job.attempt <= job.input.times) throw new Transient('The far side is busy.', { code: 'script-busy' })
  }

  function resultOf(job, receipts) {
    return {
      script: job.input.script,
      serial: job.input.serial,
      attempt: job.attempt,
      receipts,
      starts: givenTo.get(job) ?? {},
    }
  }

  async function run(job) {
    begun.set(job.id, job.attempt)
    await tell('began', { job: job.id, attempt: job.attempt })
    const receipts = await scripts[job.input.script](job)
    passing('finish:returning')
    return resultOf(job, receipts)
  }

  const anything = z.looseObject({})
  const backoff = { from: '10ms', to: '60ms' }
  const options = { retry: until({ within: '24h', backoff }), maxLost: 1_000_000 }
  return [
    ...(more ? more({ ...lib, step, plain, tell, run, sleep, options, anything, failing }, scripts) : []),
    defineJob('torture', { input: anything, output: anything }).handler(options, run),
    defineJob('torture.limited', { input: anything, output: anything }).handler(
      { ...options, retry: until({ attempts: 3, backoff }) },
      run,
    ),
    defineJob('torture.file', { input: z.looseObject({ file: file() }), output: anything }).handler(options, run),
  ]
}
