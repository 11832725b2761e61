// Which engines read a page and when they are believed: a list that depends on the machine, quirks of single versions, engines
// that work without a licence and end well all the same.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type JobHandler, LOCAL } from 'untildone'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { convertHandlerWith } from './jobs/convert.js'
import { characterErrorRate } from './lib/cer.mjs'
import { enginesFrom, nativeEngine, npmEngines, type PageEngine } from './lib/engines.js'
import { limitIn } from './lib/limits.js'
import { inRange, QUIRKS, type Quirk, rulesFor } from './lib/quirks.js'
import { readTsv } from './lib/tsv.mjs'
import { makeScan } from './scans/make-scans.mjs'
import { clean, letters, skewedNoisy } from './scans/texts.mjs'
import { type Bench, bench, stored } from './support.js'

let dir = ''
let fourPages: Uint8Array
let twoPages: Uint8Array
let onePage: Uint8Array
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-ocr-'))
  const first = (count: number) => makeScan({ pages: ['One', 'Two', 'Three', 'Four'].slice(0, count), dpi: 150 })
  ;[fourPages, twoPages, onePage] = [await first(4), await first(2), await first(1)]
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

let jobs: Bench | undefined
afterEach(async () => {
  await jobs?.stop()
  jobs = undefined
})
async function converted(bytes: Uint8Array, engines: PageEngine[], quirks?: Quirk[]) {
  jobs = await bench([convertHandlerWith(engines, quirks) as JobHandler<any, any>])
  return jobs.run('ocr.convert', { pdf: await stored(jobs.app, bytes, 'scan.pdf') })
}

const vendor = (how: string, version = '2.1.0'): PageEngine => ({
  ...{ name: 'vendor', command: process.execPath, licensed: true },
  ...{
    args: [fileURLToPath(new URL('fixtures/vendor.mjs', import.meta.url)), how],
    programs: [{ name: 'pagereader', version }],
  },
})
const [, robust] = npmEngines()
const readers = (job: any) => job.result.pages.map(({ engine }: any) => engine)

describe('an engine that is limited and ends well', () => {
  test('does not end the job as completed', async () => {
    const job = await converted(fourPages, [vendor('limited')])
    expect(job).toMatchObject({
      status: 'failed',
      result: null,
      error: { code: 'demo-limited', class: 'permanent', attempts: 1 },
    })
    expect(job.error.message).toContain('DEMO')
    const steps = await jobs!.app.engine.steps(LOCAL, job.id)
    expect(steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['page-1', 'page-2', 'page-3']))
  })

  const cases: [how: string, page: number, what: string][] = [
    ['limited', 4, 'a watermark instead of the page'],
    ['watermarked', 2, 'a watermark on the page'],
    ['empty', 2, 'nothing'],
  ]
  test.each(cases)('%s: what it gives for page %i is not believed, and the next engine reads it', async (how, page) => {
    const job = await converted(fourPages, [vendor(how), robust!])
    expect(job).toMatchObject({ status: 'completed' })
    expect(readers(job)).toEqual([1, 2, 3, 4].map((n) => (n === page ? 'robust' : 'vendor')))
    const words = ['One', 'Two', 'Three', 'Four']
    expect(job.result.text.split('\f')[page - 1]).toBe(words[page - 1])
    const steps = await jobs!.app.engine.steps(LOCAL, job.id)
    expect(steps.find(({ name }) => name === `page-${page}`)!.info).toMatchObject({
      rejected: [{ engine: 'vendor', code: 'demo-limited' }],
    })
  })

  test('a page that is another one is not taken either', async () => {
    const job = await converted(twoPages, [vendor('same')])
    expect(job.status).toBe('failed')
  })

  test('the words are known, and pages that only speak of such things are not', () => {
    const limited = [
      'EVALUATION COPY',
      'This page was recognised by PageReader (unregistered)',
      'Demo: first 3 pages only',
      'T R I A L   V E R S I O N',
      'Please order a\nlicense key',
      'Page omitted. Get a licence.',
    ]
    for (const text of limited) expect(limitIn(text), text).not.toBeNull()
    for (const text of [...letters, ...clean, ...skewedNoisy, 'The trial was held in March.'])
      expect(limitIn(text), text).toBeNull()
  })
})

describe('a quirk of some versions', () => {
  const quirks: Quirk[] = [
    {
      program: 'pagereader',
      versions: '>=2.1 <2.2',
      match: /glyph cache: \d+ entries dropped/,
      is: 'distrust',
      as: 'half-a-page',
      why: 'it leaves out words',
    },
    {
      program: 'pagereader',
      versions: '>=2.1 <2.2',
      match: /assertion failed: tile/,
      is: 'next',
      as: 'tile-bug',
      why: 'it fails on this page each time',
    },
  ]
  const cases: [how: string, version: string, reader: string, code: string | null][] = [
    ['cache', '2.1.4', 'robust', 'half-a-page'],
    ['cache', '2.2.0', 'vendor', null],
    ['cache', '2.0.9', 'vendor', null],
    ['aborts', '2.1.0', 'robust', 'tile-bug'],
  ]
  test.each(cases)('%s in %s: page 2 is read by %s', async (how, version, reader, code) => {
    const job = await converted(twoPages, [vendor(how, version), robust!], quirks)
    expect(job).toMatchObject({ status: 'completed' })
    expect(readers(job)[1]).toBe(reader)
    const [step] = (await jobs!.app.engine.steps(LOCAL, job.id)).filter(({ name }) => name === 'page-2')
    const { rejected } = step!.info as any
    expect(rejected.map((rejection: any) => rejection.code)).toEqual(code ? [code] : [])
    // One that ends in an error is told by its rule, which names engine and versions.
    if (code === 'tile-bug') expect(rejected[0].rule).toMatch(/^step\[1\] .* of pagereader >=2\.1 <2\.2$/)
  })

  test('the same words of another version are tried again, because nothing is known of them', async () => {
    jobs = await bench([convertHandlerWith([vendor('aborts', '2.2.0')], quirks) as JobHandler<any, any>])
    const app = jobs.app
    const { definition } = convertHandlerWith([vendor('aborts')])
    const { id } = await app.submit(definition, { pdf: await stored(app, twoPages, 'scan.pdf') })
    await expect.poll(async () => (await app.engine.attempts(LOCAL, id))[0]?.outcome, { timeout: 20_000 }).toBe('error')
    expect((await app.engine.attempts(LOCAL, id))[0]).toMatchObject({
      verdict: 'transient',
      error: { code: 'engine-crashed', details: { engine: 'pagereader', engineVersion: '2.2.0' } },
    })
    await app.engine.cancel(LOCAL, id, {})
  })

  test('versions are compared number by number', () => {
    const cases: [string, string, boolean][] = [
      ['9.55.0', '<9.56', true],
      ['9.56.1', '<9.56', false],
      ['10.02.1', '>=9.56', true],
      ['9.6', '<9.56', true],
      ['2.1', '>=2.1 <2.2', true],
      ['2.1.0', '=2.1', true],
      ['2.1.1', '<=2.1', false],
      ['2.1.1', '>2.1', true],
      ['anything', '*', true],
    ]
    for (const [version, range, holds] of cases) expect(inRange(version, range), `${version} ${range}`).toBe(holds)
    expect(() => inRange('1', '~1')).toThrow('"~1"')
  })

  test('the table names a reason for every line, and noise is never the word of a crash', () => {
    for (const { why, versions, is, match } of QUIRKS) {
      expect(why).not.toBe('')
      expect(() => inRange('1.0', versions)).not.toThrow()
      if (is === 'noise') expect(match.source).toMatch(/^\^/)
    }
    const rules = (programs: [name: string, version: string][]) =>
      rulesFor({ programs: programs.map(([name, version]) => ({ name, version })) }).map(({ as, is, engine }) =>
        `${as} ${is} ${engine?.versions ?? ''}`.trim(),
      )
    // Of the reader all, because the rules themselves name the versions; of what works beside it those that hold.
    const reader = ['resolution-guessed harmless >=4', 'language-missing permanent *']
    expect(rules([['tesseract', '3.5']])).toEqual(reader)
    const drawn = (version: string) => rules([['tesseract', '5.3.0'], ['gs', version]]) // biome-ignore format: one line
    expect(drawn('9.50')).toEqual([...reader, 'page-not-complete permanent'])
    expect(drawn('9.50')).toEqual(drawn('10.2'))
  })
})

describe('the list of engines', () => {
  /** Programs of this name that print what they are told; what a page engine calls is written down. */
  function programs(files: Record<string, string>): string {
    const folder = mkdtempSync(join(dir, 'bin-'))
    for (const [name, body] of Object.entries(files)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    return folder
  }
  const TSV = [
    '5\t1\t1\t1\t1\t1\t0\t0\t0\t0\t90\tRead',
    '5\t1\t1\t1\t1\t2\t0\t0\t0\t0\t80\tby',
    '5\t1\t1\t1\t2\t1\t0\t0\t0\t0\t70\tnative',
  ]
  const TESSERACT = `if [ "$1" = --version ]; then echo 'tesseract 5.3.0'; else echo 'Estimating resolution as 300' >&2; printf '${TSV.join('\\n')}\\n'; fi`
  const PDFTOPPM = `if [ "$1" = -v ]; then echo 'pdftoppm version 22.12.0' >&2; else for last; do :; done; printf 'P5' > "$last.pgm"; fi`

  test('npm engines everywhere; the native one before them where its programs are', () => {
    const names = (env: NodeJS.ProcessEnv) => enginesFrom(env).map(({ name }) => name)
    expect(names({ PATH: '' })).toEqual(['fast', 'robust'])
    expect(nativeEngine({ PATH: '' }).why).toBe(
      'needs tesseract and pdftoppm or gs on PATH; enable: apt-get install tesseract-ocr poppler-utils',
    )
    const PATH = programs({ tesseract: TESSERACT, pdftoppm: PDFTOPPM })
    expect(names({ PATH })).toEqual(['native', 'fast', 'robust'])
    expect(enginesFrom({ PATH })[0]!.programs).toEqual([
      { name: 'tesseract', version: '5.3.0' },
      { name: 'pdftoppm', version: '22.12.0' },
    ])
    expect(names({ PATH, OCR_ENGINES: 'robust, native' })).toEqual(['robust', 'native'])
    expect(() => names({ PATH: '', OCR_ENGINES: 'native' })).toThrow('native needs tesseract')
    expect(() => names({ OCR_ENGINES: 'quick' })).toThrow('there is no engine "quick"')
    expect(npmEngines().map(({ programs }) => programs.map(({ version }) => version))).toEqual([
      ['1.17.1', '7.0.0'],
      ['2.1.13', '7.0.0'],
    ])
  })

  const native = (files: Record<string, string>) => {
    const PATH = programs(files)
    return nativeEngine({ PATH }).engine!
  }

  test('the native engine hands words and confidence on, and its noise is a note', async () => {
    const job = await converted(fourPages, [native({ tesseract: TESSERACT, pdftoppm: PDFTOPPM })])
    expect(job).toMatchObject({
      status: 'completed',
      result: { pages: [{ engine: 'native', confidence: 80 }, {}, {}, {}] },
    })
    expect(job.result.text.split('\f')[0]).toBe('Read by\nnative')
    // Pages are read side by side, so whose note is the first is chance.
    for (const page of [1, 2, 3, 4])
      expect(job.warnings).toContainEqual(
        expect.objectContaining({ code: 'resolution-guessed', step: `page-${page}/native/recognise` }),
      )
  })

  test('its crash is the crash of the engine; a page that it cannot draw goes to the next one', async () => {
    const engine = native({
      tesseract: TESSERACT,
      pdftoppm: `case "$2" in 2) echo 'broken stream' >&2; exit 1;; esac\n${PDFTOPPM}`,
    })
    const job = await converted(fourPages, [engine, robust!])
    expect(readers(job)).toEqual(['native', 'robust', 'native', 'native'])
    await jobs!.stop()
    const crashing = native({
      tesseract: TESSERACT,
      pdftoppm: `if [ "$1" = -v ]; then echo 22.12.0; else kill -SEGV $$; fi`,
    })
    jobs = await bench([convertHandlerWith([crashing]) as JobHandler<any, any>])
    const { app } = jobs
    const { id } = await app.submit(convertHandlerWith([]).definition, {
      pdf: await stored(app, fourPages, 'scan.pdf'),
    })
    await expect
      .poll(async () => (await app.engine.attempts(LOCAL, id))[0]?.error?.code, { timeout: 20_000 })
      .toBe('engine-crashed')
    expect((await app.engine.attempts(LOCAL, id))[0]).toMatchObject({
      verdict: 'transient',
      error: { message: expect.stringContaining('SIGSEGV') },
    })
    await app.engine.cancel(LOCAL, id, {})
  })

  test('Ghostscript that ends well and says that the page is not complete is not believed, in the words of its version', async () => {
    const gs = (version: string, words: string) => ({
      tesseract: TESSERACT,
      gs: `if [ "$1" = --version ]; then echo ${version}; else for arg; do case "$arg" in -sOutputFile=*) printf x > "\${arg#-sOutputFile=}";; esac; done; echo '${words}' >&2; fi`,
    })
    const old = '**** Error: File did not complete the page properly. Output may be incorrect.'
    expect(readers(await converted(onePage, [native(gs('9.50', old)), robust!]))).toEqual(['robust'])
    await jobs!.stop()
    expect(readers(await converted(onePage, [native(gs('10.02.1', old)), robust!]))).toEqual(['native'])
  })

  test('the real programs of this machine read a page', { timeout: 60_000 }, async (context) => {
    const { engine, why } = nativeEngine()
    if (!engine) return context.skip(why)
    const job = await converted(readFileSync(new URL('scans/clean.pdf', import.meta.url)), [engine])
    expect(job).toMatchObject({ status: 'completed' })
    for (const [index, page] of clean.entries())
      expect(characterErrorRate(page, job.result.text.split('\f')[index])).toBeLessThanOrEqual(0.03)
  })

  test('a table of words becomes lines and paragraphs', () => {
    const row = (block: number, paragraph: number, line: number, word: string) =>
      `5\t1\t${block}\t${paragraph}\t${line}\t1\t0\t0\t9\t9\t50\t${word}`
    const tsv = [
      'level\tpage_num',
      '1\t1\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t',
      row(1, 1, 1, 'a'),
      row(1, 1, 1, 'b'),
      row(1, 1, 2, 'c'),
      row(1, 2, 1, 'd'),
      row(2, 1, 1, 'e\tf'),
    ]
    expect(readTsv(`${tsv.join('\n')}\n`)).toEqual({ text: 'a b\nc\n\nd\n\ne\tf', confidence: 50 })
    expect(readTsv('')).toEqual({ text: '', confidence: 0 })
  })
})
