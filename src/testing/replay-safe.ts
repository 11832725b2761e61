/**
 * assertReplaySafe: runs a handler once, then again and again with the process dying at each of its commits and with each
 * of its calls failing, and demands the same steps, the same result and each effect once. Names the line that breaks it.
 */
import { AssertionError } from 'node:assert'
import type { Duration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { WireJob } from '../core/wire.js'
import type { AnySchema, InputOf, JobHandler } from '../define/index.js'
import { isJobHandler } from '../define/index.js'
import type { SubmitOptions } from '../index.js'
import type { Attempt, Commit, Plan } from './replay/attempt.js'
import { watchEffects } from './replay/effects.js'
import { confirm, explain } from './replay/explain.js'
import { Findings, type ReplayFinding, type ReplayFindingKind } from './replay/findings.js'
import { deviationOf, endOf, judge } from './replay/judge.js'
import { patched } from './replay/patches.js'
import { type Done, type RunOptions, runOnce } from './replay/run.js'
import { watchClockAndChance } from './replay/unstable.js'
import type { TestRig, TestRigOptions } from './rig.js'

export interface ReplayOptions {
  /** Called before each run: put the far side back to where it begins. @default nothing */
  reset?: () => unknown
  /**
   * Called when the job waits for a person or the outside: answer with `rig.approve`, `rig.signal`, `rig.callback`, or
   * through `rig.engine`. @default nobody answers: time limits pass, and without one the job stays blocked
   */
  answer?: (job: WireJob, rig: TestRig) => unknown
  /** How the job ends when nothing goes wrong; another end is a finding, because it leaves nothing to compare. @default 'completed' */
  ends?: 'completed' | 'failed' | 'cancelled' | 'blocked'
  /** At most so many runs in which something goes wrong; more are thinned out evenly. @default 100 */
  maxCrashes?: number
  /** Test time for one run, by the rig's clock. @default '30d' */
  within?: Duration
  /** Real time that the handler may be at work without a pause, e.g. in a child process. @default '20s' */
  timeout?: Duration
  /** Kinds of findings that are meant to be so. @default none */
  ignore?: readonly ReplayFindingKind[]
  /** Other handlers that the job needs. @default none */
  handlers?: readonly JobHandler[]
  /** Of the rig of each run. */
  rig?: TestRigOptions
  /** How the job is submitted: its key, for whom, with which permissions. @default as it is without options */
  submit?: SubmitOptions
}

/** The input, or what makes it on the rig of each run, e.g. by storing a file there. */
export type ReplayInput<I extends AnySchema> = InputOf<I> | ((rig: TestRig) => InputOf<I> | Promise<InputOf<I>>)

/** Why a handler is not replay-safe. */
export class ReplaySafetyError extends AssertionError {
  override readonly name = 'ReplaySafetyError'

  constructor(
    handler: string,
    readonly findings: readonly ReplayFinding[],
  ) {
    const count = findings.length === 1 ? 'one finding' : `${findings.length} findings`
    const list = findings.map(({ kind, message }, i) => `${i + 1}. ${kind}\n   ${message}`).join('\n\n')
    super({ message: `The handler of "${handler}" is not replay-safe: ${count}.\n\n${list}`, operator: 'replaySafe' })
  }
}

/**
 * Fails unless the handler can be interrupted anywhere and run again.
 * @throws ReplaySafetyError with `findings`: file, line, what happened and what to do
 * @example
 * await assertReplaySafe(refundHandler, { order: 'o-1' }, { reset: () => shop.reset() })
 */
export async function assertReplaySafe<I extends AnySchema, O extends AnySchema>(
  handler: JobHandler<I, O>,
  input: ReplayInput<I>,
  options?: ReplayOptions,
): Promise<void> {
  const findings = await replayFindings(handler, input, options)
  if (findings.length > 0) throw new ReplaySafetyError(handler.definition.name, findings)
}

/** The findings of assertReplaySafe as a list; empty for a handler that is replay-safe as far as can be seen. */
export async function replayFindings<I extends AnySchema, O extends AnySchema>(
  handler: JobHandler<I, O>,
  input: ReplayInput<I>,
  options: ReplayOptions = {},
): Promise<ReplayFinding[]> {
  if (!isJobHandler(handler))
    throw new UntildoneError('bad-definition', 'assertReplaySafe needs a handler, as made by defineJob(…).handler(…).')
  const install = (patches: Parameters<typeof watchEffects>[0]) => {
    watchEffects(patches)
    watchClockAndChance(patches)
  }
  return patched(install, () => check(handler, input, options))
}

/** Calls that only wait: nothing in them can go wrong. */
const NEVER_FAIL = new Set(['job.sleep', 'job.waitFor', 'job.callback', 'job.answer'])

/** One mistake makes many runs deviate, and each explanation takes more runs: these are enough to see all there is. */
const EXPLAINED = 6

async function check(handler: JobHandler<any, any>, input: unknown, options: ReplayOptions): Promise<ReplayFinding[]> {
  const findings = new Findings(handler.definition.name, options.ignore)
  const runOptions: RunOptions = {
    input,
    reset: options.reset ?? (() => undefined),
    answer: options.answer ?? null,
    ends: options.ends ?? 'completed',
    within: options.within ?? '30d',
    timeout: options.timeout ?? '20s',
    handlers: options.handlers ?? [],
    rig: options.rig ?? {},
    submit: options.submit ?? {},
  }
  const plain = await runOnce(handler, {}, findings, runOptions)
  const plainAgain = (plan: Plan) => runOnce(handler, plan, null, runOptions)
  await suspect(plain, plain, findings, plainAgain)
  if (plain.unfinished !== null) {
    // It may go round in circles because each attempt asks for something else.
    const deviation = deviationOf(plain, plain)
    if (deviation) findings.add(await explain(plain, plain, deviation, plainAgain))
  }
  if (!endsAs(plain, runOptions.ends, findings)) return findings.list
  let explained = 0
  for (const plan of plansFor(plain, options.maxCrashes ?? 100)) {
    const run = await runOnce(handler, plan, findings, runOptions)
    // A run to find out why reports nothing of its own.
    const again = (plan: Plan) => runOnce(handler, plan, null, runOptions)
    await suspect(run, plain, findings, again)
    const deviation = deviationOf(run, plain)
    if (deviation && explained++ < EXPLAINED) findings.add(await explain(run, plain, deviation, again))
  }
  return findings.list
}

async function suspect(
  run: Done,
  plain: Done,
  findings: Findings,
  again: (plan: Plan) => Promise<Done>,
): Promise<void> {
  for (const suspicion of judge(run, findings)) {
    const found = await confirm(run, plain, suspicion, again)
    if (found) findings.add(found)
  }
}

/** Without a proper end of the plain run there is nothing to compare with. */
function endsAs(plain: Done, ends: string, findings: Findings): boolean {
  if (plain.unfinished === null && plain.job.status === ends) return true
  if (findings.list.length === 0)
    findings.add({
      kind: 'no-end',
      place: plain.attempts.at(-1)?.last ?? null,
      what: `the job is ${endOf(plain)} although nothing was made to go wrong`,
      fix: `Nothing can be said about its replays. Give it an input with which it is ${ends}, or say in \`ends\` what is right.`,
    })
  return false
}

/**
 * All places where the process can die, and all calls that can fail. The end of an attempt comes first: there everything
 * is recorded, and what differs then is clearest.
 */
function plansFor({ attempts, commits }: Done, max: number): Plan[] {
  const crashes = (op: Commit) =>
    numbers(commits[op]).flatMap((nth): Plan[] => [
      { crash: { op, when: 'before', nth } },
      { crash: { op, when: 'after', nth } },
    ])
  const plans = [...crashes('move'), ...crashes('record'), ...crashes('decide'), ...failures(attempts)]
  if (plans.length <= max) return plans
  return numbers(max).map((i) => plans[Math.floor(((i - 1) * plans.length) / max)]!)
}

/** Each call where it was first asked for: in later attempts it may be taken from the record. */
function failures(attempts: readonly Attempt[]): Plan[] {
  return attempts.flatMap(({ number: attempt, calls }, a) =>
    calls.flatMap(({ key, method, awaited }, i): Plan[] =>
      awaited && !NEVER_FAIL.has(method) && !attempts.slice(0, a).some(({ asked }) => asked.has(key))
        ? [{ fail: { attempt, nth: i + 1 } }]
        : [],
    ),
  )
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}
