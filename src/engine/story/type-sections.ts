/**
 * The chapters of a type's story, in the order in which a job lives them. Each line is made from the declaration or from
 * the recorded run; where neither says anything, the line says `unknown`.
 */
import type { ErrorRule } from '../../core/classify.js'
import type { WireTypeSection, WireTypeStep } from '../../core/wire-type-story.js'
import type { HandlerSettings, JobDefinition } from '../../define/define-job.js'
import type { RecordedRun } from './type-run.js'
import { count, list, quoted, quotedList, span, tries } from './words.js'

interface Told {
  definition: JobDefinition<any, any, any>
  settings: HandlerSettings
  steps: readonly WireTypeStep[]
  run: RecordedRun | null
}

const UNKNOWN = 'unknown: no run was recorded'

export function sectionsOf(told: Told): WireTypeSection[] {
  return [
    { id: 'intake', title: 'Intake', lines: intake(told) },
    { id: 'write', title: 'The durable write', lines: write(told) },
    { id: 'stages', title: 'Stages and queues', lines: stages(told) },
    { id: 'guards', title: 'Reads and guards', lines: guards(told) },
    { id: 'effects', title: 'Effects', lines: effects(told) },
    { id: 'waits', title: 'Waits and child jobs', lines: waits(told) },
    { id: 'approvals', title: 'Approvals', lines: approvals(told) },
    { id: 'ends', title: 'Ends', lines: ends(told) },
  ]
}

function fields(schema: Record<string, any>): string[] {
  const either = [schema.anyOf, schema.oneOf].find(Array.isArray)
  if (either)
    return [
      `Either ${either.map((one: any) => quotedList(Object.keys(one?.properties ?? {})) || 'something else').join(', or ')}.`,
    ]
  const required: string[] = Array.isArray(schema.required) ? schema.required : []
  return Object.entries((schema.properties ?? {}) as Record<string, any>).map(([name, node]) => {
    const what =
      node?.format === 'untildone-file'
        ? 'file'
        : (node?.format ?? node?.type ?? (node?.enum ? 'one of several' : 'anything'))
    const kind = Array.isArray(what) ? what.join(' or ') : what
    const must =
      required.includes(name) && !('default' in (node ?? {}))
        ? 'required'
        : 'default' in (node ?? {})
          ? `default ${JSON.stringify(node.default)}`
          : 'optional'
    return `${quoted(name)}: ${kind}, ${must}${node?.description ? `. ${node.description}` : ''}`
  })
}

function intake({ definition, settings }: Told): string[] {
  const own = fields(definition.inputSchema)
  const { completion } = settings
  const answer = {
    wait: () => `the end, if it comes within ${span((completion as { upToMs: number }).upToMs)}; else the job as it is`,
    staged: () => 'the job at once; its progress is worth showing',
    background: () => 'the job at once; nobody is expected to wait',
  }[completion.mode]()
  return [
    ...(own.length > 0 ? own : ['Any input that its schema takes.']),
    settings.requireIdempotencyKey
      ? 'An idempotency key is required; the same key is the same job.'
      : 'With an idempotency key the same key is the same job.',
    'Input that does not fit is refused, and nothing is stored.',
    `The answer to a submit: ${answer}.`,
    ...(settings.upgrade ? ['Input made for an older version is upgraded.'] : []),
  ]
}

function write({ settings }: Told): string[] {
  const { maxLost } = settings
  const pin = settings.pin ? ` It stays with workers of version ${settings.version}.` : ''
  return [
    `One commit holds the job, its first history entry, its key and its hold on files. Only then it is acknowledged, and from then on it is recovered whatever goes down.`,
    `It waits in the queue ${quoted(settings.queue)}.${pin}`,
    `After a lost worker it goes on from its records; after ${count(maxLost, 'loss', 'losses')} a person must look.`,
  ]
}

function budget({ withinMs, attempts, fromMs, toMs, onExhausted }: HandlerSettings['retry']): string {
  const most = attempts === null ? '' : `, ${tries(attempts)} at most`
  const then = onExhausted === 'review' ? 'a person must look' : 'it fails'
  return `What does not work is tried again for ${span(withinMs)}${most}, with pauses of ${span(fromMs)} to ${span(toMs)}; then ${then}.`
}

/** Neither a place nor work. */
const UNTOLD: ReadonlySet<string> = new Set(['stage', 'read', 'decision'])

function stages({ definition, settings, steps, run }: Told): string[] {
  const { targetMs, attemptTimeoutMs } = settings
  const lines = definition.stages.map(({ name, label }, i) => {
    const [stage] = steps.filter((step) => step.kind === 'stage' && step.stage === name)
    const inside = steps.filter((step) => step.stage === name && !UNTOLD.has(step.kind))
    const where = stage ? `queue ${quoted(stage.queue)}` : run ? 'shown as progress only' : UNKNOWN
    const own = stage
      ? [
          stage.ownRetry && 'a retry budget of its own',
          stage.timeoutMs !== null && `at most ${span(stage.timeoutMs)} a try`,
        ].filter(Boolean)
      : []
    const has =
      inside.length > 0
        ? `; ${quotedList(
            inside.map(({ key }) => key.split('/').slice(1).join('/') || key),
            8,
          )}`
        : ''
    return `${i + 1}. ${label} (${name}): ${[where, ...own].join(', ')}${has}.`
  })
  return [
    ...(lines.length > 0 ? lines : ['No stages are declared; progress shows no places.']),
    ...(run ? [] : [`Steps: ${UNKNOWN}.`]),
    budget(settings.retry),
    `One try may last ${span(attemptTimeoutMs)}.`,
    targetMs === null
      ? 'Target: none, so it is late when it takes longer than 95 % of the jobs before it.'
      : `Target: 95 % within ${span(targetMs)}; an older job is late.`,
    ...(Number.isFinite(settings.concurrency)
      ? ['Its handler limits how many run at once in one process, whatever the queue allows.']
      : []),
    ...(settings.isolate ? ['Each try runs in a process of its own; a crash ends that try and nothing else.'] : []),
    ...errorLines(settings.errors),
  ]
}

function errorLines(rules: readonly ErrorRule[]): string[] {
  return rules.map((rule) => {
    const { match, code, status, exit, signal, engine, is, as } = rule
    const parts = [
      exit !== undefined && `exit ${exit}`,
      signal !== undefined && `signal ${signal}`,
      code !== undefined && `code ${code}`,
      status !== undefined && `status ${status}`,
      match !== undefined && `${match}`,
      engine !== undefined && `engine ${engine.name}${engine.versions ? ` ${engine.versions}` : ''}`,
    ].filter((part) => part !== false)
    return `Error ${quotedList(parts)}: ${is}${as ? `, as ${quoted(as)}` : ''}.`
  })
}

function guards({ settings, steps, run }: Told): string[] {
  const lines = [
    ...(settings.verify ? ['Before it completes, its result is verified once more.'] : []),
    ...steps
      .filter(({ kind }) => kind === 'read')
      .map(({ key }) => `${quoted(key)} is read anew in every try, never from the record.`),
    ...steps
      .filter(({ before }) => before)
      .map(({ key }) => `Right before ${quoted(key)} its guard looks again; what it reads is unknown.`),
  ]
  for (const { key, approved } of steps)
    if (approved)
      lines.push(
        `Right before ${quoted(key)} what was approved is asked again; if it has changed, people decide again.`,
      )
  if (!run) return [...lines, `Reads and guards: ${UNKNOWN}.`]
  return lines.length > 0 ? lines : ['Nothing is read again, and no step has a guard.']
}

function effects({ steps, run }: Told): string[] {
  if (!run) return [`Effects: ${UNKNOWN}.`]
  const acting = steps.filter(({ effect }) => effect === 'once' || effect === 'idempotent')
  const lines = acting.map(({ key, effect, confirm, undo, times }) => {
    const many = times > 1 ? ` (${times} in this run)` : ''
    const back = undo === null ? 'undo unknown' : undo ? 'undone if the job does not complete' : 'nothing undoes it'
    if (effect === 'idempotent') return `${quoted(key)}${many}: may be repeated under the same key; ${back}.`
    const asked =
      confirm === null
        ? 'confirm unknown'
        : confirm
          ? 'after a crash the far side is asked whether it happened'
          : 'after a crash a person is asked whether it happened'
    return `${quoted(key)}${many}: once. The same key in every try and every replay; ${asked}; ${back}.`
  })
  return lines.length > 0 ? lines : ['No step acts on anything outside.']
}

const KINDS: Record<string, (step: WireTypeStep) => string> = {
  timer: ({ key, timeoutMs }) =>
    `${quoted(key)}: sleeps${timeoutMs === null ? '' : ` ${span(timeoutMs)}`}, without a worker.`,
  signal: ({ key, timeoutMs }) => `${quoted(key)}: waits for a signal${limit(timeoutMs)}.`,
  callback: ({ key, timeoutMs }) =>
    `${quoted(key)}: waits for the answer to a URL that was handed out${limit(timeoutMs)}.`,
  child: ({ key, of, timeoutMs }) =>
    `${quoted(key)}: waits for ${of === null ? 'another job' : `a job of type ${quoted(of)}`}${limit(timeoutMs)}.`,
}

const limit = (timeoutMs: number | null): string =>
  timeoutMs === null ? '; its limit is unknown or none' : `, ${span(timeoutMs)} at most`

function waits({ definition, steps, run }: Told): string[] {
  const lines = steps.flatMap((step) => (KINDS[step.kind] ? [KINDS[step.kind]!(step)] : []))
  const unmet = Object.keys(definition.signals).filter(
    (name) => !steps.some((step) => step.kind === 'signal' && step.key.endsWith(name)),
  )
  if (unmet.length > 0) lines.push(`Declared, and not waited for in this run: ${quotedList(unmet)}.`)
  if (!run) return [...lines, `Waits: ${UNKNOWN}.`]
  return lines.length > 0 ? lines : ['It waits for nothing outside.']
}

const THEN: Record<string, string> = {
  ...{ cancel: 'it is cancelled', fail: 'it fails', continue: 'it goes on', escalate: 'others are asked' },
}

function approvals({ definition, run }: Told): string[] {
  const gates = Object.keys(definition.approvals)
  if (gates.length === 0) return ['Nobody has to approve anything.']
  return gates.map((gate) => {
    const step = run?.steps.find((one) => one.kind === 'approval' && one.of === gate)
    if (!step) return `${quoted(gate)}: ${run ? 'not reached in this run' : UNKNOWN}.`
    if (!step.approval) return `${quoted(gate)}: what is asked is read when it is asked, and unknown.`
    const { risk, due, onExpire, onReject, writes } = step.approval
    const what = writes.length > 0 ? ` before writing to ${list(writes)}` : ''
    const tier = risk === null ? 'its risk is computed by policy' : `its risk is at least ${risk}`
    const time = due === null ? 'the time to decide is that of its tier' : `to be decided within ${due}`
    return `${quoted(gate)}${what}: ${tier}; ${time}, then ${(onExpire && THEN[onExpire]) ?? 'what its tier says'}; when it is rejected, ${THEN[onReject ?? 'cancel'] ?? onReject}.`
  })
}

function ends({ definition, settings, steps }: Told): string[] {
  const codes = settings.errors
    .filter(({ is }) => is === 'permanent')
    .map(({ as, code }) => as ?? code ?? 'handler-error')
  const exhausted = settings.retry.onExhausted === 'fail' ? ['exhausted'] : []
  const failures = [...new Set([...codes, ...exhausted, 'deadline-passed'])]
  const result = fields(definition.outputSchema)
  const undo = steps.filter((step) => step.undo).map(({ key }) => key)
  const has =
    result.length > 0
      ? `: ${list(
          result.map((line) => line.split(':')[0]!),
          8,
        )}`
      : ''
  const noted = settings.errors.some(({ is }) => is === 'harmless') ? ' Harmless errors are kept as notes.' : ''
  return [
    `completed: the handler returned, and the result fits its schema${has}.${noted}`,
    `failed: ${quotedList(failures, 20)}.`,
    'cancelled: on request, before or while it runs.',
    ...(undo.length > 0
      ? [`Before it ends as failed or cancelled, it undoes ${quotedList(undo)}, the latest first.`]
      : []),
    `It is kept for ${span(settings.retentionMs)} after its end.`,
  ]
}
