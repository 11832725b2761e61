/** The story of a type, put together from its declaration and a recorded run. Pure; runs nothing. */
import type { WireTypeStep, WireTypeStory } from '../../core/wire-type-story.js'
import type { HandlerSettings, JobDefinition } from '../../define/define-job.js'
import { findingsOf, patternOf, stageName } from './type-check.js'
import { pointsOf } from './type-points.js'
import type { RecordedRun, RunStep } from './type-run.js'
import { sectionsOf } from './type-sections.js'
import { quotedList } from './words.js'

export interface StoryType {
  definition: JobDefinition<any, any, any>
  settings: HandlerSettings
}

/** @param run null: only the declaration is known */
export function typeStoryOf(type: StoryType, run: RecordedRun | null): WireTypeStory {
  const { definition, settings } = type
  const steps = run ? stepsOf(run.steps, settings.queue) : []
  return {
    ...{
      type: definition.name,
      version: settings.version,
      title: definition.title,
      description: definition.description,
    },
    source: sourceOf(run),
    sections: sectionsOf({ definition, settings, steps, run }),
    steps,
    voices: pointsOf(type, run),
    unknown: unknownOf(type, run),
    findings: findingsOf(type, run),
  }
}

function sourceOf(run: RecordedRun | null): WireTypeStory['source'] {
  if (run === null)
    return {
      kind: 'declaration',
      jobId: null,
      text: 'Made from the declaration alone; what the handler does is unknown.',
    }
  const { source } = run
  if (source.kind === 'dry-run')
    return { kind: 'dry-run', jobId: null, text: 'Made from the declaration and a dry run over the committed example.' }
  const version = source.version === null ? '' : `, version ${source.version}`
  return { kind: 'job', jobId: source.jobId, text: `Made from the declaration and from job ${source.jobId}${version}.` }
}

function unknownOf({ definition }: StoryType, run: RecordedRun | null): string[] {
  if (!run) return ['The steps, their effects, reads, guards and waits: no run was recorded.']
  const { stoppedBy, madeUp, steps } = run
  const gates = Object.keys(definition.approvals).filter(
    (gate) => !steps.some(({ kind, of }) => kind === 'approval' && of === gate),
  )
  const guarded = steps.filter(({ declared }) => declared?.before).map(({ key }) => patternOf(key))
  return [
    ...(stoppedBy ? [`What follows the last step: the run ended early, because ${stoppedBy.replace(/\.$/, '')}.`] : []),
    ...(madeUp.length > 0
      ? [`What depends on ${quotedList([...new Set(madeUp.map(patternOf))], 12)}: a value was made up.`]
      : []),
    ...(gates.length > 0 ? [`What is asked at ${quotedList(gates)}: this run did not come there.`] : []),
    ...(guarded.length > 0 ? [`What the guards of ${quotedList([...new Set(guarded)])} read.`] : []),
    ...(steps.some(({ declared }) => declared === null)
      ? ['What some steps declare: the run was recorded by an older version.']
      : []),
    'Other paths through the handler: one run shows one path.',
  ]
}

/** Steps in order, with repetitions of the same as one, each in its stage. */
function stepsOf(run: readonly RunStep[], queue: string): WireTypeStep[] {
  const stages = run.filter(({ kind }) => kind === 'stage')
  const found = new Map<string, WireTypeStep>()
  for (const step of run) {
    const pattern = patternOf(step.key)
    const id = `${step.kind} ${pattern}`
    const before = found.get(id)
    if (before) before.times++
    else found.set(id, wireStep(step, pattern, stages, queue))
  }
  return [...found.values()]
}

function wireStep(step: RunStep, pattern: string, stages: readonly RunStep[], queue: string): WireTypeStep {
  const { key, kind, effect, declared, engines, of } = step
  const around = kind === 'stage' ? step : stages.find((stage) => key.startsWith(`${stage.key}/`))
  const says = (name: 'before' | 'confirm' | 'undo' | 'retry') => (declared === null ? null : declared[name] === true)
  return {
    // Once a number stands for many, the pattern is its name; a name with a number that comes once keeps it.
    ...{ key: pattern.includes('*') ? pattern : key.replace(/#\d+$/, ''), kind, times: 1 },
    ...{ stage: around ? stageName(around) : null, queue: around?.declared?.queue ?? queue, effect },
    ...{ before: says('before'), confirm: says('confirm'), undo: says('undo'), ownRetry: says('retry') },
    ...{ timeoutMs: declared?.timeoutMs ?? null, engines: engines ? [...engines] : null, of: of ?? null },
  }
}
