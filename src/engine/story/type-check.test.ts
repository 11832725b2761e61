import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, until } from '../../define/index.js'
import { findingsOf } from './type-check.js'
import type { RecordedRun, RunStep } from './type-run.js'

const input = z.object({})
const whole = { retry: until({ within: '1h' }), target: { p95: '1m' } }
const type = (options: object = whole, stages?: string[]) =>
  defineJob('pay', { input, ...(stages ? { stages } : {}) }).handler(options, () => 1 as never)
const run = (steps: Partial<RunStep>[], shown: string[] = []): RecordedRun => ({
  ...{ source: { kind: 'dry-run' }, stoppedBy: null, madeUp: [], shown: new Map(shown.map((name) => [name, null])) },
  steps: steps.map((step) => ({ key: 'x', kind: 'step', effect: 'idempotent', declared: {}, ...step })),
})
const rules = (steps: Partial<RunStep>[], shown?: string[], stages?: string[]) =>
  findingsOf(type(whole, stages), run(steps, shown)).map(({ rule, where }) => `${rule} ${where}`)

describe('what a type must say', () => {
  it.each<[string, string[], string[]]>([
    [
      'a step that must happen once, without confirm',
      rules([{ key: 'pay', effect: 'once' }]),
      ['once-without-confirm pay'],
    ],
    [
      'the same many times',
      rules([
        { key: 'p-1/pay', effect: 'once' },
        { key: 'p-2/pay#2', effect: 'once' },
      ]),
      ['once-without-confirm p-*/pay'],
    ],
    ['one with confirm', rules([{ effect: 'once', declared: { confirm: true } }]), []],
    ['one of which nothing is known', rules([{ effect: 'once', declared: null }]), []],
    [
      'a gate without expiry',
      rules([{ key: 'payout', kind: 'approval', bounded: false }]),
      ['gate-without-expiry payout'],
    ],
    [
      'a gate with one, and one not known',
      rules([
        { kind: 'approval', bounded: true },
        { kind: 'approval', bounded: null },
      ]),
      [],
    ],
    [
      'a wait without timeout',
      rules([{ key: 'reply', kind: 'signal', bounded: false }]),
      ['wait-without-timeout reply'],
    ],
    [
      'waits that end',
      rules([
        { kind: 'signal', bounded: true },
        { kind: 'child', bounded: true },
        { kind: 'timer', bounded: true },
      ]),
      [],
    ],
    [
      'a stage that is not declared',
      rules([{ key: 'publish', kind: 'stage' }], ['read'], ['read']),
      ['undeclared-stage publish'],
    ],
    ['one that is shown as progress only', rules([], ['read']), ['undeclared-stage read']],
    [
      'a stage that is entered twice',
      rules(
        [
          { key: 'read', kind: 'stage' },
          { key: 'read#2', kind: 'stage' },
        ],
        [],
        ['read'],
      ),
      [],
    ],
  ])('%s', (_, found, expected) => {
    expect(found).toEqual(expected)
  })

  it('is a target and a give-up rule that somebody chose', () => {
    const found = (options: object) => findingsOf(type(options), null).map(({ rule }) => rule)
    expect(found({})).toEqual(['no-target', 'no-give-up-rule'])
    expect(found({ retry: until() })).toEqual(['no-target'])
    expect(found({ target: { p95: '1m' } })).toEqual(['no-give-up-rule'])
    expect(found(whole)).toEqual([])
  })

  it('comes with what happens without it, and a fix that can be copied', () => {
    const [finding] = findingsOf(type(whole, ['read']), run([{ key: 'publish', kind: 'stage' }]))
    expect(finding).toEqual({
      ...{ rule: 'undeclared-stage', where: 'publish', fix: "Declare it: stages: ['read', 'publish']" },
      text: 'The handler shows the stage "publish", and "pay" declares read: progress cannot show its place.',
    })
  })
})
