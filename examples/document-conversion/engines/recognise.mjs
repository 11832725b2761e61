// `node recognise.mjs <page.png> [dpi]`: the text of one page picture, with Tesseract and the English data of the npm
// packages. A grainy picture is smoothed and a leaning one straightened first. It must never use the network, and it
// writes no file.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { decodeImage, grain, measureSkew, median, rotate, whiten } from '../lib/bitmap.mjs'
import { EXIT, Failure, parameters, readInput, run, warn, wholeNumber } from '../lib/child.mjs'
import { WORKING_DPI } from '../lib/pdf.mjs'

const require = createRequire(import.meta.url)
/** @type {typeof import('tesseract.js')} */
const { createWorker, OEM } = require('tesseract.js')

await run(async () => {
  const [path, wanted] = parameters('recognise.mjs <page.png> [dpi]', 1, 2)
  const dpi = wanted === undefined ? WORKING_DPI : wholeNumber(wanted, 'the dpi', 50, 1200)
  const bytes = readInput(path)
  const starting = start()
  const read = await decodeImage(bytes).catch((error) => error)
  if (read instanceof Error) throw new Failure(EXIT.notAnImage, `not an image: ${read.message}`)
  const denoised = grain(read) >= 5
  const smooth = denoised ? whiten(median(read)) : read
  const skewDegrees = measureSkew(smooth)
  const straight = Math.abs(skewDegrees) >= 0.3 ? rotate(smooth, -skewDegrees) : smooth
  const worker = await starting
  await worker.setParameters({ user_defined_dpi: String(dpi), tessedit_do_invert: '0' })
  const { width, height, data } = straight
  const picture = Buffer.concat([Buffer.from(`P5\n${width} ${height}\n255\n`), data])
  const { data: page } = await worker.recognize(picture)
  const text = page.text.replace(/[ \t]+$/gm, '').trim()
  if (!text) warn('no text found on the page')
  return { text, confidence: page.confidence, skewDegrees, denoised }
})

/** Everything comes from node_modules: the worker, its core and the language data. */
function start() {
  const langPath = join(dirname(require.resolve('@tesseract.js-data/eng/package.json')), '4.0.0_best_int')
  return new Promise((resolve, fail) => {
    const errorHandler = (/** @type {unknown} */ error) => fail(new Error(`Tesseract: ${error}`))
    createWorker('eng', OEM.LSTM_ONLY, { langPath, gzip: true, cacheMethod: 'none', errorHandler }).then(resolve, fail)
  })
}
