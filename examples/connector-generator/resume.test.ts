// Processes that die in the middle: whatever the instant, what is on record is not done again, and the session has each
// part once.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOCAL } from 'untildone'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { handlersFor } from './handlers.js'
import type { Extractor } from './lib/extract/extractor.js'
import { noFacts } from './lib/extract/facts.js'
import { openParts, type Parts } from './lib/parts.js'
import { Sessions } from './lib/sessions.js'

let dir = ''
let parts: Parts
let rig: TestRig | undefined
let read: string[] = []
/** Counts what it is asked, as a model with a price would. */
const counting: Extractor = {
  name: 'counting',
  async extract(chunk) {
    read.push(chunk.id)
    return noFacts()
  },
}
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-resume-'))
  parts = { ...openParts({ dataDir: dir, hosts: [], seeds: [] }), model: counting }
  read = []
})
afterEach(async () => {
  await rig?.close()
  rig = undefined
  parts.sessions.close()
  rmSync(dir, { recursive: true, force: true })
})

const filler = 'Nothing of interest. '.repeat(120)
const TEXT = ['Crates', 'Ships', 'Ports', 'Cranes']
  .map(
    (noun) =>
      `## ${noun}\n\n\`GET /${noun.toLowerCase()}\` lists them.\n\n- \`id\` (string, read-only)\n- \`label\` (string)\n\n${filler}\n\n${filler}`,
  )
  .join('\n\n')

async function prepared(): Promise<TestRig> {
  const made = await createTestRig(handlersFor(parts))
  await made.untilDone(
    await made.submit('documentation.processUpload', { name: 'port.md', text: TEXT }, { group: 's' }),
  )
  return made
}

test(
  'a crash after each record in turn: each chunk is read once, and the end is the same',
  { timeout: 60_000 },
  async () => {
    rig = await prepared()
    const smooth = await rig.untilDone(
      await rig.submit('digester.getObjectClass', { objectClass: 'Crate' }, { group: 's' }),
    )
    expect(smooth.status).toBe('completed')
    const chunks = new Set(read).size
    expect(chunks).toBeGreaterThan(2)
    const steps = (await rig.engine.steps(LOCAL, smooth.id)).length

    for (let nth = 1; nth <= steps; nth++) {
      read = []
      const job = await rig.submit('digester.getObjectClass', { objectClass: 'Crate' }, { group: 's' })
      const died = rig.crashAt({ op: 'record', when: 'after', nth })
      await rig.settle()
      await died
      await rig.restart()
      const after = await rig.untilDone(job)
      expect(after.result, `crash after record ${nth}`).toEqual(smooth.result)
      expect(read.length, `crash after record ${nth}`).toBe(chunks)
      const own = parts.sessions.read('s')!.parts.filter(({ part }) => part === 'objectClass:Crate')
      expect(own).toMatchObject([{ jobId: job.id, value: smooth.result }])
    }
  },
)

test('a crash between the session and the record of it: the session is written once', async () => {
  rig = await prepared()
  const job = await rig.submit('digester.getObjectClass', { objectClass: 'Crate' }, { group: 's' })
  let died = false
  const { put } = parts.sessions
  // The process dies when the row is there and the step is not on record.
  parts.sessions.put = function (this: Sessions, row) {
    put.call(this, row)
    if (!died) void rig!.crash()
    died = true
  }
  await rig.settle()
  const [before] = parts.sessions.parts('s', 'objectClass:Crate')
  await rig.restart()
  const after = await rig.untilDone(job)
  expect(after).toMatchObject({ status: 'completed', ops: { attempt: 2 } })
  // The step ran in both attempts, under the same key.
  const steps = await rig.engine.steps(LOCAL, job.id)
  expect(steps.find(({ name }) => name === 'session')).toMatchObject({ attempt: 2 })
  expect(parts.sessions.parts('s', 'objectClass:Crate')).toEqual([before])
})

test('a session in a file: the same key changes nothing, and a later part of the same kind takes its place', () => {
  const { sessions } = parts
  const row = { sessionId: 'x', part: 'connector', jobId: 'j1', jobType: 't', key: 'k1', value: { n: 1 } }
  sessions.put(row)
  const first = sessions.read('x')
  sessions.put({ ...row, value: { n: 2 } })
  expect(sessions.read('x')).toEqual(first)
  sessions.put({ ...row, jobId: 'j2', key: 'k2', value: { n: 3 } })
  expect(sessions.read('x')!.parts).toMatchObject([{ part: 'connector', jobId: 'j2', value: { n: 3 } }])
  for (const key of ['d1', 'd2']) sessions.put({ ...row, part: 'documentation', key })
  expect(sessions.parts('x', 'documentation')).toHaveLength(2)
  const other = new Sessions(join(dir, 'sessions.db'))
  expect(other.read('x')).toEqual(sessions.read('x'))
  expect(other.read('nobody')).toBeNull()
  other.close()
})
