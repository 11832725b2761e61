// The job as a whole: the real handler over a SQLite file, real engines as children, real recognition. Words are drawn at
// run time where recognition is judged, and an engine that crashes here is killed from outside by its pid.
import { randomInt } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PDFiumLibrary } from '@hyzyla/pdfium'
import { PDFDocument } from 'pdf-lib'
import { createUntildone, type JobHandler, LOCAL, sqlite, type Untildone } from 'untildone'
import { assertReplaySafe, dryRun, type TestRig } from 'untildone/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findEngines, type RunningEngine } from './demo/find-engines.mjs'
import { convert, convertHandlerWith, verify } from './jobs/convert.js'
import { characterErrorRate } from './lib/cer.mjs'
import { npmEngines } from './lib/engines.js'
import { makeScan, random } from './scans/make-scans.mjs'
import { drawSentences, letters } from './scans/texts.mjs'

const convertHandler = convertHandlerWith(npmEngines())
const scan = (name: string) => readFileSync(new URL(`scans/${name}.pdf`, import.meta.url))

let dir = ''
let app: Untildone
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-convert-'))
  // The children's private folders are then below this one, where the last test looks for them.
  process.env.TMPDIR = dir
  app = await createUntildone({ store: sqlite(join(dir, 'convert.db')), handlers: [convertHandler] })
  await app.start()
})
afterAll(async () => {
  await app?.stop()
  rmSync(dir, { recursive: true, force: true })
})

async function submit(bytes: Uint8Array) {
  return app.submit(convert, { pdf: await stored(app, bytes) })
}

async function stored({ engine }: Pick<Untildone | TestRig, 'engine'>, bytes: Uint8Array) {
  const source = (async function* () {
    yield bytes
  })()
  const meta = { contentType: 'application/pdf', name: 'scan.pdf', maxBytes: 1e9 }
  return (await engine.addFile(LOCAL, source, meta)).file
}

/** Waits for the end, whichever it is. */
async function ended(bytes: Uint8Array) {
  const { id } = await submit(bytes)
  return app.engine.wait(LOCAL, id, { timeoutMs: 60_000, until: 'done' }, ['ops'])
}

async function textLayer(bytes: Uint8Array) {
  const library = await PDFiumLibrary.init()
  const document = await library.loadDocument(bytes)
  const text = [...document.pages()].map((page) => page.getText()).join('')
  document.destroy()
  library.destroy()
  return text
}

function expectInOrder(expected: string[], text: string, limit: number, note = '') {
  const got = text.split('\f')
  expect(got).toHaveLength(expected.length)
  for (const [index, page] of expected.entries()) {
    expect(characterErrorRate(page, got[index]!), `page ${index + 1} ${note}\n${got[index]}`).toBeLessThanOrEqual(limit)
  }
}

// Skewed and noisy ones are read by both engines in engines.test.ts; the job adds nothing to how a page is read.
test('pages of random words: at most 3 % of the characters are wrong, in page order', { timeout: 90_000 }, async () => {
  const seed = randomInt(2 ** 31)
  const chance = random(seed)
  const pages = [1, 2].map(() => drawSentences(40, chance))
  const bytes = await makeScan({ pages, seed, dpi: 300 })
  expect(await textLayer(bytes)).toBe('')
  const { text, textFile, ...rest } = await (await submit(bytes)).result()
  expectInOrder(pages, text, 0.03, `(seed ${seed})`)
  expect(characterErrorRate(pages[0]!, text.split('\f')[1]!), 'the pages differ').toBeGreaterThan(0.5)
  expect(rest).toMatchObject({ pageCount: 2, pages: [1, 2].map((page) => ({ page, engine: 'fast', blank: false })) })
  const { meta, file } = await app.engine.openFile(LOCAL, textFile)
  expect(meta).toMatchObject({ contentType: 'text/plain; charset=utf-8', name: 'text.txt' })
  expect(readFileSync(file.path, 'utf8')).toBe(text)
})

describe('one job with a crash, a fallback and a warning', () => {
  let victim: RunningEngine
  let id = ''
  beforeAll(async () => {
    const handle = await submit(scan('letters'))
    id = handle.id
    victim = await killEngineAtWork(3)
    await handle.result()
  }, 90_000)

  test('the committed story tells what the job really did', async () => {
    const example = JSON.parse(readFileSync(new URL('jobs/ocr.convert.example.json', import.meta.url), 'utf8'))
    const told = await dryRun(convertHandler as unknown as JobHandler, example)
    const steps = (keys: string[]) => [...new Set(keys.map((key) => key.replace(/\d+/g, '*')))].sort()
    const real = await app.engine.typeStory(LOCAL, 'ocr.convert', id)
    expect(steps(real.steps.map(({ key }) => key))).toEqual(steps(told.steps.map(({ key }) => key)))
    expect([told.stoppedBy, told.madeUp, real.findings]).toEqual([null, [], []])
  })

  test('try 1 shows the real signal, try 2 completes', async () => {
    const [first, second, ...more] = await app.engine.attempts(LOCAL, id)
    expect(first).toMatchObject({
      outcome: 'error',
      verdict: 'transient',
      rule: expect.stringContaining('process-signal'),
      error: {
        code: 'engine-crashed',
        step: 'page-3/fast/recognise',
        details: { pid: victim.pid, signal: 'SIGSEGV', exitCode: null },
      },
    })
    expect(first!.error!.message).toContain('SIGSEGV')
    expect(second).toMatchObject({ outcome: 'ok', error: null })
    expect(more).toEqual([])
  })

  test('only the page of the crash is begun again', async () => {
    const { items } = await app.engine.logs(LOCAL, id, {})
    const started = items.filter(({ message }) => message.startsWith('Started ')).map(({ data }) => stepOf(data))
    const again = started.filter((step, index) => started.indexOf(step) !== index)
    expect(again).toEqual(['page-3/fast/recognise'])
    const steps = await app.engine.steps(LOCAL, id)
    const attempt = Object.fromEntries(steps.map((step) => [step.name, step.attempt]))
    expect(attempt).toMatchObject({ inspect: 1, 'page-1': 1, 'page-2': 1, 'page-3': 2, publish: 2 })
  })

  test('a page that the fast engine refuses is read by the robust one, and the refusal is on record', async () => {
    const { json } = await app.engine.result(LOCAL, id)
    const { pages } = JSON.parse(json)
    expect(pages.map(({ engine }: { engine: string }) => engine)).toEqual(['fast', 'robust', 'fast', 'fast', 'fast'])
    const steps = await app.engine.steps(LOCAL, id)
    const message = 'fast.mjs ended with exit code 6: cannot take this page apart: it holds 2 pictures, not one'
    expect(steps.find(({ name }) => name === 'page-2')!.info).toMatchObject({
      engine: 'robust',
      rejected: [{ engine: 'fast', code: 'cannot-take-apart', message }],
    })
    expect(steps.map(({ name }) => name)).not.toContain('page-2/fast/recognise')
  })

  test('a coarse page completes the job with a warning that names the page', async () => {
    const job = await app.engine.get(LOCAL, id, ['ops'])
    expect(job).toMatchObject({ status: 'completed', statusText: 'Completed, with notes.' })
    expect(job.ops!.phase).toBe('withWarnings')
    const message = 'warning: low resolution (130 dpi), enlarged to 300 dpi'
    expect(job.warnings).toMatchObject([{ code: 'low-resolution', message, step: 'page-4/fast/recognise' }])
    expect(job.progress).toMatchObject({ stage: 'publish', stages: [{ state: 'done' }, {}, {}] })
  })

  test('the text is whole, and no engine and no file is left', async () => {
    const { json } = await app.engine.result(LOCAL, id)
    expectInOrder(letters, JSON.parse(json).text, 0.03)
    expect(findEngines(process.pid)).toEqual([])
    expect(readdirSync(dir).filter((name) => !/^(files|convert\.db.*)$/.test(name))).toEqual([])
  })
})

describe('what cannot be converted', () => {
  const cases: [string, string, () => Uint8Array | Promise<Uint8Array>][] = [
    ['a locked file', 'password-required', () => scan('password')],
    ['what is not a PDF', 'not-a-pdf', () => scan('not-a-pdf')],
    ['a damaged PDF', 'not-a-pdf', () => Buffer.from('%PDF-1.7\nand then nothing that makes sense')],
    ['a page that no engine takes', 'cannot-take-apart', hugePage],
  ]
  for (const [name, code, bytes] of cases) {
    test(`${name} fails at once with ${code}`, async () => {
      const job = await ended(await bytes())
      expect(job).toMatchObject({ status: 'failed', result: null, error: { code, class: 'permanent', attempts: 1 } })
    })
  }
})

test('wherever it is interrupted, it does nothing twice and ends the same', { timeout: 120_000 }, async () => {
  const bytes = await makeScan({ pages: ['One short line.'], dpi: 150 })
  const input = async (rig: TestRig) => ({ pdf: await stored(rig, bytes) })
  // Each run reads a page for real, so these are some of the places where it can be interrupted.
  await assertReplaySafe(convertHandler, input, { maxCrashes: 4, timeout: '60s' })
})

describe('the last look at the result', () => {
  const page = (number: number, blank = false) => ({ page: number, engine: 'fast', confidence: 90, blank })
  const whole = { text: 'one\ftwo\f', textFile: '', pageCount: 3, pages: [page(1), page(2), page(3, true)] }

  test('as many pages out as in is a result, a page known to be blank included', () => {
    expect(() => verify(whole)).not.toThrow()
    expect(() => verify({ ...whole, text: '', pageCount: 1, pages: [page(1, true)] })).not.toThrow()
  })

  const broken: [string, Partial<typeof whole>][] = [
    ['a page is missing', { pages: [page(1), page(2)] }],
    ['a page came out too many', { pages: [1, 2, 3, 4].map((number) => page(number)) }],
    ['pages are in the wrong order', { pages: [page(2), page(1), page(3, true)] }],
    ['the text ends early', { text: 'one\ftwo' }],
    ['a page is empty and nobody said so', { pages: [page(1), page(2), page(3)] }],
  ]
  for (const [name, change] of broken) {
    test(`refused when ${name}`, () => {
      expect(() => verify({ ...whole, ...change })).toThrow(expect.objectContaining({ code: 'truncated-output' }))
    })
  }
})

const stepOf = (data: unknown) => (data as { step: string }).step

/** Kills the engine of this page once it has been at work for a moment. */
async function killEngineAtWork(page: number): Promise<RunningEngine> {
  let seen: RunningEngine | undefined
  for (let since = 0; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const engine = findEngines(process.pid).find((engine) => engine.page === page)
    if (!engine || engine.pid !== seen?.pid) since = Date.now()
    else if (Date.now() - since > 300) {
      process.kill(engine.pid, 'SIGSEGV')
      return engine
    }
    seen = engine
  }
}

/** Refused by the fast engine because it holds text, by the robust one because of its size. */
async function hugePage(): Promise<Uint8Array> {
  const document = await PDFDocument.create()
  document.addPage([14_400, 14_400]).drawText('far too large')
  return document.save()
}
