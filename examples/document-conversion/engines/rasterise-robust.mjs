// `node rasterise-robust.mjs <file.pdf> <page> <out.png> [dpi]`: draws the whole page with PDFium, whatever it is made
// of. Without a dpi it keeps the scan's own, so that nothing is blurred. It must never be asked to hurry: it is the
// engine that is left when the fast one refuses.
import { encodePng } from '../lib/bitmap.mjs'
import { EXIT, Failure, parameters, run, warn, wholeNumber, writeOutput } from '../lib/child.mjs'
import { checkPage, LOWEST_DPI, MOST_PIXELS, openWithPdfium, readPdf, WORKING_DPI } from '../lib/pdf.mjs'

await run(async () => {
  const [path, number, out, wanted] = parameters('rasterise-robust.mjs <file.pdf> <page> <out.png> [dpi]', 3, 4)
  const pageNumber = wholeNumber(number, 'the page', 1, 1_000_000)
  const document = await openWithPdfium(readPdf(path))
  checkPage(pageNumber, document.getPageCount())
  const page = document.getPage(pageNumber - 1)
  const scanDpi = await resolutionOf(page)
  let dpi = wanted === undefined ? WORKING_DPI : wholeNumber(wanted, 'the dpi', 50, 1200)
  if (scanDpi && scanDpi < LOWEST_DPI) warn(`low resolution (${scanDpi} dpi), enlarged to ${dpi} dpi`)
  else if (scanDpi && wanted === undefined) dpi = Math.min(scanDpi, 600)
  const { originalWidth, originalHeight } = page.getOriginalSize()
  if (((originalWidth * dpi) / 72) * ((originalHeight * dpi) / 72) > MOST_PIXELS) {
    throw new Failure(EXIT.cannotTakeApart, `cannot draw this page: too large at ${dpi} dpi`)
  }
  const { width, height, data } = await page.render({ scale: dpi / 72, render: 'bitmap', colorSpace: 'Gray' })
  writeOutput(out, encodePng({ width, height, data }, { dpi }))
  return { engine: 'robust', page: pageNumber, image: out, width, height, dpi, scanDpi }
})

/**
 * The resolution of a page made of nothing but pictures, in however many parts; null for any other page.
 * @param {import('@hyzyla/pdfium').PDFiumPage} page
 */
async function resolutionOf(page) {
  const { originalWidth, originalHeight } = page.getOriginalSize()
  let pixels = 0
  for (const object of page.objects()) {
    if (object.type !== 'image') return null
    const { width, height } = await object.getImageDataRaw()
    pixels += width * height
  }
  return pixels ? Math.round(72 * Math.sqrt(pixels / (originalWidth * originalHeight))) : null
}
