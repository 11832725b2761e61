// What goes over the wire, under short names. All of it comes from the OpenAPI document of the gateway.
import type { operations } from './api.generated.js'

type Answer<Operation extends keyof operations, Code extends number> = operations[Operation]['responses'] extends {
  [C in Code]: { content: { 'application/json': infer Body } }
}
  ? Body
  : never

export type AnalysisRequest = NonNullable<
  operations['analysisSubmitApiV1Analysis']['requestBody']
>['content']['application/json']
export type Submitted = Answer<'analysisSubmitApiV1Analysis', 202>
export type AnalysisStatus = Answer<'analysisGetApiV1AnalysisStatusByJobId', 200>
export type AnalysisResult = Answer<'analysisResultApiV1AnalysisResultByJobId', 200>
export type AnalysisPage = Answer<'analysisListApiV1Analysis', 200>
export type Cancelled = Answer<'analysisCancelApiV1AnalysisCancelByJobId', 200>
export type StatusWord = AnalysisStatus['status']

/** What the gateway calls each status of the product. */
export const WORDS = {
  accepted: 'pending',
  processing: 'in_progress',
  blocked: 'in_progress',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
} as const satisfies Record<string, StatusWord>

/** `completed`, `failed` and `cancelled` never change. */
export function isFinal(word: StatusWord): boolean {
  return word === 'completed' || word === 'failed' || word === 'cancelled'
}

/** An error of the gateway: `code` to decide by, `fix` to act on. */
export class AnalysisError extends Error {
  override readonly name = 'AnalysisError'
  readonly code: string
  /** What to do. */
  readonly fix: string
  /** True when the same call may work later. */
  readonly retryable: boolean
  /** What was wrong with the request, or why the analysis failed. */
  readonly reasons: readonly string[]

  constructor(
    readonly httpStatus: number,
    problem: Record<string, unknown>,
  ) {
    const errors = Array.isArray(problem.errors) ? problem.errors : []
    const reasons = errors.map((one) =>
      typeof one === 'string' ? one : `${one.pointer || 'the request'} ${one.message}`,
    )
    // A detail names the reasons already.
    const said = problem.detail ?? [problem.title ?? `The gateway answered ${httpStatus}.`, ...reasons].join(' ')
    super(String(said))
    this.code = String(problem.code ?? 'unknown')
    this.fix = String(problem.fix ?? '')
    this.retryable = problem.retryable === true || httpStatus === 429 || httpStatus >= 502
    this.reasons = reasons
  }
}
