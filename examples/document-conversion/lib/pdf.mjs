// Opening a PDF for the child programs, with one clear message for each way it can go wrong. It must never say
// `not a PDF` of a file that only another engine might still read.
import { PDFiumLibrary } from '@hyzyla/pdfium'
import { EXIT, Failure, readInput } from './child.mjs'

/**
 * A page as pixels.
 * @typedef {object} PagePicture
 * @property {import('./bitmap.mjs').Bitmap} bitmap
 * @property {number} dpi of the bitmap
 * @property {number | null} scanDpi of the scan in the file; null when the page is more than a scan
 */

/** Below this a scan is enlarged to `WORKING_DPI` (and a warning given); above it the scan's own pixels are kept. */
export const LOWEST_DPI = 150
export const WORKING_DPI = 300
/** A page of more pixels is refused rather than let the child eat the machine's memory. */
export const MOST_PIXELS = 100_000_000

/** @param {string} path @returns {Buffer} */
export function readPdf(path) {
  const bytes = readInput(path)
  if (!bytes.subarray(0, 1024).includes('%PDF-')) throw new Failure(EXIT.notAPdf, 'not a PDF')
  return bytes
}

/** @param {Buffer} bytes */
export async function openWithPdfium(bytes) {
  const library = await PDFiumLibrary.init()
  try {
    return await library.loadDocument(bytes)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (/password/i.test(message)) throw new Failure(EXIT.passwordRequired, 'password required')
    if (/security scheme/i.test(message)) throw new Failure(EXIT.passwordRequired, 'password required (unknown scheme)')
    if (/format|corrupted/i.test(message))
      throw new Failure(EXIT.notAPdf, 'damaged PDF: no document could be found in it')
    throw error
  }
}

/** @param {number} page @param {number} count */
export function checkPage(page, count) {
  if (page > count) throw new Failure(EXIT.noSuchPage, `no such page: ${page} of ${count}`)
}
