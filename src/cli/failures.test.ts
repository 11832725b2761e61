/** `untildone failures`, `rules` and `explain-error` against a real server on a port of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import { defineJob, until } from '../define/index.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { createTestRig, type TestRig } from '../testing/rig.js'

import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const render = defineJob('render', { input: z.object({ page: z.number() }) }).handler(
  { retry: until({ attempts: 1 }), errors: [{ match: 'busy', is: 'transient' }] },
  ({ input }) => {
    const details = { engine: 'tess', engineVersion: '5.3.0' }
    return Promise.reject(Object.assign(new Error(`font substitution on page ${input.page}`), { details }))
  },
)
let rig: TestRig
let listening: Listening
let cwd: string
let fingerprint: string
beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'untildone-failures-'))
  rig = await createTestRig([render])
  for (const page of [1, 2]) await rig.submit('render', { page })
  await rig.settle()
  listening = await listen(createServer(rig.engine), { port: 0 })
  fingerprint = JSON.parse((await ud('failures list --json')).out).items[0].fingerprint
})
afterEach(async () => {
  await listening.close()
  await rig.close()
  rmSync(cwd, { recursive: true })
})

async function ud(line: string, ...more: string[]) {
  const io = fakeIo({ cwd, env: { UNTILDONE_URL: listening.url } })
  const exit = await run([...line.split(' '), ...more], io, { clock: fakeClock(rig.clock.now()) })
  return { exit, out: io.stdout, err: io.stderr }
}

it('lists and shows what the code says nothing of', async () => {
  const { out } = await ud('failures list --type', 'ren*')
  expect(
    out.replaceAll(fingerprint, 'F'.repeat(16)),
  ).toBe(`FINGERPRINT       TYPE    COUNT  JOBS  INPUTS  SEEN      NOW        WORDS
FFFFFFFFFFFFFFFF  render      2     2       2  just now  transient  font substitution on page <n>
`)
  expect((await ud('failures list --type pay')).err).toContain('No error that the code says nothing of.')
  const shown = await ud(`failures show ${fingerprint}`)
  expect(shown.out).toContain('met         2 times, in 2 jobs with 2 different inputs')
  expect(shown.out).toContain('share       2 of the latest 2 jobs of the type')
  expect(shown.out).toContain('engine      tess 5.3.0')
  expect(shown.err).toContain('untildone failures teach')
  expect((await ud('failures show 0000000000000000')).exit).toBe(5)
})

it('teaches, lists the rule, and takes it back', async () => {
  const dry = await ud(`failures teach ${fingerprint} harmless --dry-run --reason see`)
  expect([dry.exit, dry.err]).toEqual([0, 'It matches 1 recorded failure. Nothing was stored.\n'])
  const taught = await ud(`failures teach ${fingerprint} harmless --engine tess@5.3.x --reason`, 'noise of the engine')
  expect([taught.exit, taught.err.split('\n')[0]]).toEqual([
    0,
    'Rule 1 is in force: harmless. It matches 1 recorded failure.',
  ])
  expect((await ud('failures list')).out).toContain('harmless (rule 1)')
  const { out } = await ud('rules list')
  expect(out).toContain(`fingerprint ${fingerprint}, engine tess@5.3.x`)
  expect(out).toContain('noise of the engine')
  expect((await ud('failures forget 1')).err).toContain('This needs a reason')
  expect((await ud('failures forget one --reason x')).err).toContain('is not the number of a rule')
  expect((await ud('failures forget 1 --reason replaced')).err).toContain('Rule 1 of render is forgotten')
  expect((await ud('rules list')).err).toContain('Nothing is taught')
  expect((await ud('rules list --all')).out).toContain('harmless (forgotten)')
  expect((await ud('rules list --all --json')).out).toContain('"replaced"')
})

it('says what is wrong before anything is sent', async () => {
  expect((await ud(`failures teach ${fingerprint} ignore --reason x`)).err).toContain('"ignore" is no verdict')
  expect((await ud(`failures teach ${fingerprint} harmless`)).err).toContain('This needs a reason')
  expect((await ud('explain-error text')).err).toContain('This needs a type')
})

it('teaches about what was not seen yet, and explains what would become of an error', async () => {
  await ud('rules add render review --match licence --exit 3 --reason May')
  const { exit, out, err } = await ud('explain-error --type render --exit 3 --engine tess@5.3.0', 'no licence')
  expect(exit).toBe(0)
  expect(out.replace(/fingerprint {2}\w+/, 'fingerprint  F')).toBe(`verdict      review
rule         taught[1] by this machine on 2026-11-22: May
fingerprint  F
seen         never

looked at, in order
  type[0] busy (transient): the text does not contain busy
→ taught[1] by this machine on 2026-11-22: May (review): all that it asks for holds
`)
  expect(err).toContain('An error that carries its verdict')
  const crash = await ud('explain-error --type render --exit 139', '')
  expect(crash.out).toContain('built-in code process-signal')
})
