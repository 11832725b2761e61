// From the pixels of a page to its text, with Tesseract and the English data of the npm packages. A grainy picture is
// smoothed and a leaning one straightened first. It must never use the network, and it writes no file.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { grain, measureSkew, median, rotate, whiten } from './bitmap.mjs'
import { warn } from './child.mjs'

const require = createRequire(import.meta.url)
/** @type {typeof import('tesseract.js')} */
const { createWorker, OEM } = require('tesseract.js')

/** @param {import('./bitmap.mjs').Bitmap} bitmap @param {number} dpi */
export async function recognise(bitmap, dpi) {
  const starting = start()
  // Its failure is for the `await` below; until then it must not end the program.
  starting.catch(() => {})
  const denoised = grain(bitmap) >= 5
  const smooth = denoised ? whiten(median(bitmap)) : bitmap
  const skewDegrees = measureSkew(smooth)
  const { width, height, data } = Math.abs(skewDegrees) >= 0.3 ? rotate(smooth, -skewDegrees) : smooth
  const worker = await starting
  await worker.setParameters({ user_defined_dpi: String(dpi), tessedit_do_invert: '0' })
  const picture = Buffer.concat([Buffer.from(`P5\n${width} ${height}\n255\n`), data])
  const { data: page } = await worker.recognize(picture)
  // A form feed stands between pages, so it must not stand in one.
  const text = page.text
    .replace(/\f/g, '')
    .replace(/[ \t]+$/gm, '')
    .trim()
  if (!text) warn('no text found on the page')
  return { text, confidence: page.confidence, skewDegrees, denoised }
}

/** Everything comes from node_modules: the worker, its core and the language data. */
function start() {
  const langPath = join(dirname(require.resolve('@tesseract.js-data/eng/package.json')), '4.0.0_best_int')
  return new Promise((resolve, fail) => {
    const errorHandler = (/** @type {unknown} */ error) => fail(new Error(`Tesseract: ${error}`))
    createWorker('eng', OEM.LSTM_ONLY, { langPath, gzip: true, cacheMethod: 'none', errorHandler }).then(resolve, fail)
  })
}
