/**
 * One run of a watched handler on a rig of its own: from its submit to its end, through the death of the process if the
 * plan has one. Time stands still while the handler works, and moves to the next timer when it does not.
 */
import { type Duration, parseDuration } from '../../core/duration.js'
import type { LiveJob } from '../../core/job.js'
import type { WireJob } from '../../core/wire.js'
import type { JobHandler } from '../../define/define-job.js'
import { LOCAL } from '../../engine/api.js'
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
  ends: string
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
  /** Attempts that came to a stop and waited. */
  suspended: ReadonlySet<number>
}

/** A handler that has failed so often, or has been at work so often, will not end soon. */
const ERRORS = 20
const LATE = 'late'
const ATTEMPTS = 300

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
    const attempts = await rig.engine.attempts(LOCAL, id)
    const suspended = new Set(attempts.flatMap(({ outcome, attempt }) => (outcome === 'suspended' ? [attempt] : [])))
    return Object.assign(run, { job, unfinished, crashed: died, commits, suspended })
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
    const moved = async () => !rig.alive || (await liveOf(rig, id))?.version !== live.version
    if (live.worker !== null) {
      if (!(await until(moved, 'the handler', timeoutMs).catch(() => false)))
        return `it was still at work after ${options.timeout} of real time`
      continue
    }
    const job = await rig.get(id)
    // One of several people who must decide raises the revision, and no more.
    if (job.status === 'blocked' && options.answer && job.revision !== answered) {
      answered = job.revision
      // The answer is a commit too: the process may die in it.
      await Promise.race([options.answer(job, rig), ...(dying ? [dying] : [])])
      continue
    }
    // Nobody answers. What it waits for may have a time limit: then that is what comes.
    if (job.status === 'blocked' && (options.ends === 'blocked' || !(await mayTimeOut(rig, live)))) return null
    const left = end - rig.clock.now()
    const last = job.ops?.lastError
    const why = last ? `; its last error was ${last.code}: ${last.message}` : ''
    if (live.attempt >= ATTEMPTS || (await failures(rig, id, live.attempt)) >= ERRORS)
      return `it had not ended after ${live.attempt} attempts${why}`
    // Other jobs may be at work, e.g. in a child process: time stands still for them too.
    await until(async () => rig.app.running === 0 || (await moved()), 'the other jobs', timeoutMs).catch(() => false)
    if (!(await rig.advanceUntil(moved, 'the job', left).catch(() => LATE))) continue
    return `it had not ended after ${options.within} of test time${why}`
  }
}

/** Attempts that ended in an error; a look that is not taken before there can be many. */
async function failures(rig: TestRig, id: string, attempts: number): Promise<number> {
  if (attempts < ERRORS) return 0
  return (await rig.engine.attempts(LOCAL, id)).filter(({ outcome }) => outcome === 'error').length
}

/** Time ends no review and no pause. An approval expires by its wait, and wakes nobody before. */
async function mayTimeOut(rig: TestRig, { id, waitKind }: LiveJob): Promise<boolean> {
  if (waitKind === 'review' || waitKind === 'pause') return false
  return (await rig.store.waits(id)).some(({ dueAt }) => dueAt !== null)
}

async function liveOf(rig: TestRig, id: string) {
  const stored = await rig.store.find(id, 0)
  return stored === null || isTombstone(stored) ? null : stored.live
}
