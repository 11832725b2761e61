// Who works with this example, each with a key of their own. Two-person rules compare persons, never keys.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { LOCAL, type Scope, type Untildone } from 'untildone'

export const PEOPLE = {
  /** Asks for refunds; may approve those of low risk. */
  sam: { name: 'Sam', groups: [], scopes: ['jobs:submit', 'approvals:read', 'approvals:decide'] },
  mara: { name: 'Mara', groups: ['support-leads'], scopes: ['jobs:read', 'approvals:read', 'approvals:decide'] },
  finn: { name: 'Finn', groups: ['finance'], scopes: ['jobs:read', 'approvals:read', 'approvals:decide'] },
  /** Keeps it running: looks into jobs, sends them on. */
  ops: { name: 'Olga', groups: [], scopes: ['jobs:read', 'jobs:operate', 'approvals:read'] },
} satisfies Record<string, { name: string; groups: string[]; scopes: Scope[] }>
export type PersonId = keyof typeof PEOPLE
export type Keys = Record<PersonId, string>

const IDS = Object.keys(PEOPLE) as PersonId[]

export async function makeKeys({ engine }: Pick<Untildone, 'engine'>): Promise<Keys> {
  const keys = {} as Keys
  for (const id of IDS) {
    const { name, groups, scopes } = PEOPLE[id]
    const made = await engine.createKey(LOCAL, { name: `${name}'s key`, scopes, person: { id, name }, groups })
    keys[id] = made.key!
  }
  return keys
}

/** Made once and kept in a file that only its owner can read, in a form that a shell can source: `SAM='ud_…'`. */
export async function keptKeys(app: Pick<Untildone, 'engine'>, path: string): Promise<Keys> {
  if (!existsSync(path)) {
    const made = await makeKeys(app)
    writeFileSync(path, IDS.map((id) => `${id.toUpperCase()}='${made[id]}'\n`).join(''), { mode: 0o600 })
  }
  const text = readFileSync(path, 'utf8')
  const keyOf = (id: PersonId) => new RegExp(`^${id.toUpperCase()}='(.*)'$`, 'm').exec(text)![1]!
  return Object.fromEntries(IDS.map((id) => [id, keyOf(id)])) as Keys
}
