import { AsyncResource } from 'node:async_hooks'
import fs, { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Review } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { bank, post, shop } from './fixtures/replay/far-side.js'
import * as safe from './fixtures/replay/safe.js'
import * as socket from './fixtures/replay/socket.js'
import * as waits from './fixtures/replay/waits.js'
import { assertReplaySafe, fake, type ReplayOptions, ReplaySafetyError, recordEffect, replayFindings } from './index.js'

const FIXTURES = join(import.meta.dirname, 'fixtures/replay')
const server = createServer((request, answer) => {
  requests++
  request.resume()
  answer.end('ok')
})
const tcp = createTcpServer((connection) => void connection.resume())
let requests = 0
let url = ''
let dir = ''
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-replay-'))
  writeFileSync(join(dir, 'terms'), 'as usual')
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await socket.connect((tcp.address() as AddressInfo).port)
})
afterAll(() => {
  socket.disconnect()
  tcp.close()
  server.closeAllConnections()
  server.close()
  rmSync(dir, { recursive: true, force: true })
})
beforeEach(() => {
  requests = 0
})

type Case = [name: string, kind: string, input: () => unknown, words: RegExp, options?: ReplayOptions]

const TEN: Case[] = [
  [
    'fetch-outside',
    'effect-outside-step',
    () => ({ url }),
    /fetch POST http:\/\/127\.0\.0\.1.* outside a step.*job\.step/,
  ],
  ['file-outside', 'effect-outside-step', () => ({ path: join(dir, 'out') }), /fs writeFile .*\/out was done outside/],
  ['child-outside', 'effect-outside-step', () => ({ say: 'hi' }), /child process .*node was done outside a step/],
  [
    'unstable-name',
    'unstable-value',
    () => ({ cents: 5 }),
    /new Date\(\) is used outside .*"charge-\d{4}.* is not asked/,
  ],
  ['module-state', 'result-differs', () => ({ name: 'Ada' }), /at \/served \d+ became \d+/],
  ['lost-in-json', 'not-json', () => ({ words: 'a b a' }), /at \/counts it has a Map, which comes back as \{\}/],
  ['floating', 'floating-promise', () => ({ to: 'Ada' }), /job\.step "mail" was started and nobody waited/],
  ['swallowed', 'swallowed-error', () => ({ to: 'Ada' }), /error of job\.step "mail" was caught/],
  ['other-key', 'effect-key-differs', () => ({ cents: 5 }), /comes from crypto\.randomUUID\(\) at .*other-key\.ts:7/],
  ['nested', 'nested-step', () => ({ name: ' Ada ' }), /job\.step "name" was asked for inside the function of "greet"/],
]

const MORE: Case[] = [
  ['write-in-read', 'write-in-read', () => ({ path: join(dir, 'terms') }), /fs appendFileSync .* only looks/],
  ['mutated', 'mutated-value', () => ({ article: 'lamp' }), /"gift" changed the value of "cart"/],
  ['coin', 'unstable-value', () => ({ name: 'Ada' }), /Math\.random\(\) .* decides which steps are asked for/],
  [
    'unstable-result',
    'unstable-value',
    () => ({ name: 'Ada' }),
    /new Date\(\) is used .* reaches the result: .* \/at /,
  ],
  [
    'branch',
    'different-branch',
    () => ({ article: 'lamp' }),
    /"reserve" was recorded and is not .*job\.read "stock" gave/,
  ],
  ['no-key', 'effect-repeated', () => ({ cents: 5 }), /bank\.charge in "charge" was done before the process died/],
  ['one-key', 'effect-key-shared', () => ({ order: 'o-1' }), /in "price" with the key that "fee" had used/],
  ['fake-outside', 'effect-outside-step', () => ({ order: 'o-1' }), /bank\.charge was called outside a step/],
  ['unstable-step', 'unstable-value', () => ({ name: 'Ada' }), /crypto\.randomUUID\(\) .* reaches job\.step "create"/],
  ['raw-http', 'effect-outside-step', () => ({ url }), /http POST http:\/\/127/],
  ['socket', 'effect-outside-step', () => ({ text: 'hi' }), /message to 127\.0\.0\.1:\d+ on an open connection/],
  ['file-of-job', 'effect-outside-step', () => ({ text: 'hi' }), /job\.file\(\) stored a file outside a step/],
  ['step-state', 'result-differs', () => ({ parts: [1, 2] }), /at \/total 3 became 0/],
  [
    'stage-outside',
    'effect-outside-step',
    () => ({ cents: 5 }),
    /bank\.charge was called outside a step.*hand it the key/,
  ],
  ['map-nested', 'nested-step', () => ({ pages: ['a', 'b'] }), /"page\/read" was .* the function of "page\/0"/],
  ['sleep-name', 'unstable-value', () => ({ name: 'Ada' }), /Date\.now\(\) .* decides which steps .* "since-\d+" was/],
  [
    'child-input',
    'unstable-value',
    () => ({ name: 'Ada' }),
    /new Date\(\) .* reaches job\.call "print", which did something else/,
    { handlers: waits.children },
  ],
  ['floating-wait', 'floating-promise', () => ({ name: 'Ada' }), /job\.sleep "pause" was started and nobody waited/],
  ['wait-in-read', 'nested-step', () => ({ name: 'Ada' }), /"pause" was asked for inside a function that only looks/],
  [
    'swallowed-child',
    'swallowed-error',
    () => ({ at: 'noon' }),
    /error of job\.call "print" was caught/,
    { handlers: waits.children },
  ],
  ['order', 'other-order', () => ({ name: 'Ada' }), /"one" is asked for before "two" .* recorded after it/],
]

async function find([name, , input, , options]: Case) {
  const { handler } = (await import(`./fixtures/replay/${name}.ts`)) as { handler: JobHandler }
  return replayFindings(handler, input() as never, { reset: () => shop.reset(), ...options })
}

function marked(name: string) {
  const file = join(FIXTURES, `${name}.ts`)
  const lines = readFileSync(file, 'utf8').split('\n')
  return { file, line: lines.findIndex((line) => line.includes('// BUG')) + 1 }
}

describe.each([
  ['ten planted bugs, ten messages', TEN],
  ['and more', MORE],
])('%s', (_, cases) => {
  it.each(cases)('%s: %s', async (...planted) => {
    const [name, kind, , words] = planted
    const findings = await find(planted)
    expect(findings).toMatchObject([{ kind, ...marked(name), handler: `bug.${name}` }])
    expect(findings[0]!.message).toMatch(words)
    expect(findings[0]!.message).toContain(`src/testing/fixtures/replay/${name}.ts:${marked(name).line}: `)
  })
})

describe('five correct handlers, no message', () => {
  it.each([
    ['steps', safe.steps, () => ({ cents: 990, path: join(dir, 'safe'), url })],
    ['reads', safe.reads, () => ({ article: 'lamp', path: join(dir, 'terms'), url })],
    ['engines', safe.engines, () => ({ text: 'hello' })],
    ['branches', safe.branches, () => ({ units: ['a', 'b', 'c'] })],
    ['lanes', safe.lanes, () => ({ pages: 4 })],
  ])(
    '%s',
    async (_, handler, input) => {
      expect(await replayFindings(handler as JobHandler, input() as never, { reset: () => shop.reset() })).toEqual([])
    },
    60_000,
  )
})

describe('handlers that wait, no message', () => {
  const reset = () => shop.reset()
  const answer: ReplayOptions['answer'] = async (job, rig) => {
    const [wait] = job.blockedOn
    if (wait!.kind === 'approval') await rig.approve(job, { by: 'mara' })
    else if (wait!.title!.includes('replied')) await rig.signal(job, 'replied', { text: 'yes' })
    else await rig.callback(job, 'print/courier', { outcome: 'completed' })
  }

  it('a race, with the signal late and in time', async () => {
    await assertReplaySafe(waits.patient, { to: 'Ada' }, { reset })
    await assertReplaySafe(waits.patient, { to: 'Ada' }, { reset, answer })
  })

  it('stages, items, children and a callback', async () => {
    const input = { pages: ['a', '', 'c', 'd'] }
    await assertReplaySafe(waits.busy, input, { reset, answer, handlers: waits.children, maxCrashes: 50 })
  }, 60_000)

  it('an effect that nobody can ask about: then a person is asked', async () => {
    const handler = one(async (job) =>
      job.step('pay', ({ key }: { key: string }) => bank.charge(5, key), { effect: 'once' }),
    )
    await assertReplaySafe(handler, {}, { reset })
  })

  it('an approved effect that is taken back', async () => {
    const reset = () => [shop.reset(), waits.forget()]
    const policy = () => ({ risk: 'low', rule: 'always', why: 'It is a test.' }) as const
    const rig = { approvals: { policy, policyVersion: '1' } }
    await assertReplaySafe(waits.regret, { cents: 500 }, { reset, answer, ends: 'failed', rig })
  }, 60_000)
})

const one = (run: Parameters<ReturnType<typeof defineJob>['handler']>[0] & ((job: any) => unknown), options = {}) =>
  defineJob('one', { input: z.object({}) }).handler(options, run)

describe('assertReplaySafe', () => {
  it('runs to the end, through a death before and after each commit, and with each call failing', async () => {
    const attempts: number[] = []
    let paid = 0
    const handler = one(async (job) => {
      attempts.push(job.attempt)
      await job.step('pay', () => void paid++)
      await job.step('mail', () => 'sent')
    })
    await assertReplaySafe(handler, {})
    // Plain; end 2; two records 4; two failures. All but the plain run and the death after the end have a second attempt.
    expect(attempts.filter((attempt) => attempt === 1)).toHaveLength(9)
    expect(attempts.filter((attempt) => attempt === 2)).toHaveLength(7)
    // Once a run, and a second time where the process died before the record.
    expect(paid).toBe(9 + 1)
  })

  it('throws an AssertionError with all findings, each with file, line and what to do', async () => {
    const handler = one(async (job) => {
      await fetch(url)
      void job.step('late', () => 'late')
    })
    const error = (await assertReplaySafe(handler, {}).catch((error) => error)) as ReplaySafetyError
    expect(error).toBeInstanceOf(ReplaySafetyError)
    expect(error).toMatchObject({ name: 'ReplaySafetyError', code: 'ERR_ASSERTION' })
    expect(error.findings.map(({ kind }) => kind).sort()).toEqual(['effect-outside-step', 'floating-promise'])
    expect(error.message).toMatch(/^The handler of "one" is not replay-safe: 2 findings\.\n\n1\. /)
    expect(error.message).toContain(`replay-safe.test.ts:${error.findings[0]!.line}: `)
  })

  it('makes at most maxCrashes of them', async () => {
    let runs = 0
    const handler = one(async (job) => {
      for (const i of [1, 2, 3, 4, 5, 6]) await job.step('n', () => i)
    })
    await assertReplaySafe(handler, {}, { maxCrashes: 5, reset: () => void runs++ })
    expect(runs).toBe(1 + 5)
  })

  it('makes the input on the rig of each run', async () => {
    const handler = defineJob('stored', { input: z.object({ id: z.string() }) }).handler(async (job) => {
      const { path } = await job.open(job.input.id)
      return job.step('stamp', () => job.file(Buffer.from(`${readFileSync(path, 'utf8')} received`)))
    })
    await assertReplaySafe(handler, async (rig) => {
      const bytes = (async function* () {
        yield Buffer.from('letter')
      })()
      const meta = { contentType: 'text/plain', name: null, maxBytes: 100 }
      return { id: (await rig.engine.addFile(LOCAL, bytes, meta)).file }
    })
  })

  it('says so when there is nothing to compare with', async () => {
    const handler = one(async () => {
      throw new Permanent('no such order', { code: 'no-order' })
    })
    const [finding, ...more] = await replayFindings(handler, {})
    expect(more).toEqual([])
    expect(finding).toMatchObject({ kind: 'no-end' })
    expect(finding!.message).toMatch(
      /the job is failed \(no-order: no such order\) although nothing was made to go wrong/,
    )
    expect(await replayFindings(handler, {}, { ends: 'failed' })).toEqual([])
  })

  it('gives up a handler that fails and fails, or that hangs', async () => {
    const failing = one(async () => {
      throw new Error('wrong turn')
    })
    const [failed] = await replayFindings(failing, {})
    expect(failed!.message).toMatch(/had not ended after 20 attempts; its last error was .*wrong turn/)
    const hanging = one(async () => new Promise(() => {}))
    const [hung] = await replayFindings(hanging, {}, { timeout: '50ms' })
    expect(hung!.message).toMatch(/was still at work after 50ms of real time/)
  })

  it('answers for those a job waits for', async () => {
    let looked = false
    const handler = one(async (job) => {
      if (!looked) throw new Review('look at it')
      return job.step('done', () => 'done')
    })
    const options = { reset: () => (looked = false) }
    expect(await replayFindings(handler, {}, options)).toMatchObject([{ kind: 'no-end' }])
    const answer: ReplayOptions['answer'] = async (job, rig) => {
      looked = true
      await rig.engine.retry(LOCAL, job.id, { reason: 'looked' })
    }
    expect(await replayFindings(handler, {}, { ...options, answer })).toEqual([])
  })

  it('ignores what is meant to be so', async () => {
    const handler = one(async (job) => {
      await fetch(url)
      await job.step('then', () => 'done')
    })
    expect(await replayFindings(handler, {}, { ignore: ['effect-outside-step'] })).toEqual([])
    expect(requests).toBeGreaterThan(5)
  })

  it('a fake does what a service with keys does: nothing the second time, and the first answer again', async () => {
    let done = 0
    const refunds = fake('refunds', { pay: async (_: { key: string }) => ++done })
    const handler = one(async (job) => {
      await job.step('first', ({ key }: { key: string }) => refunds.pay({ key }))
      await job.step('second', ({ key }: { key: string }) => refunds.pay({ key }))
    })
    let runs = 0
    await assertReplaySafe(handler, {}, { reset: () => void runs++ })
    expect(done).toBe(2 * runs)
  })

  it('a fake that fails has done nothing', async () => {
    let tries = 0
    const refunds = fake('refunds', {
      pay: async (_key: string) => {
        if (++tries % 2 === 1) throw new Error('busy')
        return 'paid'
      },
    })
    const handler = one(async (job) => job.step('pay', ({ key }: { key: string }) => refunds.pay(key)))
    await assertReplaySafe(handler, {}, { reset: () => (tries = 0) })
  })

  it('finds what has its own key, and several things in one handler', async () => {
    let served = 0
    const refunds = fake('refunds', { pay: async (id: string) => id }, { keyOf: (_, [id]) => `${id}-${served++}` })
    const handler = one(async (job) => {
      const at = await job.step('at', () => new Date(0))
      const paid = await job.step('pay', () => refunds.pay('o-1'))
      return { at, paid, served: served++ }
    })
    const findings = await replayFindings(handler, {})
    expect(findings.map(({ kind }) => kind).sort()).toEqual(['effect-key-differs', 'not-json', 'result-differs'])
  })

  it('counts the effects of a fake of your own', async () => {
    const sent: string[] = []
    const handler = one(async (job) => {
      await job.step('mail', ({ key }: { key: string }) => {
        if (recordEffect('mail', key)) sent.push(key)
      })
      await job.step('note', () => recordEffect('note', undefined))
    })
    const findings = await replayFindings(handler, {})
    expect(findings).toMatchObject([{ kind: 'effect-repeated', step: 'note' }])
    expect(new Set(sent).size).toBe(1)
    expect(recordEffect('mail', 'k')).toBe(true)
  })

  it('does not see what others do meanwhile, and leaves no trace', async () => {
    const before = { fetch, writeFile: fs.writeFile, Date, random: Math.random, write: Socket.prototype.write }
    let written = 0
    const others = AsyncResource.bind(() => writeFileSync(join(dir, 'others'), String(++written)))
    const handler = one(async (job) => {
      others()
      await job.step('nothing', () => null)
    })
    await assertReplaySafe(handler, {})
    expect(written).toBeGreaterThan(5)
    const after = { fetch, writeFile: fs.writeFile, Date, random: Math.random, write: Socket.prototype.write }
    expect(after).toEqual(before)
    expect(new Date().constructor).toBe(before.Date)
    expect(Object.hasOwn(Socket.prototype, 'write')).toBe(false)
  })

  it('two checks at once do not disturb each other', async () => {
    const bad = one(async (job) => {
      await job.step('a', () => 'a')
      await fetch(url)
    })
    const [first, second, third] = await Promise.all([
      replayFindings(safe.lanes, { pages: 2 }),
      replayFindings(bad, {}),
      replayFindings(safe.branches, { units: ['a'] }),
    ])
    expect([first, third]).toEqual([[], []])
    expect(second).toMatchObject([{ kind: 'effect-outside-step' }])
  })

  const asking = defineJob('asking', { input: z.object({}), approvals: { go: z.object({ left: z.number() }) } })
  const goes: ReplayOptions['answer'] = async (job, rig) => {
    // Without evidence it is of high risk: two people.
    await rig.approve(job.id, { by: job.blockedOn[0]!.quorum!.filled === 0 ? 'mara' : 'otto', reason: 'fine' })
  }
  const requestOf = (left: number) => ({
    ...{ summary: 'Take one', because: 'It is needed.', impact: 'one less', rollback: 'put it back' },
    ...{ writes: [{ target: 'stock', change: { left: [left, left - 1] as const } }], evidence: 'none' as const },
    data: { left },
  })

  it('a request that is made again reads the world, which is as it should be', async () => {
    const handler = asking.handler(async (job) => {
      const answer = await job.approve('go', async () => requestOf(await shop.inStock('lamp')))
      if (answer.outcome !== 'approved') return null
      return job.step('reserve', ({ key }) => shop.reserve('lamp', { key }), {
        ...{ effect: 'once', approvedBy: answer },
        confirm: () => (shop.stock < 3 ? { happened: true, result: shop.stock } : { happened: false }),
      })
    })
    const reset = () => {
      shop.reset()
      shop.stock = 3
    }
    await assertReplaySafe(handler, {}, { reset, answer: goes })
  })

  it('a request that nobody answers expires, as its tier says', async () => {
    const ends: string[] = []
    const handler = asking.handler(async (job) => {
      const { outcome } = await job.approve('go', { ...requestOf(3), onExpire: 'continue' })
      await job.step('act', () => void ends.push(outcome))
    })
    await assertReplaySafe(handler, {})
    expect(new Set(ends)).toEqual(new Set(['expired']))
    await assertReplaySafe(
      asking.handler((job) => job.approve('go', requestOf(3))),
      {},
      { ends: 'cancelled' },
    )
  })

  it('one that writes is found', async () => {
    const handler = asking.handler(async (job) => {
      const { outcome } = await job.approve('go', async () => {
        await fetch(url, { method: 'POST' })
        return requestOf(3)
      })
      return outcome
    })
    expect(await replayFindings(handler, {}, { answer: goes })).toMatchObject([{ kind: 'write-in-read' }])
  })

  it('the job is submitted for whom, with what they may and under the key that it needs', async () => {
    const handler = asking.handler({ requireIdempotencyKey: true }, async ({ onBehalfOf, permissions }) => ({
      who: onBehalfOf!.id,
      permissions: [...permissions],
    }))
    await assertReplaySafe(handler, {}, { submit: { key: 'k', onBehalfOf: { id: 'sam' }, permissions: ['ask'] } })
  })

  it('calls of later attempts fail as well', async () => {
    const handler = one(async (job) => {
      await job.step('a', () => 1)
      await job.sleep('nap', '2s')
      await job.step('b', () => 2).catch(() => undefined)
      return 'slept'
    })
    expect(await replayFindings(handler, {})).toMatchObject([{ kind: 'swallowed-error', step: 'b' }])
  })

  it('the process dies between the announcement of an effect and its record, and in the answer of a person', async () => {
    let confirmed = 0
    let answers = 0
    const counts: number[] = []
    const handler = asking.handler(async (job) => {
      const answer = await job.approve('go', () => requestOf(3))
      return job.step('act', () => 'acted', {
        ...{ effect: 'once', approvedBy: answer },
        confirm: () => (confirmed++ >= 0 ? { happened: true, result: 'acted' } : 'unknown'),
      })
    })
    const answer: ReplayOptions['answer'] = (job, rig) => {
      answers++
      return goes(job, rig)
    }
    await assertReplaySafe(handler, {}, { answer, reset: () => void counts.push(answers) })
    expect(confirmed).toBeGreaterThan(0)
    // Two people decide; where the process died in it, one of them has to say it again.
    const perRun = counts.map((count, i) => (counts[i + 1] ?? answers) - count)
    expect(Math.min(...perRun)).toBe(2)
    expect(Math.max(...perRun)).toBe(3)
  })

  it('refuses what is no handler', async () => {
    await expect(assertReplaySafe({} as never, {})).rejects.toThrow('needs a handler, as made by defineJob')
  })
})

it('a fake is the object it was made from when no check runs', async () => {
  expect(await bank.charge(5, 'k')).toBe('r-5-1')
  expect(await post.send('abc')).toBe(3)
  shop.reset()
  expect(await shop.reserve('lamp', { key: 'k' })).toBe(2)
  expect(await shop.reserve('lamp', { key: 'k' })).toBe(1)
  expect(await shop.inStock('lamp')).toBe(1)
})
