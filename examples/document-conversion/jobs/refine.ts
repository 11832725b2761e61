// The job type `xliff.refine`: a translated XLIFF file in, the same file with better translations out. Each unit is recorded
// by itself, so that nothing said about it is asked for twice. It must never hand out a file that `verifyXliff` finds fault with.
import { readFileSync } from 'node:fs'
import { defineJob, type ErrorRule, file, Permanent, until } from 'untildone'
import { z } from 'zod'
import { counting } from '../lib/count.js'
import { modelFrom } from '../lib/model.js'
import type { Xliff } from '../lib/xliff/document.js'
import { answerFor, type Refiner, ruleRefiner } from '../lib/xliff/engine.js'
import { modelRefiner } from '../lib/xliff/model-refiner.js'
import { leftAlone, type OpenXliff, openXliff, refined } from '../lib/xliff/refine.js'

const LANES = 4
/** So many units may be refused for good; each stays as it was and is named in a warning. A higher share fails the job. */
const TOLERATED = 0.1
const CHANGES_SHOWN = 1000

const term = z.object({
  source: z.string().min(1).max(200),
  target: z.string().min(1).max(200),
  /** Words in translations that are to be replaced by it. */
  instead: z.array(z.string().min(1).max(200)).max(50).default([]),
})

const output = z.object({
  xliff: file(),
  version: z.string(),
  units: z.int(),
  changed: z.int(),
  unchanged: z.int(),
  /** No target yet: a refinement translates nothing. */
  untranslated: z.int(),
  /** Signed off, or not to be translated. */
  locked: z.int(),
  /** What the engine said was not taken; there is a warning for each. */
  refused: z.int(),
  /** The first thousand changed units, and by what. */
  changes: z.array(z.object({ unit: z.string(), by: z.array(z.string()) })),
  engine: z.string(),
})

export const refine = defineJob('xliff.refine', {
  title: 'Refined translation of an XLIFF file',
  input: z.object({ xliff: file(), terms: z.array(term).max(5000).default([]) }),
  output,
  stages: ['read', 'refine', 'publish'],
})

/** What can go wrong, for the story of the type; each is thrown with its verdict where it is found. */
const errors: ErrorRule[] = [
  ...['not-xliff', 'xliff-not-well-formed', 'xliff-version', 'xliff-invalid', 'xliff-encoding', 'xliff-too-large'].map(
    permanent,
  ),
  ...['refinement-refused', 'refinement-damaged', 'units-missing'].map(permanent),
  { code: 'model-busy', is: 'transient' },
]

function permanent(code: string): ErrorRule {
  return { code, is: 'permanent' }
}

/** Every unit has one of the five ends, and none is missing. */
export function verify({
  units,
  changed,
  unchanged,
  untranslated,
  locked,
  refused,
  changes,
}: z.infer<typeof output>): void {
  const counted = changed + unchanged + untranslated + locked + refused
  if (counted === units && changes.length === Math.min(changed, CHANGES_SHOWN)) return
  throw new Permanent(`The file has ${units} units, but ${counted} are accounted for.`, { code: 'units-missing' })
}

export const refineHandlerWith = (refiner: Refiner) =>
  refine.handler(
    {
      version: '1',
      errors,
      verify,
      retry: until({ within: '2h', backoff: { from: '1s', to: '1m' } }),
      timeout: { attempt: '1h' },
      target: { p95: '10m' },
      say: {
        stage: {
          read: 'We are looking at your translation.',
          refine: 'We are going through your translation.',
          publish: 'We are checking the result.',
        },
        error: {
          'not-xliff': 'This is not an XLIFF file. Please send another file.',
          'xliff-not-well-formed': 'The XLIFF file is damaged. Please export it again.',
          'xliff-version': 'This version of XLIFF cannot be read. Please export the file as XLIFF 1.2, 2.0 or 2.1.',
          'xliff-invalid': 'The XLIFF file is not valid. Please export it again.',
          'xliff-too-large': 'The XLIFF file is too large. Please send it in parts.',
          'xliff-encoding': 'The XLIFF file is in an encoding that cannot be read. Please export it as UTF-8.',
        },
      },
    },
    async (job) => {
      job.progress('read', { message: 'Looking at the file' })
      const { path, name, contentType } = await job.open(job.input.xliff)
      // Read when it is needed, once in an attempt: the file never changes.
      let opened: OpenXliff | undefined
      const open = () => (opened ??= openXliff(readFileSync(path)))
      const outline = await job.step('read', () => outlineOf(open().document), { effect: 'read' })
      const { chosen } = outline

      const progress = (finished: number) =>
        job.progress('refine', {
          message: `Unit ${finished} of ${chosen.length}`,
          completed: finished,
          total: chosen.length,
          unit: 'unit',
        })
      progress(0)
      const counted = counting(progress)
      const answers = await job.map(
        'unit',
        chosen,
        (key, { signal, index }) => counted(index, () => answerFor(refiner, open().unit(key), job.input.terms, signal)),
        { concurrency: LANES, key: (key) => key, tolerate: TOLERATED },
      )
      progress(chosen.length)

      job.progress('publish', { message: 'Checking the file' })
      const targets = new Map<string, string>()
      const changes: { unit: string; by: string[] }[] = []
      for (const [index, answer] of answers.entries()) {
        const key = chosen[index]!
        for (const note of answer?.notes ?? []) job.warn('look-at-unit', `${key}: ${note}`)
        if (!answer || answer.rules.length === 0) continue
        targets.set(key, answer.target)
        changes.push({ unit: key, by: answer.rules })
      }
      const xliff = await job.step('publish', () => {
        const { document, write } = open()
        return job.file(write(refined(document, targets)), { contentType, name: name ?? 'refined.xlf' })
      })
      const refused = answers.filter((answer) => answer === null).length
      return {
        ...{ xliff, version: outline.version, units: outline.units, changed: changes.length, refused },
        unchanged: chosen.length - changes.length - refused,
        untranslated: outline.untranslated,
        locked: outline.locked,
        changes: changes.slice(0, CHANGES_SHOWN),
        engine: refiner.name,
      }
    },
  )

/** What the rest of the job goes by: the keys of the units that are refined, and how many are not. */
function outlineOf({ version, units }: Xliff) {
  const left = (why: string) => units.filter((unit) => leftAlone(unit) === why).length
  const chosen = units.filter((unit) => leftAlone(unit) === null).map(({ key }) => key)
  return { version, units: units.length, untranslated: left('untranslated'), locked: left('locked'), chosen }
}

const model = modelFrom(process.env)
export const refineHandler = refineHandlerWith(model ? modelRefiner(model) : ruleRefiner)
