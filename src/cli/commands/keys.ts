/** `untildone keys`: API keys. The secret goes to stdout once and nowhere else. */
import type { WireApiKey } from '../../core/wire.js'
import { type CommandSpec, duration, list, person, REASON, risk } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import type { Column } from '../table.js'
import { ago, clean } from '../text.js'
import { printList } from './jobs-detail.js'

/** Scopes by what a holder does; `operator` does not approve, on purpose. */
const ROLES: Record<string, string[]> = {
  submitter: ['jobs:submit'],
  viewer: ['jobs:read', 'approvals:read'],
  operator: ['jobs:submit', 'jobs:read', 'jobs:signal', 'jobs:operate'],
  approver: ['jobs:read', 'approvals:read', 'approvals:decide'],
  admin: ['admin'],
}

export const keysCreate: CommandSpec = {
  usage: 'keys create',
  summary: 'make an API key; shown once',
  details:
    'As long as no key exists, the server answers on this machine only and needs none. Once one exists, every request needs one.',
  options: [
    { flags: '--name <name>', text: 'who uses it' },
    { flags: '--role <role>', text: Object.keys(ROLES).join(', ') },
    { flags: '--scopes <scopes>', text: 'instead of a role, e.g. jobs:submit,jobs:read', parse: list },
    { flags: '--types <types>', text: 'job types it may use, e.g. "ocr.*" (default: all)', parse: list },
    {
      flags: '--person <id[:name]>',
      text: 'whose key it is: two keys of one person are one in approvals',
      parse: person,
    },
    { flags: '--group <groups>', text: 'groups of that person, e.g. finance,legal', parse: list },
    { flags: '--max-risk <risk>', text: 'highest risk it may decide: low, medium, high (default: any)', parse: risk },
    { flags: '--expires-in <duration>', text: 'e.g. 90d (default: never)', parse: duration },
    { flags: '--yes', text: 'make a first key that cannot make others' },
  ],
  examples: [
    ['untildone keys create --name ops --role admin', 'the first one: it can make the others'],
    ['untildone keys create --name crm --role submitter --types "crm.*"', 'for a program'],
    [
      'untildone keys create --name mara --role approver --person u-77:Mara --group finance',
      'for somebody who decides',
    ],
  ],
  async run(context, _args, options) {
    if (!options.name)
      throw new CliError('usage', 'A key needs a name.', { fix: 'untildone keys create --name crm --role submitter' })
    const scopes = scopesOf(options)
    await guardFirst(context, scopes, options.yes === true)
    const expiresAt = options.expiresIn === undefined ? undefined : new Date(context.now() + options.expiresIn)
    show(
      context,
      await context.client.keys.create({
        name: options.name,
        scopes,
        types: options.types,
        person: options.person,
        groups: options.group,
        maxRisk: options.maxRisk,
        expiresAt,
        signal: context.interrupted,
      }),
    )
  },
}

export const keysList: CommandSpec = {
  usage: 'keys list',
  summary: 'API keys, without their secrets',
  examples: [['untildone keys list', 'when each was last used']],
  async run(context) {
    const keys = await context.client.keys.list({ signal: context.interrupted })
    const columns: Column[] = [
      { title: 'ID', key: true },
      { title: 'NAME', shrinkTo: 8 },
      { title: 'SCOPES', shrinkTo: 12 },
      { title: 'TYPES', shrinkTo: 6 },
      { title: 'PERSON', shrinkTo: 6 },
      { title: 'LAST USED' },
      { title: 'STATE' },
    ]
    const now = context.now()
    const rows = keys.map((key) => [
      key.id,
      clean(key.name),
      key.scopes.join(' '),
      clean(key.types?.join(' ') ?? 'all'),
      clean([key.person?.id ?? '-', ...(key.groups ?? [])].join(' ')),
      key.lastUsedAt ? ago(key.lastUsedAt, now) : 'never',
      stateOf(key, now),
    ])
    printList(context, keys, columns, rows, 'No keys: the server answers on this machine only, without one.')
  },
}

export const keysRevoke: CommandSpec = {
  usage: 'keys revoke <id>',
  summary: 'end a key at once',
  options: [REASON],
  examples: [['untildone keys revoke key_7Q2mZ0aB --reason "laptop lost"', 'takes effect within a second']],
  async run(context, [id], options) {
    await context.client.keys.revoke(id, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) context.printJson({ id, revoked: true })
    else context.say(`Key ${id} no longer works.`)
  },
}

export const keysRotate: CommandSpec = {
  usage: 'keys rotate <id>',
  summary: 'a new key with the same rights; the old one works a while longer',
  options: [
    {
      flags: '--overlap <duration>',
      text: 'how long the old one still works (default: what the server says)',
      parse: duration,
    },
  ],
  examples: [['untildone keys rotate key_7Q2mZ0aB --overlap 1h', 'time to change it everywhere']],
  async run(context, [id], options) {
    show(context, await context.client.keys.rotate(id, { overlap: options.overlap, signal: context.interrupted }))
  },
}

function scopesOf(options: Record<string, any>): string[] {
  if (options.scopes && options.role) throw new CliError('usage', '--role and --scopes cannot be used together.')
  if (options.scopes) return options.scopes
  const role = options.role as string | undefined
  if (role && Object.hasOwn(ROLES, role)) return ROLES[role]!
  const why = role ? `"${role}" is not a role.` : 'A key needs a role or scopes.'
  throw new CliError('usage', why, { fix: `Give --role ${Object.keys(ROLES).join('|')}, or --scopes jobs:submit,…` })
}

/** The first key ends the time without keys; if it could not make others, nobody could. */
async function guardFirst(context: Context, scopes: string[], yes: boolean): Promise<void> {
  if (yes || context.address.key || scopes.includes('admin')) return
  const keys = await context.client.keys.list({ signal: context.interrupted })
  if (keys.length > 0) return
  throw new CliError('usage', 'The first key must have the role admin, or nobody could make another one.', {
    why: 'Once a key exists, every request needs one. Nothing was done.',
    fix: 'untildone keys create --name ops --role admin   (or add --yes if that is what you want)',
  })
}

function show(context: Context, key: WireApiKey): void {
  if (context.options.json) {
    context.printJson(key)
    return
  }
  context.print(key.key ?? '')
  context.say(
    `Key ${key.id} (${clean(key.name)}): ${key.scopes.join(', ')}. It is shown only now. Use it:\n  export UNTILDONE_KEY=<the key>`,
  )
}

function stateOf(key: WireApiKey, now: number): string {
  if (key.revokedAt) return 'revoked'
  if (key.expiresAt && Date.parse(key.expiresAt) <= now) return 'expired'
  return key.expiresAt ? `until ${key.expiresAt.slice(0, 10)}` : 'works'
}
