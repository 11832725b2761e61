/** `untildone jobs watch` of many jobs against a real server on a port of its own, over a restart. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { fakeClock } from '../client/fake-server.mjs'
import { defineJob, Permanent } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ bad: z.boolean().default(false) }) })
let rig: TestRig
let listening: Listening
beforeEach(async () => {
  const handler = work.handler(async (job) => {
    await job.sleep('pause', '1m')
    if (job.input.bad) throw new Permanent('No good.', { code: 'no-good' })
    return 'fine' as never
  })
  rig = await open(handler as never, { start: fakeClock().now() })
  listening = await listen(createServer(rig.engine), { port: 0 })
})
afterEach(() => listening.close())

const submit = async (input: object = {}) =>
  (await rig.engine.submit(LOCAL, { type: 'work', input, groupId: 'g' } as never, null)).job.id

it.each(['ids', '--group g', '--type work'])(
  '%s: to the end of the last one, with the code of the worst',
  async (what) => {
    const ids = [await submit(), await submit({ bad: true }), await submit()]
    const io = fakeIo({ env: { UNTILDONE_URL: listening.url } })
    const words = what === 'ids' ? ids : what.split(' ')
    const ended = run(['jobs', 'watch', ...words], io, { clock: fakeClock() })
    await io.saw(/3 jobs/)
    const { port } = new URL(listening.url)
    await listening.close()
    await rig.untilDone(ids[0]!)
    listening = await listen(createServer(rig.engine), { port: Number(port) })
    for (const id of ids) await rig.untilDone(id)
    expect(await ended).toBe(10)
    expect(io.stdout).toBe('completed 2, failed 1\n')
    expect(io.stderr).toContain(`${ids[1]}  work  failed  no-good: No good.`)
  },
)
