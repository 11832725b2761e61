// What the jobs of this example share: the sessions' record, the hosts that may be read, the model if there is one. Made
// once and handed to the handlers, so that tests can have several.
import { join, resolve } from 'node:path'
import { type JobContext, Permanent } from 'untildone'
import { chatExtractor, type ModelSettings } from './extract/chat.js'
import type { Extractor } from './extract/extractor.js'
import { Sessions } from './sessions.js'
import type { WebRules } from './web/fetch-page.js'

export interface Settings {
  /** Folder for the sessions' record. */
  dataDir: string
  /** Hosts that may be read, as `host` or `host:port`. */
  hosts: readonly string[]
  /** Where to look for an application when nobody gives an address. */
  seeds: readonly string[]
  /** @default none: documentation is read by the deterministic extractor alone */
  model?: ModelSettings | null
}

export interface Parts {
  sessions: Sessions
  web: WebRules
  seeds: readonly string[]
  /** Null without a model. */
  model: Extractor | null
}

export function openParts({ dataDir, hosts, seeds, model }: Settings): Parts {
  return {
    sessions: new Sessions(join(dataDir, 'sessions.db')),
    web: { hosts: new Set(hosts) },
    seeds,
    model: model ? chatExtractor(model) : null,
  }
}

/** CONNECTOR_DATA, CONNECTOR_HOSTS, CONNECTOR_SEEDS (both with commas), OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL. */
export function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  const list = (text = '') => text.split(/[\s,]+/).filter(Boolean)
  const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey = '', OPENAI_MODEL: name } = env
  return {
    dataDir: resolve(env.CONNECTOR_DATA ?? '.untildone'),
    hosts: list(env.CONNECTOR_HOSTS),
    seeds: list(env.CONNECTOR_SEEDS),
    model: baseUrl && name ? { baseUrl, apiKey, name } : null,
  }
}

/** A job's group is its session. @throws Permanent `no-session` */
export function sessionOf(job: JobContext<unknown>): string {
  if (job.groupId) return job.groupId
  throw new Permanent('Invalid input: the job has no session; submit it with a groupId.', { code: 'no-session' })
}

/** Progress of a job that has done its work; written together with its result. */
export interface Done {
  completed?: number
  total?: number
  unit?: string
  iterations?: { completed: number; total: number }
}

/** The end of each job: its result into the record of the session, then the stage that the older API calls finished. */
export async function publish(
  job: JobContext<unknown>,
  { sessions }: Parts,
  part: string,
  value: unknown,
  done: Done = {},
): Promise<void> {
  const sessionId = sessionOf(job)
  await job.step('session', ({ key }) =>
    sessions.put({ sessionId, part, jobId: job.id, jobType: job.type, key, value }),
  )
  job.progress('finished', { message: 'completed', ...done })
}
