/** The scale demo as people run it, in its short form: the program alone, and what it prints. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { expectInOrder, runDemo } from '../../examples/demo-run.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const server = inject('postgres')

if (server)
  describe('the scale demo', () => {
    let dir = ''
    beforeAll(() => {
      dir = mkdtempSync(join(tmpdir(), 'untildone scale demo '))
      mkdirSync(join(dir, 'temp'))
      // PostgreSQL runs as another user where this one is root.
      for (const one of [dir, join(dir, 'temp')]) chmodSync(one, 0o755)
    })
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it('kills PostgreSQL and an API under load, and loses and doubles nothing', { timeout: 150_000 }, async () => {
      const { code, printed, silentMs } = await run(['--short'])
      expect(code, printed).toBe(0)
      expectInOrder(printed, [
        /PostgreSQL +of its own/,
        /workers +3 processes, pids \d+, \d+, \d+\n/,
        /16 customers come/,
        /PostgreSQL is killed \(SIGKILL, all of it\), with \d+ analyses in flight\n/,
        /PostgreSQL is there again/,
        /the first end after it, /,
        /API 1 is killed \(SIGKILL\), with \d+ analyses in flight\n/,
        /no more orders/,
        /^ +accepted +([1-9]\d*)\n +completed +\1, each with the result of its own order\n +lost +0\n +doubled +0\n/m,
      ])
      for (const told of [
        /PostgreSQL is there again, .*; meanwhile 0 had ended\n/,
        /API 1 answers again\. \d+ orders? and \d+ looks? had broken off/,
      ])
        expect(printed).toMatch(told)
      // What was in flight at a blow and what had ended of it later is the same number.
      for (const what of ['PostgreSQL is killed', 'API 1 is killed']) {
        const [, inFlight] = new RegExp(`${what} .* with (\\d+) analyses in flight`).exec(printed)!
        const was = what.replace(' is ', ' was ')
        expect(printed).toContain(`all ${inFlight} that were in flight when ${was} have ended`)
      }
      // A machine that is busy with other tests makes it later than it is elsewhere.
      expect(silentMs).toBeLessThan(10_000)
      expect(readdirSync(join(dir, 'temp'))).toEqual([])
    })

    it('told to stop in the middle, it leaves nothing behind', { timeout: 60_000 }, async () => {
      const { code } = await run(['--short'], /PostgreSQL /)
      expect(code).toBe(143)
      expect(readdirSync(join(dir, 'temp'))).toEqual([])
    })

    it('says what it does not know', { timeout: 60_000 }, async () => {
      const { code, printed } = await run(['--fast'])
      expect([code, printed]).toEqual([2, expect.stringMatching(/^--fast is not known\. There is --short/)])
    })

    function run(args: string[], stopAt?: RegExp) {
      const program = fileURLToPath(new URL('../../examples/analysis-gateway/demo-scale.mjs', import.meta.url))
      return runDemo(program, { cwd: dir, env: { TMPDIR: join(dir, 'temp') }, args, stopAt })
    }
  })

if (!server)
  describe('the scale demo', () => {
    it('loses and doubles nothing', (context) => context.skip(POSTGRES_NEEDS))
  })
