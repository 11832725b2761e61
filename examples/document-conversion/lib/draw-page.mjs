// The robust way from page to pixels: draws the whole page with PDFium, whatever it is made of, at the scan's own
// resolution, so that nothing is blurred. It must never be asked to hurry: it is what is left when the fast way refuses.
import { EXIT, Failure, warn } from './child.mjs'
import { checkPage, LOWEST_DPI, MOST_PIXELS, openWithPdfium, readPdf, WORKING_DPI } from './pdf.mjs'

/** @param {string} path @param {number} number @returns {Promise<import('./pdf.mjs').PagePicture>} */
export async function drawPage(path, number) {
  const document = await openWithPdfium(readPdf(path))
  checkPage(number, document.getPageCount())
  const page = document.getPage(number - 1)
  const scanDpi = await resolutionOf(page)
  let dpi = WORKING_DPI
  if (scanDpi && scanDpi < LOWEST_DPI) warn(`low resolution (${scanDpi} dpi), enlarged to ${dpi} dpi`)
  else if (scanDpi) dpi = Math.min(scanDpi, 600)
  const { originalWidth, originalHeight } = page.getOriginalSize()
  if (((originalWidth * dpi) / 72) * ((originalHeight * dpi) / 72) > MOST_PIXELS) {
    throw new Failure(EXIT.cannotTakeApart, `cannot draw this page: too large at ${dpi} dpi`)
  }
  const { width, height, data } = await page.render({ scale: dpi / 72, render: 'bitmap', colorSpace: 'Gray' })
  return { bitmap: { width, height, data }, dpi, scanDpi }
}

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
