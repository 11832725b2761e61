/** The story of a job type as it travels: from intake to visible end, made from its declaration and a recorded run. */

export interface WireTypeStep {
  /** Path and name as recorded; parts that differ only by a number are one, with `*`. */
  key: string
  kind: string
  /** How often in the run that was recorded. */
  times: number
  stage: string | null
  queue: string
  effect: 'read' | 'idempotent' | 'once' | null
  /** Null: unknown. */
  before: boolean | null
  confirm: boolean | null
  undo: boolean | null
  ownRetry: boolean | null
  timeoutMs: number | null
  engines: string[] | null
  /** Of a child job its type, of a decision its model, of an approval its gate. */
  of: string | null
}

export interface WireTypeFinding {
  rule:
    | 'once-without-confirm'
    | 'gate-without-expiry'
    | 'no-target'
    | 'no-give-up-rule'
    | 'wait-without-timeout'
    | 'undeclared-stage'
  /** The step, gate, wait or stage; the type itself for what is missing there. */
  where: string
  text: string
  fix: string
}

export interface WireTypeSection {
  /** In this order: intake, write, stages, guards, effects, waits, approvals, ends. */
  id: string
  title: string
  lines: string[]
}

export interface WireTypeStory {
  type: string
  version: string | null
  title: string | null
  description: string | null
  source: {
    /** What the steps are taken from: nothing but the declaration, a dry run, or a job that ran. */
    kind: 'declaration' | 'dry-run' | 'job'
    jobId: string | null
    text: string
  }
  sections: WireTypeSection[]
  steps: WireTypeStep[]
  /** What each voice hears at the points of a job's life. */
  voices: { point: string; caller: string; endUser: string; support: string; operator: string }[]
  /** What neither the declaration nor the run says. */
  unknown: string[]
  findings: WireTypeFinding[]
}
