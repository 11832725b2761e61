/**
 * What a type must say before its story is whole: `untildone types story --check` fails on each of these. Judged from the
 * declaration and the recorded run; what is not known is no finding.
 */
import type { WireTypeFinding } from '../../core/wire-type-story.js'
import type { HandlerSettings, JobDefinition } from '../../define/define-job.js'
import type { RecordedRun, RunStep } from './type-run.js'
import { quoted, span } from './words.js'

type Type = { definition: JobDefinition<any, any, any>; settings: HandlerSettings }

export function findingsOf({ definition, settings }: Type, run: RecordedRun | null): WireTypeFinding[] {
  const { name, stages } = definition
  const found: WireTypeFinding[] = []
  if (settings.targetMs === null)
    found.push({
      ...{
        rule: 'no-target',
        where: name,
        text: `${quoted(name)} has no target: nothing says when a job of it is late.`,
      },
      fix: "Say when 95 % should be done: target: { p95: '2m' }",
    })
  if (!settings.retryChosen)
    found.push({
      ...{ rule: 'no-give-up-rule', where: name },
      text: `${quoted(name)} has no give-up rule: it tries for ${span(settings.retry.withinMs)}, because nobody chose anything else.`,
      fix: "Say for how long it may try: retry: until({ within: '2h' })",
    })
  const seen = new Set<string>()
  for (const step of run?.steps ?? []) {
    const finding = ofStep(step)
    if (finding && !seen.has(`${finding.rule} ${finding.where}`)) found.push(finding)
    if (finding) seen.add(`${finding.rule} ${finding.where}`)
  }
  const shown = new Set([
    ...(run?.shown.keys() ?? []),
    ...(run?.steps ?? []).filter(({ kind }) => kind === 'stage').map(stageName),
  ])
  for (const stage of shown) {
    if (stages.some((declared) => declared.name === stage)) continue
    const known = stages.length === 0 ? 'declares none' : `declares ${stages.map((one) => one.name).join(', ')}`
    found.push({
      ...{ rule: 'undeclared-stage', where: stage },
      text: `The handler shows the stage ${quoted(stage)}, and ${quoted(name)} ${known}: progress cannot show its place.`,
      fix: `Declare it: stages: [${[...stages.map((one) => one.name), stage].map((one) => `'${one}'`).join(', ')}]`,
    })
  }
  return found
}

function ofStep({ key, kind, effect, declared, bounded, approval }: RunStep): WireTypeFinding | null {
  const where = patternOf(key)
  if (effect === 'once' && declared !== null && !declared.confirm)
    return {
      ...{ rule: 'once-without-confirm', where },
      text: `${quoted(where)} must happen once and has no confirm: after a crash in it a person must find out whether it happened.`,
      fix: 'Ask the far side: confirm: async ({ key }) => … gives { happened: true, result }, { happened: false } or "unknown"',
    }
  if (kind === 'approval' && bounded === false)
    return {
      ...{ rule: 'gate-without-expiry', where },
      text: `The gate ${quoted(where)} does not say by when somebody must decide, nor what happens then.`,
      fix: `Say both in the request: due: '3d', onExpire: '${approval?.onExpire ?? 'cancel'}'`,
    }
  if (kind === 'signal' && bounded === false)
    return {
      ...{ rule: 'wait-without-timeout', where },
      text: `The wait for ${quoted(where)} has no timeout: without the signal the job waits for ever.`,
      fix: `Give it an end: job.waitFor('${where.split('/').at(-1)}', { timeout: '7d' })`,
    }
  return null
}

/** `page-1/fast` and `page-2/fast` are one. */
export function patternOf(key: string): string {
  return key.replace(/#\d+$/, '').replace(/\d+/g, '*')
}

/** A stage that is entered again is the same stage. */
export function stageName({ key }: Pick<RunStep, 'key'>): string {
  return key.replace(/#\d+$/, '').split('/').at(-1)!
}
