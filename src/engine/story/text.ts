/** A story as text for a terminal or a message, and as Markdown. Pure. */
import type { Voice, WireStory } from '../../core/wire-story.js'

const VOICE_NAMES: Record<Voice, string> = {
  caller: 'caller',
  endUser: 'end user',
  support: 'support',
  operator: 'operator',
}

interface Section {
  title: string
  lines: string[]
}

function sections(story: WireStory): Section[] {
  const { happened, why, next, act, effects, resume, voices } = story
  const times = [next.at && `at ${next.at}`, next.giveUpAt && `gives up ${next.giveUpAt}`].filter(
    (part) => part !== null,
  )
  const inside = story.voice === 'support' || story.voice === 'operator'
  // Whoever asks for the words of one voice gets no others; who answers for the job sees what the rest is told.
  const heard = (Object.keys(VOICE_NAMES) as Voice[]).flatMap((voice) =>
    !inside || voice === story.voice || voices[voice] === null ? [] : [`${VOICE_NAMES[voice]}: ${voices[voice]}`],
  )
  const all: (Section | null)[] = [
    { title: 'What happened', lines: happened.map(({ at, text }) => `${at}  ${text}`) },
    why === null ? null : { title: 'Why', lines: [why] },
    { title: 'What happens next', lines: [next.text, ...(times.length > 0 ? [`(${times.join(', ')})`] : [])] },
    { title: 'Who must act', lines: [inside && act.who !== 'nobody' ? `${act.who}: ${act.text}` : act.text] },
    effects.length === 0 ? null : { title: 'What must happen once', lines: effects.map(({ text }) => text) },
    resume === null ? null : { title: 'Where it would go on', lines: resumeLines(resume) },
    heard.length === 0 ? null : { title: 'In other words', lines: heard },
  ]
  return all.filter((section) => section !== null)
}

function resumeLines({ from, stage, queue }: NonNullable<WireStory['resume']>): string[] {
  const place = [stage === null ? null : `stage ${stage}`, queue === null ? null : `queue ${queue}`].filter(Boolean)
  return place.length === 0 ? [from] : [from, `(${place.join(', ')})`]
}

export function storyText(story: WireStory): string {
  const head = `${story.headline}\n${story.type} ${story.jobId}, ${story.status}, as of ${story.asOf}`
  const rest = sections(story).map(({ title, lines }) => `${title}\n${lines.map((line) => `  ${line}`).join('\n')}`)
  return `${[head, ...rest].join('\n\n')}\n`
}

export function storyMarkdown(story: WireStory): string {
  const { type, jobId, status, asOf, headline } = story
  const head = `# ${escaped(headline)}\n\n\`${type}\` job \`${jobId}\`, **${status}**, as of ${asOf}.`
  const rest = sections(story).map(({ title, lines }) => {
    const items = lines.length === 1 ? escaped(lines[0]!) : lines.map((line) => `- ${escaped(line)}`).join('\n')
    return `## ${title}\n\n${items}`
  })
  return `${[head, ...rest].join('\n\n')}\n`
}

/** Messages of jobs are text, not Markdown. */
export function escaped(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, '\\$&').replace(/\s*\n\s*/g, ' ')
}
