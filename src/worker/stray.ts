/**
 * Errors that nobody caught: whose code they come from. Called by whoever listens for them in this process, from within the
 * listener, where the async context is still that of the code that failed.
 */
import { UntildoneError } from '../core/errors.js'
import { scopes } from './scope.js'

/**
 * Ends the attempt whose handler did it, as an error of that job: counted there, and for no other.
 * @returns the job, or null when it was no handler
 */
export function astray(error: unknown): { jobId: string; type: string } | null {
  const attempt = scopes.getStore()?.attempt
  if (!attempt) return null
  const { id: jobId, type } = attempt.claimed.record
  // One that is over has its end already. An undo runs after the handler.
  if (!attempt.settling && (attempt.undos || !attempt.over)) {
    const text = error instanceof Error ? error.message : String(error)
    // With force: what it has started must not outlive it.
    const stray = Object.assign(new UntildoneError('stray-error', `Nobody caught: ${text}`, { cause: error }), {
      force: true,
    })
    attempt.stop('stray', stray, null)
    attempt.fail(stray)
  }
  return { jobId, type }
}
