import { describe, expect, it } from 'vitest'
import { VOICES } from '../../core/wire-story.js'
import { FORBIDDEN } from './fixtures/forbidden.js'
import { Life, MOMENTS } from './fixtures/moments.js'
import { type Moment, momentOf } from './moment.js'
import { storyOf } from './story.js'
import { storyMarkdown, storyText } from './text.js'
import { say } from './voices.js'

describe('every moment in four voices', () => {
  it('reads as the table says', async () => {
    const rows = Object.entries(MOMENTS).flatMap(([name, facts]) => [
      `## ${name}`,
      '',
      ...VOICES.map((voice) => `- ${voice}: ${say(facts(), voice)}`),
      '',
    ])
    await expect(`${['# What is said in each moment', '', ...rows].join('\n').trimEnd()}\n`).toMatchFileSnapshot(
      './fixtures/voices.md',
    )
  })

  it('covers every moment that there is', () => {
    const met = new Set(Object.values(MOMENTS).map((facts) => momentOf(facts())))
    const all: Record<Moment, true> = {
      ...{ stored: true, scheduled: true, held: true, noWorker: true, lanePaused: true, inLine: true, running: true },
      ...{ betweenTries: true, timer: true, child: true, cancelling: true, compensating: true },
      ...{ approval: true, review: true, signal: true, paused: true },
      ...{ completed: true, completedWithNotes: true, undidOther: true, failed: true, exhausted: true, deadline: true },
      ...{ cancelled: true, rejected: true, approvalExpired: true, parentEnded: true, overridden: true },
    }
    expect([...met].sort()).toEqual(Object.keys(all).sort())
  })

  it('keeps tries, workers, codes and rules from end users', () => {
    for (const [name, facts] of Object.entries(MOMENTS)) {
      const story = storyOf(facts(), 'endUser', VOICES)
      const heard = [
        story.headline,
        story.why,
        story.next.text,
        story.act.text,
        ...story.happened.map(({ text }) => text),
      ]
      expect(heard.join('\n'), name).not.toMatch(
        /\btr(y|ies)\b(?!ing)|w-1|exit code|engine-crashed|type\[|queue|worker/i,
      )
    }
  })

  it('uses the six words and no others', () => {
    for (const [name, facts] of Object.entries(MOMENTS)) {
      for (const voice of VOICES) {
        const story = storyOf(facts(), voice, VOICES)
        expect(storyText(story), name).not.toMatch(FORBIDDEN)
        expect(storyMarkdown(story), name).not.toMatch(FORBIDDEN)
      }
    }
  })

  it('is at most 280 characters, whatever a handler says', () => {
    const life = new Life().claim().at('recognise', 'x'.repeat(1000))
    for (const voice of VOICES) expect(say(life.facts(), voice).length).toBeLessThanOrEqual(280)
  })
})
