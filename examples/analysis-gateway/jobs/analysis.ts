// The handler: each analysis of each document is a step, so that a crash costs the one that was under way and nothing
// else. The model has a stage and a queue of its own: when it is slow or away, texts without summaries go on.
import { readFile } from 'node:fs/promises'
import { type Duration, type JobContext, Permanent, until } from 'untildone'
import { documentClassifier } from '../lib/classify/documents.js'
import { ENTITIES_MAX, extract } from '../lib/extract/extract.js'
import type { Summariser } from '../lib/model.js'
import { languageOf } from '../lib/text/language.js'
import { SENTENCE_MAX, statisticsOf } from '../lib/text/statistics.js'
import { partsOf } from '../lib/text/words.js'
import { type Analysis, type AnalysisInput, type AnalysisResult, defineAnalysis, FILE_MAX } from './contract.js'

export const QUEUES = { analysis: 'analysis', model: 'model' } as const

export interface Settings {
  /** Null: no summaries. */
  model: Summariser | null
  /** How long one answer of the model may take. @default '1m' */
  modelTimeout?: Duration
}

type Job = JobContext<AnalysisInput, { stages: string; approvals: {}; signals: {} }>
type Found = AnalysisResult['documents'][number]
/** With the model that gave it, which may be another one after a restart. */
type Summary = NonNullable<Found['summary']> | null
interface Text {
  name: string
  text: string
}

/** What a model is given at once, and how many such parts of one document. */
const PART = 12_000
const PARTS_MAX = 8
const SURE = 0.45

export const analysisHandler = ({ model, modelTimeout = '1m' }: Settings) =>
  defineAnalysis(model !== null).handler(
    {
      version: '1',
      queue: QUEUES.analysis,
      target: { p95: '1m' },
      timeout: { attempt: '15m' },
      retry: until({ within: '24h', backoff: { from: '1s', to: '1m' } }),
      say: {
        error: { 'model-refused': 'The summary needs somebody who runs this service; nothing is needed from you.' },
      },
    },
    async (job): Promise<AnalysisResult> => {
      const { analyses } = job.input
      job.progress('reading', { message: 'Reading what was sent' })
      const texts = await textsOf(job)
      const documents = await analyse(job, texts)
      const decided = documents.find(({ classification }) => classification)?.classification
      if (decided)
        job.decision({ model: 'naive-bayes', version: decided.classifier, tools: [], path: 'classification' })
      if (model && analyses.includes('summary')) {
        const summaries = await job.stage('summarising', { queue: QUEUES.model }, () =>
          summarise(job, texts, model, modelTimeout),
        )
        for (const [i, document] of documents.entries()) document.summary = summaries[i] ?? null
        job.decision({ model: model.name, version: model.version, tools: [], path: 'summary' })
      }
      const total = texts.length
      job.progress('finished', { message: 'Finished', completed: total, total, unit: 'document' })
      return { documents }
    },
  )

async function textsOf(job: Job): Promise<Text[]> {
  const { text, documents, file } = job.input
  if (text !== undefined) return [{ name: 'text', text }]
  if (documents) return documents
  const opened = await job.open(file!)
  const why = (what: string) => new Permanent(`The file cannot be analysed: ${what}.`, { code: 'file-unusable' })
  // Refused when it is uploaded, unless another server takes uploads into this store.
  if (opened.bytes > FILE_MAX) throw why(`it has ${opened.bytes} bytes, and ${FILE_MAX} are the most`)
  let content = ''
  try {
    content = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(opened.path))
  } catch {
    throw why('it is no text in UTF-8')
  }
  if (content.includes('\0')) throw why('it is no text in UTF-8')
  if (!/[\p{L}\p{N}]/u.test(content)) throw why('it has no letter and no digit')
  return [{ name: opened.name ?? opened.id, text: content }]
}

async function analyse(job: Job, texts: readonly Text[]): Promise<Found[]> {
  const { analyses, topTerms } = job.input
  const found: Found[] = []
  for (const [i, { name, text }] of texts.entries()) {
    const n = i + 1
    const counts = { completed: i, total: texts.length, unit: 'document' }
    const doing = (what: Analysis | 'language') =>
      job.progress('analysing', { message: `Analysing "${name}": ${what}`, ...counts })
    doing('language')
    const language = await job.step(`language-${n}`, () => languageOf(text))
    const document: Found = { name, language }
    if (analyses.includes('statistics')) {
      doing('statistics')
      document.statistics = await job.step(`statistics-${n}`, () => statisticsOf(text, language.code, topTerms))
    }
    if (analyses.includes('extraction')) {
      doing('extraction')
      document.extraction = await job.step(`extraction-${n}`, () => extract(text))
    }
    if (analyses.includes('classification')) {
      doing('classification')
      document.classification = await job.step(`classification-${n}`, () => documentClassifier().classify(text))
    }
    note(job, document)
    found.push(document)
  }
  return found
}

/** What a reader of the result should know before relying on it. */
function note(job: Job, { name, language, statistics, extraction, classification }: Found): void {
  if (language.code === null) job.warn('language-unsure', `${name}: the language cannot be said.`)
  if (statistics && statistics.wordsPerSentence > SENTENCE_MAX)
    job.warn(
      'sentences-unsure',
      `${name}: ${statistics.words} words, and hardly an end of a sentence among them; nothing is said of readability.`,
    )
  if (classification) {
    const { label, score } = classification
    if (language.code !== 'en')
      job.warn(
        'classification-unsure',
        `${name}: the classifier has learned English only, and this may be another language.`,
      )
    else if (label === null)
      job.warn('classification-unsure', `${name}: it has too little in common with what the classifier has learned.`)
    else if (score < SURE) job.warn('classification-unsure', `${name}: "${label}" is hardly likelier than the rest.`)
  }
  const all = Object.values(extraction?.counts ?? {}).reduce((sum, count) => sum + count, 0)
  if (all > ENTITIES_MAX) job.warn('extraction-cut', `${name}: ${all} were found; the first ${ENTITIES_MAX} are shown.`)
}

/** A long document is summarised in parts, then the parts. Each answer of the model is on record and is paid for once. */
async function summarise(job: Job, texts: readonly Text[], model: Summariser, timeout: Duration): Promise<Summary[]> {
  const ask = (name: string, text: string): Promise<Summary> =>
    job.step<Summary>(
      name,
      async ({ signal, key }) => ({ text: await model.summarise(text, signal, key), model: model.name }),
      { timeout, onHarmless: null },
    )
  const summaries: Summary[] = []
  for (const [i, { name, text }] of texts.entries()) {
    job.progress('summarising', {
      message: `Summarising "${name}"`,
      completed: i,
      total: texts.length,
      unit: 'document',
    })
    const all = partsOf(text, PART)
    const parts = all.slice(0, PARTS_MAX)
    if (all.length > PARTS_MAX)
      job.warn('summary-of-beginning', `${name}: only the first ${PARTS_MAX * PART} characters are summarised.`)
    const answers: NonNullable<Summary>[] = []
    for (const [k, part] of parts.entries()) {
      const answer = await ask(`summary-${i + 1}.${k + 1}`, part)
      if (answer !== null) answers.push(answer)
    }
    if (answers.length > 1)
      summaries.push(await ask(`summary-${i + 1}`, answers.map((answer) => answer.text).join('\n\n')))
    else summaries.push(answers[0] ?? null)
  }
  return summaries
}
