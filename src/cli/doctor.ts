/** The report of `doctor`: runs the checks here and on the server and prints one line each. Loaded on demand. */
import { resolve } from 'node:path'
import { ownVersion } from '../server/version.js'
import { DATA_DIR } from './address.js'
import {
  bad,
  type Check,
  dataCheck,
  jobsCheck,
  nodeCheck,
  note,
  ok,
  ownerChecks,
  protectionChecks,
  sqliteCheck,
} from './checks.js'
import type { Context } from './context.js'
import { poolerOf, postgresAddress } from './database-option.js'
import { EXIT, type Exit, failureOf } from './failure.js'
import { postgresChecks } from './postgres-checks.js'
import { redisCheck } from './redis-check.js'
import { redisAddress } from './redis-option.js'
import { clean, count, padTo, type Style } from './text.js'
import { webhookCheck } from './webhook-check.js'

export interface DoctorOptions {
  jobs?: string
  data?: string
  database?: string
  schema?: string
  pooler?: string
  redis?: string
}

/** Exit code 0 when nothing is wrong. */
export async function report(context: Context, options: DoctorOptions): Promise<Exit> {
  const dataDir = resolve(context.io.cwd, options.data ?? DATA_DIR)
  const database = postgresAddress(context, options)
  const redis = redisAddress(context, options)
  const checks = [
    nodeCheck(process.versions.node),
    sqliteCheck(),
    ...(await dataCheck(dataDir)),
    ...ownerChecks(dataDir),
    ...(await protectionChecks()),
    ...(database === undefined
      ? []
      : await postgresChecks(database, options.schema ?? 'untildone', poolerOf(context, options))),
    await jobsCheck(options.jobs ?? 'jobs', context.io.cwd),
    ...(redis === undefined ? [] : await redisCheck(redis)),
    ...(await serverChecks(context)),
  ]
  const wrong = checks.filter((check) => check.state === 'bad').length
  if (context.options.json) context.printJson({ ok: wrong === 0, checks })
  else {
    context.print(checks.map((check) => render(check, context.outStyle)).join('\n'))
    context.say(wrong === 0 ? '\nNothing is wrong.' : `\n${count(wrong, 'thing is', 'things are')} wrong.`)
  }
  return wrong === 0 ? EXIT.ok : EXIT.unexpected
}

const MARKS = { ok: '✓', note: '·', bad: '✕' } as const
const PATIENCE_MS = 5000
const CLOCKS_APART_MS = 2000

function render({ what, state, text, fix }: Check, style: Style): string {
  const mark =
    state === 'bad' ? style.red(MARKS.bad) : state === 'ok' ? style.green(MARKS.ok) : style.yellow(MARKS.note)
  const line = `${mark} ${padTo(what, 18)}  ${clean(text)}`
  return fix ? `${line}\n${' '.repeat(22)}→ ${clean(fix)}` : line
}

/** Asked without repeats: doctor wants to know how it is now. */
export async function serverChecks(context: Context): Promise<Check[]> {
  const { url, from } = context.address
  const base = url.replace(/\/+$/, '')
  let response: Response
  const askedAt = context.now()
  try {
    response = await context.io.fetch(`${base}/readyz`, {
      signal: AbortSignal.any([context.interrupted, AbortSignal.timeout(PATIENCE_MS)]),
    })
  } catch (error) {
    if (context.interrupted.aborted) throw context.interrupted.reason
    // It asks its database, and while that is away it waits for it; whether the process runs it says at once.
    if ((error as Error).name === 'TimeoutError' && (await runs(context, base)))
      return [
        bad(
          'server',
          `${url} runs, and did not say within ${PATIENCE_MS / 1000} s that it is ready`,
          'It waits for its database, most likely: see its log, and untildone doctor --database <url>. Jobs that were accepted are kept.',
        ),
      ]
    const text = `no answer from ${url}`
    if (from === 'default')
      return [note('server', text, 'That is as it should be if none runs here. Start one: npx untildone dev')]
    return [bad('server', text, 'Check that it runs, and the address (--url, UNTILDONE_URL).')]
  }
  const answeredAt = context.now()
  const body = (await response.json().catch(() => null)) as { status?: string; checks?: Record<string, string> } | null
  if (!body?.status)
    return [bad('server', `${url} is not an Untildone server`, 'Check the address (--url, UNTILDONE_URL).')]
  const { transport, ...checks } = body.checks ?? {}
  const troubles = Object.entries(checks).filter(([, state]) => state !== 'ok')
  const parts = troubles.map(([name, state]) => `${name}: ${state}`).join(', ')
  const ready = body.status !== 'down' && troubles.length === 0
  const state = ready
    ? ok('server', `${url} is ready`)
    : bad(
        'server',
        `${url} is ${body.status}${parts ? ` (${parts})` : ''}`,
        'See the log of the server; jobs that were accepted are kept.',
      )
  const access =
    body.status === 'down' ? note('access', 'cannot be told while the server is down') : await accessCheck(context)
  // Without access there is nothing more to be asked.
  const webhooks = access.state === 'ok' ? await webhookCheck(context) : []
  return [
    state,
    ...transportCheck(transport),
    ...versionCheck(response),
    ...clockCheck(response, askedAt, answeredAt),
    access,
    ...webhooks,
  ]
}

async function runs(context: Context, base: string): Promise<boolean> {
  const signal = AbortSignal.any([context.interrupted, AbortSignal.timeout(PATIENCE_MS)])
  return context.io.fetch(`${base}/healthz`, { signal }).then(
    ({ ok }) => ok,
    () => false,
  )
}

function transportCheck(state: string | undefined): Check[] {
  if (state === undefined) return []
  if (state === 'ok') return [ok('transport', 'tells workers of jobs')]
  return [
    bad('transport', `is ${state}`, 'Jobs go on, only slower. Look at its server: untildone doctor --redis <address>'),
  ]
}

function versionCheck(response: Response): Check[] {
  const theirs = response.headers.get('untildone-version')
  if (!theirs) return []
  if (theirs === ownVersion()) return [ok('version', theirs)]
  return [
    note(
      'version',
      `the server is ${theirs}, this program ${ownVersion()}`,
      'Use the same version on both sides if something looks odd.',
    ),
  ]
}

/** Its time was taken somewhere between question and answer: where that is long, it says nothing. */
function clockCheck(response: Response, askedAt: number, answeredAt: number): Check[] {
  const theirs = Date.parse(response.headers.get('date') ?? '')
  const took = answeredAt - askedAt
  if (Number.isNaN(theirs) || took > CLOCKS_APART_MS) return []
  const apart = Math.abs(theirs - (askedAt + took / 2))
  if (apart < CLOCKS_APART_MS) return [ok('clocks', 'the same here and on the server')]
  return [
    note(
      'clocks',
      `${Math.round(apart / 1000)} s apart`,
      'Ages shown here are off by that; synchronise both machines with NTP.',
    ),
  ]
}

async function accessCheck(context: Context): Promise<Check> {
  try {
    const me = await context.client.whoami({ signal: context.interrupted })
    return ok('access', `${me.actor.name ?? me.actor.id} of tenant ${me.tenant}: ${me.scopes.join(', ')}`)
  } catch (error) {
    if (context.interrupted.aborted) throw error
    const { what, fix } = failureOf(error)
    return bad('access', what, fix ?? 'See the log of the server.')
  }
}
