/**
 * One run of a watched handler on a rig of its own: from its submit to its end, through the death of the process if the
 * plan has one. Time stands still while the handler works, and moves to the next timer when it does not.
 */
import { type Duration, parseDuration } from '../../core/duration.js'
import type { WireJob } from '../../core/wire.js'
import type { JobHandler } from '../../define/define-job.js'
import type { SubmitOptions } from '../../index.js'
import { isTombstone } from '../../stores/store.js'
import { createTestRig, type TestRig, type TestRigOptions } from '../rig.js'
import { until } from '../until.js'
import { type Attempt, COMMITS, type Commit, type Plan, type Run } from './attempt.js'
import type { Findings, Found } from './findings.js'
import { watched } from './watch.js'

export interface RunOptions {
  input: unknown
  submit: SubmitOptions
  reset: () => unknown
  answer: ((job: WireJob, rig: TestRig) => unknown) | null
  within: Duration
  timeout: Duration
  handlers: readonly JobHandler[]
  rig: TestRigOptions
}

export interface Done extends Run {
  /** The job as it was at the end, or when nothing more could happen. */
  job: WireJob
  /** Why it has no end; null when it has one, or waits for somebody. */
  unfinished: string | null
  /** The process did die where the plan says. */
  crashed: boolean
  /** How often it wrote to the store, by what it wrote. */
  commits: Record<Commit, number>
}

/** A handler that is still failing after so many attempts will not end soon. */
const ATTEMPTS = 20

export async function runOnce(
  handler: JobHandler<any, any>,
  plan: Plan,
  findings: Findings | null,
  options: RunOptions,
): Promise<Done> {
  const run: Run = {
    plan,
    plain: !plan.crash && plan.fail === undefined,
    jobId: null,
    attempts: [] as Attempt[],
    effects: [],
    answers: new Map(),
    tape: new Map(),
    found: (found: Found) => findings?.add(found),
  }
  await options.reset()
  const rig = await createTestRig([watched(handler, run), ...options.handlers], options.rig)
  try {
    const input = typeof options.input === 'function' ? await options.input(rig) : options.input
    let died = false
    const death = plan.crash && rig.crashAt(plan.crash).then(() => (died = true))
    // A point that is not reached never comes to this death; the end of the rig is none.
    death?.catch(() => undefined)
    const commits = counted(rig)
    const { id } = await rig.submit(handler.definition.name, input, options.submit)
    const unfinished = await drive(rig, id, death, options)
    const job = await rig.get(id)
    return Object.assign(run, { job, unfinished, crashed: died, commits })
  } finally {
    await rig.close()
  }
}

/** Counts what the process writes from now on. */
function counted({ store }: TestRig): Record<Commit, number> {
  const commits = { record: 0, move: 0, decide: 0 }
  for (const op of COMMITS) {
    const write = store[op].bind(store) as (...args: unknown[]) => Promise<unknown>
    Object.assign(store, {
      [op]: (...args: unknown[]) => {
        commits[op]++
        return write(...args)
      },
    })
  }
  return commits
}

/** Lets the job come to its end; gives the reason when it does not. */
async function drive(
  rig: TestRig,
  id: string,
  death: Promise<unknown> | undefined,
  options: RunOptions,
): Promise<string | null> {
  const end = rig.clock.now() + parseDuration(options.within)
  const timeoutMs = parseDuration(options.timeout)
  let answered = -1
  let dying = death
  for (;;) {
    await rig.settle()
    if (!rig.alive) {
      await death
      dying = undefined
      await rig.restart()
      answered = -1
      continue
    }
    const live = await liveOf(rig, id)
    if (live === null) return null
    if (live.state === 'running' || live.state === 'cancelling') {
      const moved = async () => !rig.alive || (await liveOf(rig, id))?.version !== live.version
      if (!(await until(moved, 'the handler', timeoutMs).catch(() => false)))
        return `it was still at work after ${options.timeout} of real time`
      continue
    }
    const job = await rig.get(id)
    if (job.status === 'blocked') {
      // One of several people who must decide raises the revision, and no more.
      if (!options.answer || job.revision === answered) return null
      answered = job.revision
      // The answer is a commit too: the process may die in it.
      await Promise.race([options.answer(job, rig), ...(dying ? [dying] : [])])
      continue
    }
    const next = rig.clock.next
    const last = job.ops?.lastError
    const why = last ? `; its last error was ${last.code}: ${last.message}` : ''
    if (live.attempt >= ATTEMPTS) return `it had not ended after ${ATTEMPTS} attempts${why}`
    if (next === null || rig.clock.now() + next > end)
      return `it had not ended after ${options.within} of test time${why}`
    await rig.clock.advance(next)
  }
}

async function liveOf(rig: TestRig, id: string) {
  const stored = await rig.store.find(id, 0)
  return stored === null || isTombstone(stored) ? null : stored.live
}
