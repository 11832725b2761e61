/**
 * `untildone inbox`: what waits for people. A decision shows the card first and names its hash, so that nobody decides
 * about what they did not see: at a terminal the person confirms, a script names the hash.
 */
import type { DecideOptions } from '../../client/index.js'
import type { ApprovalState, DecisionKind } from '../../core/approval.js'
import type { WireApproval, WireApprovalItem } from '../../core/wire-approval.js'
import { approvalCard, riskTag, whenDue } from '../approval-card.js'
import { type CommandOption, type CommandSpec, list } from '../command.js'
import { confirmed } from '../confirm.js'
import type { Context } from '../context.js'
import { CliError, EXIT, type Exit } from '../failure.js'
import { inputFromPairs } from '../pairs.js'
import type { Column } from '../table.js'
import { clean } from '../text.js'
import { printList } from './jobs-detail.js'
import { collect, urlOf } from './submit.js'

const RECENT = 200
const HASH: CommandOption = {
  flags: '--hash <hash>',
  text: 'of the card you have seen (inbox show), whole or its first 12 digits; needed without a terminal',
}
const WHY: CommandOption = { flags: '--reason <text>', text: 'kept with the decision' }

export const inboxList: CommandSpec = {
  usage: 'inbox list',
  summary: 'what waits for people, what is due first',
  options: [
    { flags: '--mine', text: 'only what your groups are asked, of risks you may decide' },
    { flags: '--state <states>', text: 'waiting, approved, rejected, … or all (default: waiting)', parse: list },
    { flags: '--risk <risks>', text: 'low, medium, high', parse: list },
    { flags: '--type <types>', text: 'job types; a trailing * is a prefix', parse: list },
    { flags: '--job <id>', text: 'only of this job' },
    { flags: '--newest', text: 'newest first' },
  ],
  examples: [
    ['untildone inbox list --mine', 'what you can decide'],
    ['untildone inbox list --state all --newest', 'what was decided lately'],
  ],
  async run(context, _args, options) {
    const state = ((options.state ?? ['waiting']) as string[]).map((word) => (word === 'waiting' ? 'pending' : word))
    const items: WireApprovalItem[] = []
    for await (const item of context.client.approvals.list({
      ...(state.includes('all') ? {} : { state: state as ApprovalState[] }),
      ...{ risk: options.risk, type: options.type, jobId: options.job, limit: RECENT, signal: context.interrupted },
      ...(options.mine ? { assignee: 'me' } : {}),
      ...(options.newest ? { order: '-requestedAt' } : {}),
    })) {
      items.push(item)
      if (items.length >= RECENT) break
    }
    const columns: Column[] = [
      { title: 'RISK' },
      { title: 'DUE' },
      { title: 'WHAT', shrinkTo: 16 },
      { title: 'ASKED BY', shrinkTo: 8 },
      { title: 'HAVE/NEED' },
      { title: 'ID', key: true },
    ]
    const now = context.now()
    const rows = items.map((item) => [
      riskTag(item, context.outStyle),
      whenDue(item, now),
      clean(item.summary),
      item.requesters[0] ? clean(item.requesters[0].name ?? item.requesters[0].id) : clean(item.jobType),
      `${item.quorum.filled}/${item.quorum.needed}`,
      item.id,
    ])
    printList(context, items, columns, rows, 'Nothing waits for anybody.')
  },
}

export const inboxShow: CommandSpec = {
  usage: 'inbox show <id>',
  summary: 'one request: what would be written, why, and what happens then',
  details: 'An id may be shortened to its beginning or end while the request waits.',
  examples: [['untildone inbox show apr_7Qm2VxkT9hTz4nWc1pLs', 'the card, with the hash that a decision names']],
  async run(context, [text]) {
    const card = await context.client.approvals.get(await approvalId(context, text), { signal: context.interrupted })
    if (context.options.json) return context.printJson(card)
    context.print(`${approvalCard(card, context.now(), context.outStyle)}\nurl   ${urlOf(context, card.links.self)}`)
    const { may, why } = card.mayDecide.approve
    if (card.state === 'pending')
      context.say(
        may ? `Decide: untildone inbox approve|reject|changes ${card.id}` : `You cannot approve it: ${clean(why!)}`,
      )
  },
}

export const inboxApprove: CommandSpec = {
  usage: 'inbox approve <id>',
  summary: 'approve what the card shows',
  options: [
    WHY,
    {
      flags: '--edit <name=value>',
      text: 'another value, where the request allows it; := for JSON; may be given several times',
      parse: collect as (value: string) => unknown,
    },
    HASH,
  ],
  examples: [
    ['untildone inbox approve apr_7Qm2VxkT9hTz4nWc1pLs --reason "receipt checked"', 'shows the card and asks'],
    ['untildone inbox approve apr_7Qm2VxkT9hTz4nWc1pLs --hash sha256-9f2c41d07b1e', 'in a script'],
    ['untildone inbox approve apr_7Qm2VxkT9hTz4nWc1pLs --edit amount:=1200', 'approves another amount'],
  ],
  run: (context, [text], options) => decide(context, text, 'approve', options),
}

export const inboxReject: CommandSpec = {
  usage: 'inbox reject <id>',
  summary: 'say no; the reason is needed',
  options: [WHY, HASH],
  examples: [
    ['untildone inbox reject apr_7Qm2VxkT9hTz4nWc1pLs --reason "slip is for another order"', 'ends the request'],
  ],
  run: (context, [text], options) => decide(context, text, 'reject', options),
}

export const inboxChanges: CommandSpec = {
  usage: 'inbox changes <id> [wishes...]',
  summary: 'ask for another version; the reason is needed',
  details: 'A wish is a text, or a place in the request and a text: /data/amount=Without the shipping fee.',
  options: [WHY, HASH],
  examples: [
    [
      'untildone inbox changes apr_7Qm2VxkT9hTz4nWc1pLs "/data/amount=Without shipping" --reason "too much"',
      'goes back to the job',
    ],
  ],
  run: (context, [text, wishes = []], options) =>
    decide(context, text, 'requestChanges', { ...options, wishes: wishes.map(wishOf) }),
}

const ASK: Record<DecisionKind, string> = {
  approve: 'Approve this?',
  reject: 'Reject this?',
  requestChanges: 'Send it back for changes?',
}

async function decide(
  context: Context,
  text: string,
  decision: DecisionKind,
  options: Record<string, any>,
): Promise<Exit | void> {
  const { client, interrupted, io } = context
  if (decision !== 'approve' && !options.reason)
    throw new CliError('usage', 'A reason is needed: whoever asked will read it.', { fix: 'Add --reason "…".' })
  const card = await client.approvals.get(await approvalId(context, text), { signal: interrupted })
  const terminal = io.inIsTerminal && io.errIsTerminal
  if (options.hash === undefined && !terminal)
    throw new CliError(
      'precondition-required',
      'Without a terminal a decision names the hash of the card it is about.',
      {
        fix: `Read it: untildone inbox show ${card.id}   Then add --hash with the hash it shows.`,
        exit: EXIT.conflict,
      },
    )
  context.say(`${approvalCard(card, context.now(), context.errStyle)}\n`)
  const request: DecideOptions = {
    ...{ decision, reason: options.reason, signal: interrupted },
    evidenceDigest: options.hash === undefined ? card.digest : hashOf(options.hash, card),
    ...(options.edit ? { data: await editsOf(context, card, options.edit) } : {}),
    ...(options.wishes?.length ? { changes: options.wishes } : {}),
  }
  if (options.hash === undefined && !(await confirmed(context, ASK[decision]))) {
    context.say('Nothing was decided.')
    return EXIT.interrupted
  }
  const decided = await client.approvals.decide(card.id, request)
  if (context.options.json) return context.printJson(decided)
  const { quorum, state } = decided
  context.print(
    `${state === 'pending' ? 'waiting' : state}  ${decided.id}  ${quorum.filled} of ${quorum.needed}  ${urlOf(context, decided.links.self)}`,
  )
  if (state === 'pending')
    context.say(`Counted. Still open: ${quorum.open.map(({ group, n }) => `${n} of ${clean(group)}`).join(', ')}.`)
  else context.say(`The job goes on by itself: untildone jobs watch ${decided.jobId}`)
}

/** What was seen must be what is there; the server has the last word. */
function hashOf(given: string, { digest, id, earlier }: WireApproval): string {
  const wanted = given.startsWith('sha256-') ? given : `sha256-${given}`
  if (wanted === digest || (wanted.length >= 'sha256-'.length + 12 && digest.startsWith(wanted))) return digest
  const last = earlier.at(-1)
  throw new CliError('evidence-changed', 'The request is not the one with this hash. Nothing was decided.', {
    ...(last ? { why: `It was changed at ${last.at} (${last.why}).` } : {}),
    fix: `Look at it again: untildone inbox show ${id}`,
    exit: EXIT.conflict,
  })
}

async function editsOf(context: Context, card: WireApproval, pairs: string[]) {
  const { gates } = await context.client.type(card.jobType, { signal: context.interrupted })
  const schema = gates.find(({ gate }) => gate === card.gate)?.dataSchema ?? {}
  return inputFromPairs(pairs, schema, async () => {
    throw new CliError('usage', 'A file cannot be an edit.')
  })
}

function wishOf(text: string): { about: string | null; text: string } {
  const [, about, wish] = /^(\/[^=\s]*)=(.+)$/s.exec(text) ?? []
  return about ? { about, text: wish! } : { about: null, text }
}

/** The whole id for a whole id, or for the beginning or end of the id of a request that waits. */
async function approvalId({ client, interrupted }: Context, text: string): Promise<string> {
  if (/^apr_[A-Za-z0-9]{20}$/.test(text)) return text
  const { items } = await client.approvals.list({ state: 'pending', limit: RECENT, signal: interrupted }).page()
  const found = items.filter(({ id }) => id.startsWith(text) || id.endsWith(text))
  if (found.length === 1) return found[0]!.id
  if (found.length === 0)
    throw new CliError('not-found', `No waiting request has an id that begins or ends with "${clean(text)}".`, {
      fix: 'List them: untildone inbox list. For decided ones give the whole id.',
      exit: EXIT.notFound,
    })
  throw new CliError('usage', `"${clean(text)}" fits ${found.length} requests.`, {
    fix: 'Give the whole id.',
    details: found.slice(0, 10).map(({ id, summary }) => `${id}  ${clean(summary)}`),
  })
}
