/**
 * One POST to the receiver of a developer, as the server would send it, and what its answer means. Never sends twice and
 * follows no redirect.
 */
import type { Context } from '../context.js'
import { clean } from '../text.js'

export interface Answer {
  /** HTTP status; null when no answer came. */
  status: number | null
  durationMs: number
  /** What to do about it, in one or two sentences; null when it was received, or the receiver's own log says more. */
  hint: string | null
}

/** As long as the server waits. */
const PATIENCE_MS = 20_000

export async function deliver(
  context: Context,
  url: URL,
  { headers, body }: { headers: Record<string, string>; body: string },
): Promise<Answer> {
  const begun = context.now()
  const stop = new AbortController()
  const late = new AbortController()
  context.sleep(PATIENCE_MS, stop.signal).then(
    () => late.abort(),
    () => {},
  )
  const took = () => Math.max(0, context.now() - begun)
  try {
    const answer = await context.io.fetch(url, {
      ...{ method: 'POST', headers, body, redirect: 'manual' },
      signal: AbortSignal.any([late.signal, context.interrupted]),
    })
    const durationMs = took()
    const location = answer.headers.get('location')
    await answer.body?.cancel()
    return { status: answer.status, durationMs, hint: hintOf(answer.status, url, location) }
  } catch (error) {
    if (context.interrupted.aborted) throw context.interrupted.reason
    const hint = late.signal.aborted
      ? 'No answer within 20 s, which is as long as a server waits. Answer 2xx first, and work afterwards.'
      : unreachable(error, url)
    return { status: null, durationMs: took(), hint }
  } finally {
    stop.abort()
  }
}

function hintOf(status: number, url: URL, location: string | null): string | null {
  if (status >= 300 && status < 400)
    return `Redirects are not followed${location === null ? '.' : `: give the address it points to, ${clean(location)}`}`
  if (status === 404 || status === 405)
    return `Your receiver has nothing at POST ${url.pathname}: check the path of --forward-to.`
  if (status === 400 || status === 401 || status === 403)
    return 'Your receiver refused it. Does it verify with the secret above, over the body as it came, before parsing?'
  if (status === 410) return 'With 410 a server would disable the webhook: it says that nothing more is wanted.'
  return null
}

function unreachable(error: unknown, url: URL): string {
  const code = codeOf(error)
  if (code === 'ECONNREFUSED')
    return `Nothing listens at ${url.origin}. Start your receiver, or give its address: --forward-to localhost:<port>/<path>`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `There is no host ${url.hostname}: check --forward-to.`
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET')
    return 'Your receiver closed the connection without an answer: its log says why.'
  return `No answer: ${clean(code ?? (error as Error).message)}`
}

/** fetch hides what happened in `cause`, and there sometimes in a list of causes. */
function codeOf(error: unknown): string | undefined {
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown[] }
  if (typeof code === 'string') return code
  const inner = cause ?? errors?.[0]
  return inner === undefined || inner === null ? undefined : codeOf(inner)
}
