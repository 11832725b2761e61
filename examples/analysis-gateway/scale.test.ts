// The reckoning of the scale demo: what it must find, it finds. The demo itself, which needs PostgreSQL, is tested in
// test/services/scale.test.ts.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Entry, enter, reckon } from './demo/scale/journal.js'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-reckon-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const accepted = (order: number, id = `id-${order}`): Entry => ({ what: 'accepted', order, key: `order-${order}`, id })
const completed = (order: number): Entry => ({ what: 'completed', order, id: `id-${order}` })

function reckoned(entries: Entry[], effects: [what: 'effect' | 'repeat', order: number, key?: string][]) {
  const [journal, ledger] = [join(dir, 'journal'), join(dir, 'ledger')]
  for (const entry of entries) enter(journal, entry)
  for (const [what, order, key = `step-${order}`] of effects)
    appendFileSync(ledger, `${JSON.stringify({ what, order, key })}\n`)
  return reckon(journal, ledger)
}

test('all is well: a repeat with its key is one order, a repeated request to the witness is no effect', () => {
  const entries = [accepted(1), accepted(1), completed(1), accepted(2), completed(2)]
  const effects: Parameters<typeof reckoned>[1] = [
    ['effect', 1],
    ['repeat', 1],
    ['effect', 2],
  ]
  expect(reckoned(entries, effects)).toEqual({
    ...{ accepted: 2, completed: 2, lost: [], doubled: [], repeats: 1, others: [] },
  })
})

test.each<[string, Entry[], Parameters<typeof reckoned>[1], object]>([
  ['accepted and never completed', [accepted(1)], [['effect', 1]], { completed: 0, lost: [1] }],
  ['completed without an effect', [accepted(1), completed(1)], [], { completed: 1, lost: [1] }],
  [
    'one key, two analyses',
    [accepted(1), accepted(1, 'other'), completed(1)],
    [['effect', 1]],
    { accepted: 1, doubled: [1] },
  ],
  [
    'one order, two effects',
    [accepted(1), completed(1)],
    [
      ['effect', 1],
      ['effect', 1, 'another key'],
    ],
    { lost: [], doubled: [1] },
  ],
  [
    'an end that is none of these',
    [accepted(1), { what: 'other', order: 1, id: 'id-1', why: 'it is failed' }],
    [['effect', 1]],
    { lost: [1], others: ['order 1: it is failed'] },
  ],
])('%s', (_, entries, effects, found) => {
  expect(reckoned(entries, effects)).toMatchObject(found)
})
