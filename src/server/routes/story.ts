/** GET /v1/jobs/{id}/story: what happened, why, what next, who must act; as JSON, plain text or Markdown. */
import { VOICES, type WireStory } from '../../core/index.js'
import { storyMarkdown, storyText } from '../../engine/story/text.js'
import { accepts } from '../headers.js'
import { oneOf } from '../query.js'
import { json, NO_STORE } from '../reply.js'
import { type Route, route } from '../route.js'
import { JOB_ID, READERS } from './shared.js'

const AS_TEXT = [
  ['text/markdown', storyMarkdown],
  ['text/plain', storyText],
] as const

const EXAMPLE: WireStory = {
  jobId: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10',
  type: 'ocr.extract',
  asOf: '2026-11-22T09:00:31.120Z',
  status: 'processing',
  done: false,
  voice: 'support',
  headline: 'Processing, stage 2 of 3 (Recognise), try 2 in 18 s; such errors usually pass.',
  happened: [
    { at: '2026-11-22T09:00:00.004Z', text: 'Accepted from crm.', seq: 1, kind: 'accepted' },
    { at: '2026-11-22T09:00:00.310Z', text: 'Work began.', seq: 2, kind: 'work' },
    { at: '2026-11-22T09:00:31.002Z', text: 'Recorded: "inspect".', seq: null, kind: 'step' },
    { at: '2026-11-22T09:00:31.120Z', text: 'Try 1 did not work: the licence server is busy.', seq: 3, kind: 'try' },
  ],
  why: 'the licence server is busy. (licence-busy in step "recognise", transient, by the rule type[0] /licence/)',
  next: {
    text: 'Try 2 starts in 18 s. It gives up at 11:00 UTC.',
    at: '2026-11-22T09:00:49.120Z',
    giveUpAt: '2026-11-22T11:00:00.004Z',
  },
  act: { who: 'nobody', text: 'Nothing is needed from anybody.', href: null },
  effects: [],
  resume: {
    from: 'After "inspect": 1 recorded step is not done again.',
    reusedSteps: ['inspect'],
    stage: 'recognise',
    queue: 'default',
  },
  voices: {
    caller: 'Page 12 of 40',
    endUser: 'Page 12 of 40',
    support: 'Processing, stage 2 of 3 (Recognise), try 2 in 18 s; such errors usually pass.',
    operator: null,
  },
}

export const storyRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/story',
    id: 'getJobStory',
    tag: 'Execution',
    scope: READERS,
    summary: 'What happened, why, what happens next, who must act',
    description:
      'The job explained in plain sentences, made from its history. `voice` says for whom: `caller` and `endUser` hear ' +
      'nothing of tries, `support` needs jobs:read and `operator` jobs:operate. `statusText` of the job is the headline in ' +
      'the voice of the caller. With `Accept: text/plain` or `text/markdown` it comes as a text.',
    params: JOB_ID,
    query: { voice: oneOf(VOICES, 'In whose words. Default: the one that hears most of those this key may hear.') },
    responses: {
      200: {
        description: 'The story, as of now.',
        schema: 'Story',
        example: EXAMPLE,
        also: {
          'text/plain': { type: 'string', description: 'For a terminal or a message.' },
          'text/markdown': { type: 'string', description: 'For a ticket.' },
        },
      },
    },
    problems: ['job-not-found', 'job-expired'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const story = await engine.story(call.caller, call.params.id!, call.query.voice)
      const headers = { 'Cache-Control': NO_STORE, Vary: 'Authorization, Accept' }
      const accept = call.request.headers.get('accept')
      for (const [type, render] of AS_TEXT) {
        if (accepts(accept, type))
          return { status: 200, headers: { ...headers, 'Content-Type': `${type}; charset=utf-8` }, body: render(story) }
      }
      const { act } = story
      return json({ ...story, act: { ...act, href: act.href && settings.base + act.href } }, 200, headers)
    },
  }),
]
