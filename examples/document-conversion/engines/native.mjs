// `node native.mjs <file.pdf> <page>`: the text of one page, read by the Tesseract of the operating system from what poppler or
// Ghostscript draws. They run in this program's process group and folder, so they end with it and leave nothing behind.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXIT, Failure, parameters, run, say, warn, wholeNumber } from '../lib/child.mjs'
import { readPdf } from '../lib/pdf.mjs'
import { readTsv } from '../lib/tsv.mjs'

const DPI = 300
const { OCR_TESSERACT: tesseract = 'tesseract', OCR_RENDERER: renderer = 'pdftoppm' } = process.env

await run(async () => {
  const [path, number] = parameters('native.mjs <file.pdf> <page>', 2, 2)
  const page = wholeNumber(number, 'the page', 1, 1_000_000)
  readPdf(path)
  const folder = mkdtempSync(join(tmpdir(), 'page-'))
  try {
    const tsv = call(tesseract, [draw(path, page, folder), 'stdout', '-l', 'eng', '--dpi', String(DPI), 'tsv'])
    const { text, confidence } = readTsv(tsv)
    if (!text) warn('no text found on the page')
    return { engine: 'native', page, text, confidence }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** @param {string} path @param {number} page @param {string} folder @returns {string} the picture */
function draw(path, page, folder) {
  if (renderer.endsWith('gs')) {
    const picture = join(folder, 'page.png')
    const pages = [`-dFirstPage=${page}`, `-dLastPage=${page}`]
    call(renderer, [
      '-q',
      '-dSAFER',
      '-dBATCH',
      '-dNOPAUSE',
      '-sDEVICE=pnggray',
      `-r${DPI}`,
      ...pages,
      `-sOutputFile=${picture}`,
      path,
    ])
    return picture
  }
  call(renderer, [
    '-f',
    String(page),
    '-l',
    String(page),
    '-r',
    String(DPI),
    '-gray',
    '-singlefile',
    path,
    join(folder, 'page'),
  ])
  return join(folder, 'page.pgm')
}

/** @param {string} command @param {string[]} args @returns {string} */
function call(command, args) {
  const { stdout, stderr, status, signal, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 })
  if (error) throw new Failure(EXIT.cannotTakeApart, `cannot take this page: ${error.message}`)
  // Its words are for the table of quirks, also when it ended well.
  for (const line of stderr.split('\n').filter(Boolean)) say(line)
  // As a shell would: the death of a native program is the death of the engine.
  if (signal) process.exit(128 + constants.signals[signal])
  if (/Incorrect password|requires a password/i.test(stderr))
    throw new Failure(EXIT.passwordRequired, 'password required')
  if (/Wrong page range|No pages will be processed/i.test(stderr)) throw new Failure(EXIT.noSuchPage, 'no such page')
  if (status !== 0)
    throw new Failure(EXIT.cannotTakeApart, `cannot take this page: ${command.split('/').at(-1)} ended with ${status}`)
  return stdout
}
