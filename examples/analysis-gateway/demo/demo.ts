// The demo: what a client of the gateway does and sees. All that it prints was answered by the gateway.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlite } from 'untildone'
import { WebSocket } from 'ws'
import { corpus } from '../lib/classify/documents.js'
import { type AnalysisClient, createAnalysisClient } from '../sdk/client.js'
import { AnalysisError, type AnalysisStatus } from '../sdk/types.js'
import { start } from '../start.js'
import { standIn } from './stand-in.js'

const BILL =
  'Invoice 2041 from Harbour Lights GmbH. The total is €1,234.50, including 19 % VAT, and is due on 12 March 2026. ' +
  'Please pay to DE89 3704 0044 0532 0130 00 and mail Dr. Anna Berg at billing@harbour.example.'

const line = (text = '') => console.log(text)

export async function demo(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'untildone-gateway-demo-'))
  const model = await standIn([503, 429])
  const running = await start({
    store: sqlite(join(dir, 'untildone.db')),
    model: { baseUrl: model.baseUrl, apiKey: '', name: 'stand-in' },
  })
  const client = createAnalysisClient({ url: running.url! })
  try {
    line('A gateway for analyses that take longer than a request. Nothing leaves this machine.\n')
    line(`  gateway   ${running.url}/api/v1/analysis`)
    line(`  model     a stand-in at ${model.baseUrl}: says the first sentence, after 503 and 429\n`)
    const parts = [
      await one(client),
      await many(client),
      await twice(client),
      await slow(client, model.answered),
      await wrong(client),
    ]
    if (parts.every(Boolean)) return 0
    line('\nThis is not what was promised, so it ends with exit code 1.')
    return 1
  } finally {
    await running.stop()
    model.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Writes down the words of a status, each once. */
function words() {
  const seen: string[] = []
  return {
    onStatus: ({ status }: AnalysisStatus) => void (seen.at(-1) !== status && seen.push(status)),
    get said() {
      return seen.join(' → ')
    },
  }
}

async function one(client: AnalysisClient): Promise<boolean> {
  line('One text: submit, wait, fetch')
  const told = words()
  const { documents } = await client.analyse({ text: BILL }, told)
  const { language, statistics, extraction, classification } = documents[0]!
  line(`  status    ${told.said}`)
  line(`  text      ${language.code}, ${statistics!.words} words in ${statistics!.sentences} sentences`)
  line(`  kind      ${classification!.label}, because of ${classification!.because.join(', ')}`)
  for (const { kind, value } of extraction!.entities) line(`  ${kind.padEnd(13)} ${value}`)
  return classification!.label === 'invoice' && extraction!.entities.length === 7
}

async function many(client: AnalysisClient): Promise<boolean> {
  line('\nTwenty documents that the classifier has never seen; a push tells each end')
  const push = client.push({ WebSocket: WebSocket as never })
  const held = corpus('held-out/')
  const ends = await Promise.all(
    held.map(async ({ kind, text }) => {
      const { jobId } = await client.submit({ text, analyses: ['classification'] })
      await push.ended(jobId)
      const { documents } = await client.result(jobId)
      return { kind, label: documents[0]!.classification!.label }
    }),
  )
  push.close()
  for (const kind of new Set(held.map((document) => document.kind))) {
    const labels = ends.filter((end) => end.kind === kind).map(({ label }) => label)
    line(`  ${kind.padEnd(10)} taken for ${labels.join(', ')}`)
  }
  const right = ends.filter(({ kind, label }) => kind === label).length
  line(`  ${right} of ${ends.length} are right`)
  return right >= 18
}

async function twice(client: AnalysisClient): Promise<boolean> {
  line('\nThe same request twice, with one Idempotency-Key')
  const submit = () => client.submit({ text: BILL }, { idempotencyKey: 'order-9917' })
  const [first, second] = [await submit(), await submit()]
  line(`  ${first.jobId === second.jobId ? 'one analysis' : 'two analyses'}`)
  return first.jobId === second.jobId
}

async function slow(client: AnalysisClient, answered: readonly number[]): Promise<boolean> {
  line('\nA summary, while the model is away')
  const told = words()
  const { documents } = await client.analyse({ text: BILL, analyses: ['summary'] }, told)
  line(`  model     answered ${answered.join(', ')}`)
  line(`  status    ${told.said}`)
  line(`  summary   ${documents[0]!.summary?.text}`)
  return answered.join() === '503,429,200' && told.said.endsWith('completed')
}

async function wrong(client: AnalysisClient): Promise<boolean> {
  line('\nA request that cannot be taken')
  try {
    await client.analyse({ text: BILL, analyses: ['sentiment' as never] })
  } catch (error) {
    if (!(error instanceof AnalysisError)) throw error
    line(`  ${error.httpStatus} ${error.code}: ${error.reasons.join('; ')}`)
    line(`  ${error.fix}`)
    return error.code === 'input-invalid'
  }
  return false
}
