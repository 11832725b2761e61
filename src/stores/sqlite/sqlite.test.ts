import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { storeConformance } from '../../testing/store-conformance/index.js'
import { sqlite } from './index.js'

// In memory where there is such a folder: what a sync costs is not what this suite asks.
const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'untildone-sqlite-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
let files = 0
const fresh = () => join(dir, `${++files}.db`)

const sole = {
  reason: 'one process owns the database (`store-in-use`), so nobody else writes into it',
  tests: ['several writers › *'],
}

storeConformance('SQLite file', () => sqlite(fresh()), { skip: [sole] })

storeConformance('SQLite :memory:', () => sqlite(':memory:'), {
  skip: [
    sole,
    {
      reason: 'a database in memory ends with its connection',
      tests: [
        'submit › survives a restart, keys included',
        'unique › names survive a restart',
        'limits › places survive a restart',
        'pauses › a pause survives a restart',
        'record › records survive a restart',
        'keys › the secret of a store is random, and the same after a restart',
        'history › a chain stays whole under concurrent actions, whoever acts and whatever they write',
        'workers › after a restart of the one owner every former lease is void at once',
        'schedules › survives a restart',
        'webhooks › what happened survives a restart',
        'failures › counts and taught rules survive a restart',
        'commit › what was accepted before close is there after a restart',
      ],
    },
  ],
})
