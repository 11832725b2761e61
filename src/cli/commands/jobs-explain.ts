/** `untildone jobs explain`: one job in plain sentences, for whoever asks. */
import { InvalidArgumentError } from 'commander'
import { VOICES, type Voice, type WireStory } from '../../core/wire-story.js'
import { type CommandSpec, jobId } from '../command.js'
import type { Context } from '../context.js'
import { clean, cutTo, padTo, paint, widthOf } from '../text.js'
import { toldLines } from '../told.js'

export const jobsExplain: CommandSpec = {
  usage: 'jobs explain <id>',
  summary: 'what happened, why, what happens next, who must act',
  details: `Told in the voice that hears most of those your key may hear. --voice chooses another:
  caller    who submitted it                 support   who answers the end user
  endUser   who waits for the result         operator  who keeps the system running`,
  options: [{ flags: '--voice <voice>', text: `in whose words: ${VOICES.join(', ')}`, parse: voiceOf }],
  examples: [
    ['untildone jobs explain 7f3c91e2', 'everything your key may know'],
    ['untildone jobs explain 7f3c91e2 --voice endUser', 'what to tell the person who waits'],
  ],
  async run(context, [text], { voice }: { voice?: Voice }) {
    const id = await jobId(context, text)
    const story = await context.client.story(id, { voice, signal: context.interrupted })
    if (context.options.json) return context.printJson(story)
    const told = story.voice === 'operator' ? await toldLines(context, id) : []
    context.print(lines(context, story, told).join('\n'))
  },
}

function voiceOf(text: string): Voice {
  const found = VOICES.find((voice) => voice.toLowerCase() === text.toLowerCase().replace(/[^a-z]/g, ''))
  if (!found) throw new InvalidArgumentError(`It must be one of ${VOICES.join(', ')}.`)
  return found
}

function lines(context: Context, story: WireStory, told: readonly string[]): string[] {
  const { outStyle: style } = context
  const { headline, status, happened, why, next, act, effects, resume, voices } = story
  const width = context.io.outIsTerminal ? Math.max(40, context.io.columns() ?? 80) : null
  const out = [`${paint(style, status)}  ${clean(headline)}`, style.dim(clean(`${story.type} ${story.jobId}`))]
  const section = (title: string, texts: (string | null | false)[]) => {
    const told = texts.filter((text) => text !== null && text !== false)
    if (told.length > 0) out.push('', style.bold(title), ...told.flatMap((text) => wrapped(clean(text), width)))
  }
  out.push('', style.bold('What happened'))
  for (const { at, text } of happened) out.push(...wrapped(clean(text), width, `${when(at)}  `))
  section('Why', [why])
  const giveUp = next.giveUpAt === null ? '' : `, gives up ${next.giveUpAt}`
  section('What happens next', [next.text, next.at !== null && `at ${next.at}${giveUp}`])
  // Whoever asks for the words of one voice gets no others.
  const inside = story.voice === 'support' || story.voice === 'operator'
  section('Who must act', inside && act.who !== 'nobody' ? [`${act.who}: ${act.text}`, act.href] : [act.text])
  section(
    'What must happen once',
    effects.map((effect) => effect.text),
  )
  if (told.length > 0) out.push('', style.bold('Who was told'), ...told.map((line) => `  ${line}`))
  section('Where it would go on', resume ? [resume.from, place(resume)] : [])
  if (!inside) return out
  out.push('', style.bold('In other words'))
  for (const [voice, text] of Object.entries(voices))
    if (text !== null && voice !== story.voice) out.push(...wrapped(clean(text), width, padTo(voice, 10)))
  return out
}

function place({ stage, queue }: NonNullable<WireStory['resume']>): string | null {
  const parts = [stage && `stage ${stage}`, queue && `queue ${queue}`].filter(Boolean)
  return parts.length === 0 ? null : parts.join(', ')
}

/** Day and second: `22 09:00:31`, or the whole instant where it is no such thing. */
function when(at: string): string {
  return at.replace(/^\d{4}-\d\d-(\d\d)T(\d\d:\d\d:\d\d).*$/, '$1 $2')
}

/** Broken between words; what follows the first line stands under its text. */
function wrapped(text: string, width: number | null, before = ''): string[] {
  const indent = ' '.repeat(2 + widthOf(before))
  const first = `  ${before}`
  if (width === null) return [first + text]
  const out: string[] = []
  let line = first
  for (const word of text.split(' ')) {
    const next = line.trim() === before.trim() && line.length <= indent.length ? line + word : `${line} ${word}`
    if (widthOf(next) <= width || line === indent) line = next
    else {
      out.push(line)
      line = indent + word
    }
  }
  return [...out, line].map((one) => cutTo(one, Math.max(width, widthOf(indent) + 20)))
}
