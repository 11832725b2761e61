// The engines by themselves: real child programs, real scans, real recognition. Pages of random words are drawn at run
// time, so nothing here can be learned by heart; the limits are those of the example (3 % clean, 10 % skewed and noisy).
import { spawn } from 'node:child_process'
import { createHash, randomInt, randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PDFiumLibrary } from '@hyzyla/pdfium'
import { degrees, PDFDocument } from 'pdf-lib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { characterErrorRate } from './lib/cer.mjs'
import { makeScan, random, type ScanOptions, samples } from './scans/make-scans.mjs'
import { drawSentences } from './scans/texts.mjs'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const sample = (name: string) => here(`scans/${name}.pdf`)
const NO_NETWORK =
  '--import=data:text/javascript,' +
  encodeURIComponent(
    `import net from 'node:net'
     const no = () => { throw new Error('the network was used') }
     globalThis.fetch = no
     net.Socket.prototype.connect = no`,
  )

interface Outcome {
  code: number | null
  result?: any
  warnings: string[]
  stderr: string
  stdout: string
}

let work = ''
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'untildone-engines-'))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Runs a program as the supervisor does: nonce in the environment, result on fd 3. None may leave a file behind. */
async function child(args: string[]): Promise<Outcome> {
  const nonce = randomUUID()
  const cwd = mkdtempSync(join(work, 'cwd-'))
  const started = spawn(process.execPath, [NO_NETWORK, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    cwd,
    env: { ...process.env, TMPDIR: cwd, UNTILDONE_NONCE: nonce },
  })
  const read = async (fd: 1 | 2 | 3) => {
    const chunks: Buffer[] = []
    for await (const chunk of started.stdio[fd] as NodeJS.ReadableStream) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks)
  }
  const ended = new Promise<number | null>((resolve) => started.on('close', resolve))
  const [stdout, stderr, envelope, code] = await Promise.all([read(1), read(2), read(3), ended])
  expect(readdirSync(cwd), `left behind by ${args.join(' ')}`).toEqual([])
  const lines = stderr.toString().split('\n').filter(Boolean)
  return {
    code,
    result: envelope.length ? opened(envelope, nonce) : undefined,
    warnings: lines.filter((line) => line.startsWith('warning: ')),
    stderr: lines.filter((line) => !line.startsWith('warning: ')).join('\n'),
    stdout: stdout.toString(),
  }
}

function opened(envelope: Buffer, nonce: string): unknown {
  const end = envelope.indexOf('\n')
  const body = envelope.subarray(end + 1)
  const sha256 = createHash('sha256').update(body).digest('hex')
  expect(JSON.parse(envelope.subarray(0, end).toString())).toEqual({ untildone: 1, nonce, bytes: body.length, sha256 })
  return JSON.parse(body.toString())
}

const engine = (name: string, ...args: (string | number)[]) => child([here(`engines/${name}.mjs`), ...args.map(String)])

/** One page, by the fast engine first and by the robust one if the fast one refuses. */
async function convert(file: string, page: number, first: 'fast' | 'robust' = 'fast') {
  let read = await engine(first, file, page)
  const refused = read.code === 6 ? read.stderr : undefined
  if (refused) read = await engine('robust', file, page)
  expect(read, read.stderr).toMatchObject({ code: 0, stderr: '', stdout: '', result: { page } })
  return { text: read.result.text as string, by: read.result.engine as string, refused, warnings: read.warnings }
}

/** These pages, two at a time, in the order in which they are asked for. */
async function convertAll(file: string, numbers: number[]) {
  const pages: Awaited<ReturnType<typeof convert>>[] = []
  let next = 0
  const lane = async () => {
    while (next < numbers.length) {
      const index = next++
      pages[index] = await convert(file, numbers[index]!)
    }
  }
  await Promise.all([lane(), lane()])
  return pages
}

async function textLayer(bytes: Uint8Array) {
  const library = await PDFiumLibrary.init()
  const document = await library.loadDocument(bytes)
  const text = [...document.pages()].map((page) => page.getText()).join('')
  document.destroy()
  library.destroy()
  return text
}

function expectInOrder(expected: string[], got: string[], limit: number, note = '') {
  expect(got).toHaveLength(expected.length)
  for (const [index, page] of expected.entries()) {
    expect(characterErrorRate(page, got[index]!), `page ${index + 1} ${note}\n${got[index]}`).toBeLessThanOrEqual(limit)
  }
}

describe('a page drawn at run time', () => {
  const cases: [string, number, (chance: () => number) => Partial<ScanOptions>][] = [
    ['clean', 0.03, () => ({ dpi: 300 })],
    ['skewed and noisy', 0.1, (chance) => ({ dpi: 200, skewDegrees: 2 + chance(), noise: 0.6, quality: 40 })],
  ]
  for (const [name, limit, look] of cases) {
    test(`${name}: both engines read the words`, { timeout: 60_000 }, async () => {
      const seed = randomInt(2 ** 31)
      const chance = random(seed)
      const pages = [drawSentences(40, chance)]
      const bytes = await makeScan({ pages, seed, ...look(chance) })
      expect(await textLayer(bytes)).toBe('')
      const file = join(work, `${name}.pdf`)
      writeFileSync(file, bytes)
      const { result } = await engine('inspect', file)
      expect(result).toMatchObject({ pageCount: 1, textLayer: false, encrypted: false })
      const [fast, robust] = await Promise.all([convert(file, 1), convert(file, 1, 'robust')])
      expect([fast.by, robust.by]).toEqual(['fast', 'robust'])
      for (const { text, by } of [fast, robust]) expectInOrder(pages, [text], limit, `(${by}, seed ${seed})`)
    })
  }
})

/**
 * The short form reads each kind of page once: a clean photograph, one that leans to the left (those drawn at run time lean
 * to the right), two-coloured, gray, in strips, coarse. The letters are read from end to end by the tests of the job and
 * of the demo. `npm run scans` reads every page.
 */
const SHORT: Record<string, number[]> = {
  clean: [1],
  'skewed-noisy': [2],
  'many-pages': [1],
  'two-strips': [1, 2],
  'low-resolution': [1],
  letters: [],
}
const everyPage = process.env.SCANS === 'every page'

describe(`the committed scans, ${everyPage ? 'every page' : 'each kind of page once (short form)'}`, () => {
  const limits: Record<string, number> = { 'skewed-noisy': 0.1 }
  for (const [name, { pages, strips = [], dpi }] of Object.entries(samples())) {
    test(`${name} gives its expected text`, { timeout: 60_000 }, async () => {
      const expected = readFileSync(here(`scans/${name}.expected.txt`), 'utf8').split('\f')
      expect(expected.map((page) => page.trim())).toEqual(pages)
      expect(await textLayer(readFileSync(sample(name)))).toBe('')
      const numbers = everyPage ? pages.map((_, index) => index + 1) : SHORT[name]!
      const got = await convertAll(sample(name), numbers)
      expectInOrder(
        numbers.map((page) => expected[page - 1]!),
        got.map((page) => page.text),
        limits[name] ?? 0.03,
      )
      for (const [index, page] of got.entries()) {
        const at = numbers[index]! - 1
        const scanDpi = Array.isArray(dpi) ? dpi[at]! : dpi!
        const coarse = `warning: low resolution (${scanDpi} dpi), enlarged to 300 dpi`
        expect(page.warnings).toEqual(scanDpi < 150 ? [coarse] : [])
        const refused = `cannot take this page apart: it holds ${strips[at]} pictures, not one`
        expect(page.refused).toBe((strips[at] ?? 1) > 1 ? refused : undefined)
      }
    })
  }
})

describe('what the engines refuse', () => {
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(work, name), content)
    return join(work, name)
  }

  test('a locked file, whose password does open it', async () => {
    for (const args of [['inspect'], ['robust', 1]] as const) {
      const [name, ...rest] = args
      expect(await engine(name, sample('password'), ...rest)).toMatchObject({ code: 5, stderr: 'password required' })
    }
    const fast = await engine('fast', sample('password'), 1)
    expect(fast).toMatchObject({ code: 6, stderr: 'cannot take this page apart: the file is encrypted' })
    const library = await PDFiumLibrary.init()
    const document = await library.loadDocument(readFileSync(sample('password')), 'open sesame')
    expect(document.getPageCount()).toBe(1)
    document.destroy()
    library.destroy()
  })

  test('what is not a PDF, or no longer one', async () => {
    for (const args of [['inspect'], ['fast', 1], ['robust', 1]] as const) {
      const [name, ...rest] = args
      expect(await engine(name, sample('not-a-pdf'), ...rest)).toMatchObject({ code: 4, stderr: 'not a PDF' })
    }
    const damaged = file('damaged.pdf', '%PDF-1.7\nand then nothing that makes sense')
    const { code, stderr } = await engine('inspect', damaged)
    expect({ code, stderr }).toEqual({ code: 4, stderr: 'damaged PDF: no document could be found in it' })
    expect(await engine('inspect', join(work, 'nowhere.pdf'))).toMatchObject({ code: 3 })
  })

  test('pages that are no single picture, which the robust engine draws', async () => {
    const scan = await makeScan({ pages: ['Turned'], dpi: 150, format: 'gray' })
    const turned = await PDFDocument.load(scan)
    turned.getPage(0).setRotation(degrees(90))
    const inline = await PDFDocument.create()
    const page = inline.addPage([100, 100])
    const drawing = 'q 100 0 0 100 0 0 cm\nBI /W 2 /H 2 /CS /G /BPC 8 /F /AHx ID\n00ff00ff>\nEI Q'
    page.node.addContentStream(inline.context.register(inline.context.stream(drawing)))
    const text = await PDFDocument.create()
    text.addPage([400, 120]).drawText('Typed and never scanned', { x: 30, y: 50 })
    const cases: [string, PDFDocument, string][] = [
      ['turned.pdf', turned, 'it is turned'],
      ['inline.pdf', inline, 'it holds an inline picture'],
      ['text.pdf', text, 'it draws more than pictures ("BT")'],
    ]
    for (const [name, document, why] of cases) {
      const path = file(name, await document.save())
      const fast = await engine('fast', path, 1)
      expect(fast).toMatchObject({ code: 6, stderr: `cannot take this page apart: ${why}`, result: undefined })
      const robust = await engine('robust', path, 1)
      expect(robust).toMatchObject({ code: 0, stderr: '', result: { engine: 'robust' } })
      if (name === 'text.pdf') expect(robust.result.text).toBe('Typed and never scanned')
    }
    expect((await engine('inspect', join(work, 'text.pdf'))).result).toMatchObject({ textLayer: true })
  })

  test('a page that is not there, arguments that are wrong', async () => {
    for (const name of ['fast', 'robust']) {
      const { code, stderr } = await engine(name, sample('clean'), 3)
      expect({ code, stderr }).toEqual({ code: 7, stderr: 'no such page: 3 of 2' })
      expect(await engine(name, sample('clean'), 0)).toMatchObject({ code: 2 })
      expect(await engine(name)).toMatchObject({ code: 2, stderr: `usage: ${name}.mjs <file.pdf> <page>` })
    }
  })

  test('an empty page is no error, and specks on a nearly empty one are no text', async () => {
    const empty = file('empty.pdf', await makeScan({ pages: [''], dpi: 150 }))
    const read = await engine('fast', empty, 1)
    expect(read).toMatchObject({ code: 0, result: { text: '' }, warnings: ['warning: no text found on the page'] })
    const scan = await makeScan({ pages: ['Turned'], dpi: 200, skewDegrees: 2.5, noise: 0.6 })
    expect((await convert(file('sparse.pdf', scan), 1)).text).toContain('Turned')
  })
})

describe('the result channel', () => {
  test('a result larger than a pipe arrives whole; a person gets it on stdout', async () => {
    const program = `import { run } from ${JSON.stringify(new URL('lib/child.mjs', import.meta.url).href)}
      await run(async () => ({ text: 'é'.repeat(2_000_000) }))`
    const { code, result } = await child(['--input-type=module', '-e', program])
    expect(code).toBe(0)
    expect(result.text).toBe('é'.repeat(2_000_000))
    const env = { ...process.env }
    delete env.UNTILDONE_NONCE
    const started = spawn(process.execPath, [here('engines/inspect.mjs'), sample('clean')], { env })
    let stdout = ''
    for await (const chunk of started.stdout) stdout += chunk
    expect(JSON.parse(stdout)).toMatchObject({ pageCount: 2 })
  })

  test('the children of this file cannot reach the network', async () => {
    const { code, stderr } = await child(['--input-type=module', '-e', 'await fetch("http://127.0.0.1:9")'])
    expect(code).toBe(1)
    expect(stderr).toContain('the network was used')
  })
})
