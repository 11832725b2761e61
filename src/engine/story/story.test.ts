import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { until } from '../../core/backoff.js'
import { type Event, isFinal, statusOf, transition } from '../../core/lifecycle.js'
import { VOICES } from '../../core/wire-story.js'
import { FORBIDDEN } from './fixtures/forbidden.js'
import { ADA, CRASH, KERN, Life, MINUTE, MOMENTS, problem, SYSTEM, WORKER } from './fixtures/moments.js'
import { storyOf } from './story.js'
import { storyMarkdown, storyText } from './text.js'

const reason = fc.option(fc.constantFrom('wrong file', 'see INC-1', ''), { nil: null })
const waitKind = fc.constantFrom('approval', 'signal', 'timer', 'child') as fc.Arbitrary<'approval'>
const instant = fc.option(fc.integer({ min: 0, max: 9e15 }), { nil: null })

/** Everything that can be asked of the state machine; most of it is refused in most states. */
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Event>({ type: 'claimed', actor: WORKER, worker: 'w-1' }) },
  fc.integer({ min: 0, max: 3 }).map((warnings): Event => ({ type: 'succeeded', actor: WORKER, warnings })),
  fc
    .record({
      verdict: fc.constantFrom('transient', 'permanent', 'review') as fc.Arbitrary<'transient'>,
      error: fc.constantFrom(
        CRASH,
        problem('x', 'it broke'),
        problem('undo-failed', '', { rule: 'thrown Review', step: 'pay' }),
      ),
      attempts: fc.constantFrom(undefined, 1, 3),
      onExhausted: fc.constantFrom('fail', 'review') as fc.Arbitrary<'fail'>,
      scope: fc.constantFrom(null, 'pay'),
    })
    .map(({ verdict, error, attempts, onExhausted, scope }): Event => {
      const retry = until({ within: '2h', attempts, onExhausted })
      return {
        type: 'errored',
        actor: WORKER,
        verdict,
        error: { ...error, class: verdict },
        retry,
        scope,
        jitter: 0.5,
        retryAfterMs: 0,
      }
    }),
  fc.constant<Event>({ type: 'released', actor: WORKER }),
  fc.record({ waitKind, wakeAt: instant, dueAt: instant, id: fc.constantFrom('x', 'x#2', 'a/b', '') }).map(
    ({ waitKind, wakeAt, dueAt, id }): Event => ({
      ...{ type: 'suspended', actor: WORKER, waitKind, wakeAt },
      wait: { id, title: id ? `Waiting for ${id}.` : '', dueAt },
    }),
  ),
  fc
    .constantFrom('signal x', 'time', 'timeout of child x', 'child 1', '', 'signal callback:x')
    .map((by): Event => ({ type: 'woken', actor: ADA, by })),
  fc.constant<Event>({
    type: 'staged',
    actor: WORKER,
    stage: 'publish',
    queue: 'slow',
    lane: 'slow/ocr.convert/default',
  }),
  fc.constant<Event>({ type: 'leaseExpired', actor: SYSTEM, maxLost: 2, jitter: 0.5 }),
  fc
    .record({
      by: fc.constantFrom('caller', 'operator', 'parent', 'system'),
      reason,
      mode: fc.constantFrom('graceful', 'force'),
    })
    .map((more) => ({ type: 'cancelRequested', actor: ADA, ...more }) as Event),
  fc
    .constantFrom('failed', 'cancelled')
    .chain((status) =>
      fc
        .constantFrom('rejected', 'approvalExpired', 'byOperator')
        .map(
          (phase) => ({ type: 'stopped', actor: KERN, status, phase, code: 'c', message: 'a rule says no' }) as Event,
        ),
    ),
  fc.boolean().map(
    (resetAttempts): Event => ({
      type: 'retryRequested',
      actor: KERN,
      resetAttempts,
      details: { answer: 'happened', step: 'pay' },
    }),
  ),
  reason.map((reason): Event => ({ type: 'pauseRequested', actor: KERN, reason })),
  reason.map((reason): Event => ({ type: 'resumeRequested', actor: KERN, reason })),
  fc.constant<Event>({ type: 'deadlinePassed', actor: SYSTEM }),
  fc
    .constantFrom('completed', 'failed', 'cancelled')
    .map((status) => ({ type: 'overridden', actor: KERN, reason: 'so it is', status, error: null }) as Event),
  fc.constant<Event>({ type: 'undone', actor: WORKER, steps: ['pay'], partial: [] }),
)

const walk = fc.record({
  steps: fc.array(fc.record({ event, after: fc.integer({ min: 0, max: 3 * 3_600_000 }), undo: fc.boolean() }), {
    ...{ maxLength: 25, size: 'max' },
  }),
  runAt: fc.option(fc.constant(Date.UTC(2026, 10, 23)), { nil: null }),
  deadlineAt: instant,
  whole: fc.boolean(),
  late: fc.boolean(),
})

type Walk = typeof walk extends fc.Arbitrary<infer T> ? T : never

function live({ steps, runAt, deadlineAt, late }: Walk): Life {
  const life = new Life({ runAt, deadlineAt })
  for (const { event, after, undo } of steps) {
    if (!life.live) break
    life.after(after)
    const decision = transition(life.live, event, life.now)
    if (!decision.ok) continue
    life.take(decision)
    if (life.live && undo && life.live.state === 'running')
      life.step(`s${life.steps.length}`, { effect: 'once', undo: 'due' })
    if (life.live && late) life.set({ lateAt: life.now })
  }
  return life
}

describe('a story', () => {
  it('can be told of every legal history, in every voice, and says what is so', () => {
    const states = new Set<string>()
    fc.assert(
      fc.property(walk, (given) => {
        const life = live(given)
        const facts = life.facts({}, given.whole)
        for (const { state } of life.history) states.add(state)
        for (const voice of VOICES) {
          const story = storyOf(facts, voice, VOICES)
          expect(story.status).toBe(life.outcome ? life.outcome.status : statusOf(life.live!))
          expect(story.done).toBe(life.outcome !== null)
          for (const text of [
            story.headline,
            story.next.text,
            story.act.text,
            ...story.happened.map((entry) => entry.text),
          ]) {
            expect(text.trim().length).toBeGreaterThan(3)
            expect(text).not.toMatch(/undefined|null|NaN|\[object|\{|\}| {2}|\.\.(?!\.)|: *$/)
          }
          expect(story.voices[voice]).toBe(story.headline)
          expect(`${storyText(story)}${storyMarkdown(story)}`).not.toMatch(FORBIDDEN)
          if (story.done) expect([story.next.at, story.next.giveUpAt]).toEqual([null, null])
          const order = story.happened.map(({ at }) => Date.parse(at))
          expect(order).toEqual([...order].sort((a, b) => a - b))
        }
        if (given.whole) {
          const seqs = storyOf(facts, 'operator', VOICES).happened.flatMap(({ seq }) => (seq === null ? [] : [seq]))
          expect(seqs).toEqual(life.history.map(({ seq }) => seq))
        }
      }),
      { numRuns: 500 },
    )
    const all = ['queued', 'running', 'waiting', 'cancelling', 'compensating', 'completed', 'failed', 'cancelled']
    expect([...states].sort()).toEqual(all.sort())
    expect(all.filter((state) => isFinal(state as never))).toHaveLength(3)
  })

  it('tells the same end in the list and in the headline', () => {
    for (const [name, facts] of Object.entries(MOMENTS)) {
      for (const voice of VOICES) {
        const { done, happened, headline } = storyOf(facts(), voice, VOICES)
        if (done) expect(headline, name).toContain(happened.at(-1)!.text.slice(0, 250).replace(/\.$/, ''))
      }
    }
  })

  it('is long where much happened, and tells it in order', () => {
    const life = new Life().after(300).claim().step('fetch').step('convert').after(2000).fail()
    life.after(20_000).claim().step('pay', { effect: 'once' }).after(MINUTE).succeed()
    life.detail = {
      decisions: [
        {
          jobId: 'j',
          key: 'decision',
          at: life.now - 1000,
          attempt: 2,
          path: 'propose',
          model: 'm-1',
          modelVersion: '7',
          tools: ['crm', 'shop'],
          fields: null,
        },
      ],
    }
    const told = (voice: (typeof VOICES)[number]) =>
      storyOf(life.facts(), voice, VOICES).happened.map(({ text }) => text)
    expect(told('operator')).toEqual([
      'Accepted from crm. Queue "default", priority 0.',
      'Try 1 began on worker w-1.',
      'Recorded: "fetch" and "convert".',
      'Try 1 did not work (engine-crashed, exit code 139, transient, step "page-3/fast/recognise", rule type[5] process-signal): fast.mjs ended with exit code 139. Next one in 18 s.',
      'Try 2 began on worker w-1.',
      '"pay" happened, in 2 s.',
      'Decided by m-1 7 on the path propose with crm and shop.',
      'Completed in 1 m 22 s, 2 tries.',
    ])
    expect(told('support')).toEqual([
      'Accepted from crm.',
      'Work began.',
      'Recorded: "fetch" and "convert".',
      'Try 1 did not work: fast.mjs ended with exit code 139.',
      'Try 2 began.',
      '"pay" happened, in 2 s.',
      'Decided by m-1 7.',
      'Completed 09:01 UTC after 2 tries.',
    ])
    expect(told('caller')).toEqual(['Accepted.', 'Work began.', 'Completed.'])
    expect(told('endUser')).toEqual(['Received.', 'Work began.', 'Completed.'])
  })

  it('says of each effect whether it happened, and of an unknown one that it is unknown', () => {
    const life = new Life()
      .claim()
      .step('pay', { effect: 'once', undo: 'undone' })
      .step('fetch')
      .step('book', { effect: 'once' })
    const row = { tenant: 'default', key: 'k', jobId: 'j', result: null, at: life.now }
    life.detail = {
      effects: [
        { ...row, step: 'pay', state: 'happened' },
        { ...row, step: 'mail', state: 'started' },
        { ...row, step: 'print', state: 'absent' },
        { ...row, step: '', state: 'happened' },
      ],
    }
    const effects = () => storyOf(life.facts(), 'support', VOICES).effects.map(({ state, text }) => `${state}: ${text}`)
    expect(effects()).toEqual([
      'undone: "pay" happened and was undone.',
      'happened: "book" happened.',
      'unknown: "mail" was begun; its outcome is not recorded yet.',
      'not-happened: "print" has not happened.',
    ])
    life.fail()
    expect(effects()).toContain('unknown: Whether "mail" happened is not known.')
    expect(storyOf(life.facts(), 'endUser', VOICES).effects).toEqual([])
  })

  it('says where it would go on, and what is not done again', () => {
    const life = new Life().claim().at('recognise')
    const resume = () => storyOf(life.facts(), 'operator', VOICES).resume
    expect(resume()).toMatchObject({
      from: 'At its beginning; nothing is recorded yet.',
      reusedSteps: [],
      queue: 'default',
    })
    life.step('fetch').step('wait', { kind: 'timer' }).fail()
    expect(resume()).toEqual({
      ...{ from: 'After "wait": 2 recorded steps are not done again.', reusedSteps: ['fetch', 'wait'] },
      ...{ stage: 'recognise', queue: 'default' },
    })
    life
      .after(MINUTE)
      .claim()
      .fail(problem('x', 'no', { step: 'convert' }), 'permanent')
    expect(resume()?.from).toBe('It ended in step "convert" and does not go on; 2 steps are on record for a replay.')
    expect(storyOf(life.facts(), 'caller', VOICES).resume).toBeNull()
  })

  it('takes the sentences of the type for stages, waits and errors', () => {
    const say = {
      stage: { recognise: 'We are reading your document.' },
      wait: { customerReplied: 'Please answer the question that we sent you.' },
      error: { 'engine-crashed': 'We had a problem on our side.' },
    }
    const line = (life: Life, voice: (typeof VOICES)[number]) => storyOf(life.facts({ say }), voice, VOICES).headline
    const life = new Life().claim().at('recognise', null, 3, 10)
    expect(line(life, 'endUser')).toBe('We are reading your document: 3 of 10 pages.')
    expect(line(life, 'caller')).toBe('We are reading your document.')
    expect(line(life, 'support')).toBe(
      'Processing, stage 2 of 3 (Recognise): We are reading your document: 3 of 10 pages.',
    )
    life.on({
      ...{ type: 'suspended', actor: WORKER, waitKind: 'signal', wakeAt: null },
      wait: { id: 'customerReplied', title: 'Waiting.', dueAt: null },
    })
    expect(line(life, 'endUser')).toBe('Please answer the question that we sent you.')
    const gone = new Life().claim().fail(CRASH, 'transient', until({ attempts: 1 }))
    expect(line(gone, 'caller')).toBe('We had a problem on our side.')
    expect(line(gone, 'endUser')).toBe('We had a problem on our side.')
  })

  it('names who must act, and what', () => {
    const acts = Object.fromEntries(
      Object.entries(MOMENTS).map(([name, facts]) => {
        const { who, text } = storyOf(facts(), 'operator', VOICES).act
        return [name, `${who}: ${text}`]
      }),
    )
    const named = Object.entries(acts).filter(([, text]) => !text.startsWith('nobody'))
    expect(Object.fromEntries(named)).toEqual({
      'no worker': 'operator: Start a worker for "ocr.convert" in queue "default".',
      'type paused': 'operator: Resume the type "ocr.convert".',
      approval: 'approver: Approve or reject "payout".',
      'approval, from the job alone': 'approver: Approve or reject it.',
      'needs review': 'operator: Find out at the far side whether "pay" happened, and say so.',
      'needs review: said by the type': 'operator: Look at the error; then try again or cancel it.',
      signal: 'outside: Send the signal "customerReplied".',
      paused: 'operator: Resume it, or cancel it.',
      'paused while it waits': 'operator: Resume it, or cancel it.',
      'failed: input': 'submitter: Correct the input and submit it as a new job.',
      'failed: said by the type': 'submitter: Correct the input and submit it as a new job.',
      'failed: inside': 'operator: Find the cause of boom; then replay it.',
      exhausted: 'operator: Find the cause of engine-crashed; then replay it.',
      deadline: 'submitter: Submit it again if it is still wanted.',
      undone: 'operator: Find the cause of card-refused; then replay it.',
      'undone, one by hand': 'operator: Find the cause of card-refused; then replay it.',
      'approval expired': 'submitter: Submit it again if it is still wanted.',
    })
  })
})
