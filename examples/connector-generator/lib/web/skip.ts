// One page among many: what cannot be had for good is left out and said so; what may come back is worth another attempt of
// the job, but not for ever.
import { HttpError } from './fetch-page.js'

export interface Skipped {
  skipped: string
  /** It may well be there, and could not be had all the same. */
  lost: boolean
}

const ATTEMPTS = 3

/** @throws what `fn` throws, while another attempt may help */
export async function orSkip<T>(attempt: number, fn: () => Promise<T>): Promise<T | Skipped> {
  try {
    return await fn()
  } catch (error) {
    const lost = !isForGood(error)
    if (lost && attempt < ATTEMPTS) throw error
    return { skipped: error instanceof Error ? error.message : String(error), lost }
  }
}

function isForGood(error: unknown): boolean {
  if (error instanceof HttpError)
    return error.status >= 400 && error.status < 500 && error.status !== 429 && error.status !== 408
  return (error as Error)?.name === 'Permanent'
}
