// Follows the job through the client of the product and tells what happens as it happens: states, progress, attempts that
// did not work, engines that refused a page. It says nothing that the server did not say.
import { many, plain, seconds } from './teller.mjs'

/**
 * @param {import('untildone/client').UntildoneClient} client
 * @param {import('untildone').Job} accepted the answer to the submit
 * @param {import('./teller.mjs').Teller} teller
 * @param {(pageCount: number) => void} onPageCount
 * @returns {Promise<import('untildone').Job>} the final job
 */
export async function follow(client, accepted, teller, onPageCount) {
  const { id } = accepted
  let last = accepted
  let said = ''
  let tries = 0
  let attempt = 0
  let version = 0
  const fallbacks = new Set()
  const onConnection = (/** @type {string} */ connection) => {
    if (connection === 'lost') teller.event('connection', 'lost; the job carries on, trying again')
  }
  teller.event(accepted.status, 'stored; from here on it is not lost')
  for await (const job of client.watch(id, { include: ['ops', 'steps'], onConnection })) {
    last = job
    if (job.progress?.unit === 'page' && job.progress.total) onPageCount(job.progress.total)
    for (const { page, engine, rejected } of readings(job)) {
      if (rejected.length === 0 || fallbacks.has(page)) continue
      fallbacks.add(page)
      const why = rejected.map((one) => `${one.engine}: ${reasonOf(one.message)}`).join('; ')
      teller.event('processing', `fallback: page ${page} was read by ${engine}\n${plain(why)}`)
    }
    if (job.version !== version) {
      version = job.version
      const bad = (await client.attempts(id)).filter(({ outcome }) => outcome === 'error' || outcome === 'lost')
      for (const one of bad.slice(tries)) teller.event('processing', failedTry(one))
      tries = bad.length
    }
    const now = job.ops?.attempt ?? 0
    if (now > attempt && !job.done) {
      attempt = now
      const kept = readings(job).length
      teller.event('processing', attempt === 1 ? 'try 1' : `try ${attempt}; ${many(kept, 'page')} remembered`)
    }
    const text = job.progress?.message ?? ''
    if (!job.done && text && text !== said) {
      said = text
      teller.event(job.status, plain(text))
    }
  }
  if (!last.done) throw new Error('The watch ended before the job did.')
  return last
}

/**
 * The pages that have been read, as the steps of the job tell.
 * @param {import('untildone').Job} job
 * @returns {{ page: number, engine: string, attempt: number, rejected: { engine: string, message: string }[] }[]}
 */
export function readings(job) {
  return (job.steps ?? []).flatMap(({ name, attempt, info }) => {
    const match = /^page-(\d+)$/.exec(name)
    const { engine, rejected } = /** @type {any} */ (info ?? {})
    return match ? [{ page: Number(match[1]), engine, attempt, rejected }] : []
  })
}

/** @param {any} attempt */
function failedTry({ attempt, error, verdict, retryInMs }) {
  const next = retryInMs === null ? 'no further try' : `next try in ${seconds(retryInMs)}`
  return `try ${attempt} did not work: ${whereOf(error)}${plain(error.message)}\n${verdict}, ${next}`
}

/** `page-3/fast/recognise` for people. @param {any} error */
function whereOf({ step }) {
  const page = /^page-(\d+)\//.exec(step ?? '')?.[1]
  return page ? `page ${page}: ` : ''
}

/** The engine's own words. @param {string} message */
export const reasonOf = (message) => message.replace(/^.*?exit code \d+: /, '')
