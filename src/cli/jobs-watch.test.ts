/** `untildone jobs watch` over a server in memory, in the time of its clock. */
import { beforeEach, describe, expect, it } from 'vitest'
import { fakeLive } from '../client/fake-live.mjs'
import { errorOf } from '../client/fake-server.mjs'
import { virtualClock } from '../client/fake-time.mjs'
import { fakeIo, screen } from './fake-io.mjs'
import { run } from './program.js'

let clock: ReturnType<typeof virtualClock>
let live: ReturnType<typeof fakeLive>
beforeEach(() => {
  clock = virtualClock()
  live = fakeLive(clock)
})

type Options = Parameters<typeof fakeIo>[0]
function start(line: string, options: Options = {}) {
  const io = Object.assign(fakeIo({ ...options, env: { UNTILDONE_URL: 'http://fake', ...options?.env } }), {
    fetch: live.fetch,
  })
  const ended = run(line.split(' '), io, { clock }).then((exit) => {
    expect(io.listeners(), 'listeners left behind').toBe(0)
    expect(live.taps.size, 'streams left open').toBe(0)
    return { exit, out: io.stdout, err: io.stderr.replace(/\d\d:\d\d:\d\d/g, 'T') }
  })
  return { io, ended }
}
/** Starts, then takes the steps three seconds apart. */
async function ud(line: string, steps: (() => void)[] = [], options: Options = {}) {
  const { ended } = start(line, options)
  for (const step of steps) {
    await clock.sleep(3000)
    step()
  }
  return ended
}
const failed = { error: errorOf('exhausted', 'Gave up.') }
const group = (...ids: string[]) => {
  for (const id of ids) live.add(id, { groupId: 'g' })
}

describe('several ids', () => {
  it('are followed until all are done: a line per change, counts as the result', async () => {
    live.add('a')
    live.add('b')
    live.move('b', 'completed')
    const { exit, out, err } = await ud('jobs watch a b a', [
      () => live.move('a', 'processing'),
      () => live.move('a', 'blocked', { blockedOn: [{ kind: 'review', title: 'Two addresses' }] }),
      () => live.move('a', 'completed'),
    ])
    expect([exit, out]).toEqual([0, 'completed 2\n'])
    expect(err.split('\n')).toEqual([
      'T  2 jobs: completed 1, accepted 1',
      'T  a  greet  processing',
      'T  a  greet  blocked  Two addresses',
      'T  a  greet  completed  9.0 s',
      '',
    ])
  })

  it.each([
    ['completed', 'completed', 0],
    ['completed', 'cancelled', 11],
    ['cancelled', 'failed', 10],
  ])('%s and %s: exit code %i', async (one, other, exit) => {
    live.add('a')
    live.add('b')
    const answer = await ud('jobs watch a b', [
      () => live.move('a', one, one === 'completed' ? {} : { error: errorOf('cancelled-by-caller', 'Not wanted.') }),
      () => live.move('b', other, other === 'completed' ? {} : failed),
    ])
    expect(answer.exit).toBe(exit)
    if (exit === 0) return
    expect(answer.err).toMatch(/✕ (1|2) of 2 jobs did not complete\.\n {4}.*\n/)
    expect(answer.err).toContain('untildone jobs tries')
  })

  it('are all told apart before it begins when one is not there', async () => {
    live.add('a')
    live.add('b')
    const { exit, out, err } = await ud('jobs watch a nope b')
    expect([exit, out]).toEqual([5, ''])
    expect(err).toBe(`✕ 1 of 3 jobs cannot be watched.
    nope  Title of job-not-found.
  Nothing was watched: a wait for all of them could not tell how they ended.
  → Leave them out, or look for the right id: untildone jobs list
  job-not-found
`)
    expect(live.requests.some(({ path }) => path.endsWith('/stream'))).toBe(false)
  })

  it('may be shortened, and each unknown one is named', async () => {
    const ids = ['019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10', '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a11']
    for (const id of ids) live.add(id)
    for (const id of ids) live.move(id, 'completed')
    expect(await ud('jobs watch 1b7e4a10 1b7e4a11')).toMatchObject({ exit: 0, out: 'completed 2\n' })
    const { exit, err } = await ud('jobs watch 1b7e4a10 ffff1111 ffff2222')
    expect([exit, err]).toEqual([5, expect.stringContaining('"ffff1111" or "ffff2222"')])
    expect(await ud('jobs watch 019a7c31 1b7e4a11')).toMatchObject({ exit: 2 })
  })

  it('are a hundred at most', async () => {
    const { exit, err } = await ud(`jobs watch ${Array.from({ length: 101 }, (_, i) => `job-${i}`).join(' ')}`)
    expect([exit, err]).toEqual([2, expect.stringContaining('--group <id>')])
  })

  it('--json: each snapshot as one line, results included', async () => {
    live.add('a')
    live.add('b')
    live.move('b', 'completed')
    const { exit, out } = await ud('jobs watch a b --json', [
      () => live.move('a', 'processing'),
      () => live.move('a', 'completed'),
    ])
    expect(exit).toBe(0)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ id, status, result }) => [id, status, result])).toEqual([
      ['a', 'accepted', null],
      ['b', 'completed', { of: 'b' }],
      ['a', 'processing', null],
      ['a', 'completed', { of: 'a' }],
    ])
  })

  it('--quiet: nothing but the exit code', async () => {
    live.add('a')
    live.add('b')
    const end = () => {
      for (const id of ['a', 'b']) live.move(id, 'completed')
    }
    expect(await ud('jobs watch a b --quiet', [end], { columns: 80 })).toEqual({ exit: 0, out: '', err: '' })
  })

  it('--timeout: exit code 13 and the command to go on; what failed by then is worse', async () => {
    live.add('a')
    live.add('b')
    const over = await ud('jobs watch a b --timeout 1m --quiet', [() => live.move('a', 'completed')])
    expect(over).toEqual({
      exit: 13,
      out: '',
      err: 'Still processing: 1 of 2 jobs. This is not a failure.\nWatch them: untildone jobs watch a b\n',
    })
    live.move('b', 'failed', failed)
    live.add('c')
    expect(await ud('jobs watch b c --timeout 1m')).toMatchObject({
      exit: 10,
      err: expect.stringContaining('Still processing: 1 of 2 jobs.'),
    })
  })

  it('--fail-on-blocked: exit code 12 as soon as somebody has to act', async () => {
    live.add('a')
    live.add('b')
    const block = () => live.move('a', 'blocked', { blockedOn: [{ kind: 'approval', title: 'Refund 12 EUR' }] })
    const { exit, err } = await ud('jobs watch a b --fail-on-blocked', [block])
    expect([exit, err]).toEqual([12, expect.stringContaining('✕ Action required: Refund 12 EUR')])
    expect(err).toContain('untildone jobs get a')
    expect((await ud('jobs watch a b --fail-on-blocked')).exit).toBe(12)
  })

  it('Ctrl-C: exit code 130, and how to watch them again', async () => {
    live.add('a')
    live.add('b')
    const { io, ended } = start('jobs watch a b')
    await clock.sleep(3000)
    io.interrupt()
    expect(await ended).toMatchObject({
      exit: 130,
      err: expect.stringContaining('the jobs carry on. Watch them again: untildone jobs watch a b\n'),
    })
  })

  it('survive a restart of the server, and say so', async () => {
    live.add('a')
    live.add('b')
    const { exit, err } = await ud('jobs watch a b', [
      () => {
        live.streams = live.rest = 'down'
        live.restart()
      },
      () => live.move('a', 'completed'),
      () => live.move('b', 'completed'),
      () => {
        live.streams = live.rest = 'up'
      },
    ])
    expect(exit).toBe(0)
    expect(err).toContain('T  Connection lost, trying again; the jobs carry on.\nT  Connected again.\n')
  })

  it('are drawn in place on a terminal, one line for each', async () => {
    live.add('a')
    live.add('b')
    const { err, out } = await ud(
      'jobs watch a b --no-color',
      [() => live.move('a', 'completed'), () => live.move('b', 'failed', failed)],
      {
        columns: 80,
      },
    )
    expect(screen(err.slice(0, err.indexOf('✕ 1 of 2')))).toBe(
      '✓ a  greet  completed  3.0 s\n✕ b  greet  failed  Gave up.  6.0 s\n2 of 2 done  completed 1, failed 1  6.0 s\n',
    )
    expect(err).toContain('Ctrl-C stops watching; the jobs carry on.')
    expect(out).toBe('completed 1, failed 1\n')
  })
})

describe('a group', () => {
  it('is followed with what comes meanwhile, until no more are known', async () => {
    group('a', 'b')
    live.move('b', 'completed')
    const { exit, out } = await ud('jobs watch --group g', [
      () => group('c'),
      () => live.move('a', 'completed'),
      () => live.move('c', 'failed', failed),
    ])
    expect([exit, out]).toEqual([10, 'completed 2, failed 1\n'])
  })

  it('that is done already needs no watch', async () => {
    group('a', 'b')
    for (const id of ['a', 'b']) live.move(id, 'completed')
    expect(await ud('jobs watch --group g --json')).toMatchObject({
      exit: 0,
      out: expect.stringContaining('{"of":"a"}'),
    })
    expect(live.requests.some(({ path }) => path.endsWith('/stream'))).toBe(false)
  })

  it('that nobody named is an error', async () => {
    expect(await ud('jobs watch --group nope')).toMatchObject({ exit: 5, out: '' })
  })

  it('is quoted where it must be, to watch it again', async () => {
    live.add('a', { groupId: "it's" })
    const io = Object.assign(fakeIo({ env: { UNTILDONE_URL: 'http://fake' } }), { fetch: live.fetch })
    const exit = await run(['jobs', 'watch', '--group', "it's", '--timeout', '5s'], io, { clock })
    expect([exit, io.stderr]).toEqual([13, expect.stringContaining("untildone jobs watch --group 'it'\\''s'\n")])
  })
})

describe('a filter', () => {
  it('follows what is unfinished, and what comes meanwhile', async () => {
    live.add('a', { type: 'ocr.x' })
    live.add('b', { type: 'ocr.y' })
    live.add('c', { type: 'mail' })
    live.move('b', 'failed', failed)
    const { exit, out } = await ud('jobs watch --type ocr.*', [
      () => live.add('d', { type: 'ocr.z' }),
      () => live.move('a', 'completed'),
      () => live.move('d', 'completed'),
    ])
    expect([exit, out]).toEqual([0, 'completed 2\n'])
  })

  it('that finds nothing has nothing to wait for', async () => {
    expect(await ud('jobs watch --tag nightly')).toEqual({ exit: 0, out: '', err: 'No unfinished jobs fit.\n' })
  })

  it('notices what ended between the list and the stream', async () => {
    live.add('a')
    live.add('b')
    const fetch = live.fetch
    live.fetch = async (input, init) => {
      // The first stream is asked for: right before it begins, "a" ends.
      if (String(input).includes('/events/stream') && !live.jobs.get('a').done) live.move('a', 'completed')
      return fetch(input, init)
    }
    expect(await ud('jobs watch --type greet', [() => {}, () => {}, () => live.move('b', 'completed')])).toMatchObject({
      exit: 0,
      out: 'completed 2\n',
    })
  })

  it('and ids do not go together, and something must be given', async () => {
    expect(await ud('jobs watch a --group g')).toMatchObject({ exit: 2, err: expect.stringContaining('not both') })
    expect(await ud('jobs watch')).toMatchObject({ exit: 2, err: expect.stringContaining('Which jobs?') })
  })
})

describe('one id', () => {
  it('--json gives each snapshot as one line, the last one final', async () => {
    live.add('a')
    const { exit, out } = await ud('jobs watch a --json', [
      () => live.move('a', 'processing'),
      () => live.move('a', 'completed'),
    ])
    expect(exit).toBe(0)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ status }) => status)).toEqual(['accepted', 'processing', 'completed'])
    expect(lines.at(-1).result).toEqual({ of: 'a' })
  })

  it('goes on when the server goes away right before its tries are read', async () => {
    live.add('a')
    live.move('a', 'processing')
    const fetch = live.fetch
    live.fetch = async (input, init) => {
      if (String(input).endsWith('/attempts')) throw new TypeError('fetch failed')
      return fetch(input, init)
    }
    const { exit, out } = await ud('jobs watch a', [...Array(9).fill(() => {}), () => live.move('a', 'completed')])
    expect([exit, JSON.parse(out)]).toEqual([0, { of: 'a' }])
  })
})
