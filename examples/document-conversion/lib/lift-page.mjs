// The fast way from page to pixels: lifts the scan's own picture out of the page, pixel for pixel, without drawing
// anything. It takes only a page that is one plain full-page picture and must never guess at any other: it says
// `cannot take this page apart: …` and leaves the page to the robust engine.
import { createRequire } from 'node:module'
import { inflateSync } from 'node:zlib'
import { blank, decodeImage, fromRgba, scale } from './bitmap.mjs'
import { EXIT, Failure, warn } from './child.mjs'
import { checkPage, LOWEST_DPI, MOST_PIXELS, readPdf, WORKING_DPI } from './pdf.mjs'

// The one-file build of pdf-lib loads ten times as fast as its modules.
const { decodePDFRawStream, PDFArray, PDFDict, PDFDocument, PDFName, PDFNumber, PDFRawStream } =
  /** @type {typeof import('pdf-lib')} */ (createRequire(import.meta.url)('pdf-lib/dist/pdf-lib.min.js'))

/** @param {string} path @param {number} number @returns {Promise<import('./pdf.mjs').PagePicture>} */
export async function liftPage(path, number) {
  const page = await takePage(readPdf(path), number)
  const box = plainBox(page)
  const { name, matrix } = onlyPicture(contentOf(page), box)
  const image = page.node.Resources()?.lookup(PDFName.of('XObject'), PDFDict).lookup(PDFName.of(name))
  if (!(image instanceof PDFRawStream)) reject(`its picture "${name}" is missing`)
  const bitmap = await decode(image)
  const dpi = (bitmap.width * 72) / matrix[0]
  const dpiDown = (bitmap.height * 72) / matrix[3]
  if (Math.abs(dpi - dpiDown) > dpi * 0.03) reject('its picture is stretched')
  const scanDpi = Math.round(dpi)
  if (dpi >= LOWEST_DPI) return { bitmap, dpi: scanDpi, scanDpi }
  warn(`low resolution (${scanDpi} dpi), enlarged to ${WORKING_DPI} dpi`)
  return { bitmap: scale(bitmap, WORKING_DPI / dpi), dpi: WORKING_DPI, scanDpi }
}

/** @param {string} why @returns {never} */
function reject(why) {
  throw new Failure(EXIT.cannotTakeApart, `cannot take this page apart: ${why}`)
}

/** @param {Buffer} bytes @param {number} number */
async function takePage(bytes, number) {
  let document
  try {
    document = await PDFDocument.load(bytes, { updateMetadata: false, ignoreEncryption: true })
  } catch (error) {
    reject(`the file is built in an unusual way (${/** @type {Error} */ (error).message})`)
  }
  if (document.isEncrypted) reject('the file is encrypted')
  checkPage(number, document.getPageCount())
  return document.getPage(number - 1)
}

/** @param {import('pdf-lib').PDFPage} page */
function plainBox(page) {
  if (page.getRotation().angle % 360 !== 0) reject('it is turned')
  if (page.node.Annots()?.size()) reject('it has annotations')
  const box = page.getMediaBox()
  const crop = page.getCropBox()
  for (const side of /** @type {const} */ (['x', 'y', 'width', 'height'])) {
    if (Math.abs(box[side] - crop[side]) > 0.5) reject('it is cropped')
  }
  return box
}

/** @param {import('pdf-lib').PDFPage} page @returns {string} the drawing program of the page */
function contentOf(page) {
  const contents = page.node.Contents()
  if (!contents) reject('it is empty')
  const streams =
    contents instanceof PDFArray ? contents.asArray().map((part) => page.doc.context.lookup(part)) : [contents]
  return streams
    .map((stream) => {
      if (!(stream instanceof PDFRawStream)) reject('a part of its content is missing')
      return Buffer.from(decodePDFRawStream(stream).decode()).toString('latin1')
    })
    .join('\n')
}

/**
 * Follows the drawing program; anything but placing one picture upright over the whole page is refused.
 * @param {string} content @param {{ x: number, y: number, width: number, height: number }} box
 */
function onlyPicture(content, box) {
  let matrix = [1, 0, 0, 1, 0, 0]
  /** @type {number[][]} */
  const kept = []
  /** @type {string[]} */
  let operands = []
  /** @type {{ name: string, matrix: number[] }[]} */
  const drawn = []
  for (const token of content.replace(/%[^\r\n]*/g, '').split(/[\s\0]+/)) {
    if (!token) continue
    if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(token) || token.startsWith('/')) {
      operands.push(token)
      continue
    }
    if (token === 'q') kept.push(matrix)
    else if (token === 'Q') matrix = kept.pop() ?? reject('its drawing program is not balanced')
    else if (token === 'cm') {
      const m = operands.map(Number)
      if (m.length !== 6 || m.some(Number.isNaN)) reject('its drawing program has a bad matrix')
      matrix = multiply(m, matrix)
    } else if (token === 'Do') drawn.push({ name: decodeURIComponent(operands[0].slice(1).replace(/#/g, '%')), matrix })
    else if (token === 'BI') reject('it holds an inline picture')
    else reject(`it draws more than pictures ("${token.slice(0, 12)}")`)
    operands = []
  }
  if (drawn.length !== 1) reject(`it holds ${drawn.length} pictures, not one`)
  const [a, b, c, d, e, f] = drawn[0].matrix
  if (Math.abs(b) > 0.01 || Math.abs(c) > 0.01 || a <= 0 || d <= 0) reject('its picture is turned or mirrored')
  const slack = Math.max(2, box.width * 0.01)
  const covers =
    Math.abs(e - box.x) < slack &&
    Math.abs(f - box.y) < slack &&
    Math.abs(e + a - box.x - box.width) < slack &&
    Math.abs(f + d - box.y - box.height) < slack
  if (!covers) reject('its picture does not cover the page')
  return drawn[0]
}

/** @param {number[]} m @param {number[]} n */
function multiply([a, b, c, d, e, f], [p, q, r, s, t, u]) {
  return [a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u]
}

/** @param {import('pdf-lib').PDFRawStream} image */
async function decode({ dict, contents }) {
  const get = (/** @type {string} */ key) => dict.lookup(PDFName.of(key))
  const nameOf = (/** @type {unknown} */ value) => (value instanceof PDFName ? value.decodeText() : undefined)
  const numberOf = (/** @type {unknown} */ value) => (value instanceof PDFNumber ? value.asNumber() : 0)
  if (nameOf(get('Subtype')) !== 'Image') reject('it draws a form')
  for (const key of ['ImageMask', 'Mask', 'SMask', 'Decode']) if (get(key)) reject(`its picture has /${key}`)
  const width = numberOf(get('Width'))
  const height = numberOf(get('Height'))
  const bits = numberOf(get('BitsPerComponent'))
  if (width < 1 || height < 1 || width * height > MOST_PIXELS) reject(`its picture measures ${width} x ${height}`)
  const packing = get('Filter')
  const filters = packing instanceof PDFArray ? packing.asArray().map(nameOf) : [nameOf(packing)]
  let space = nameOf(get('ColorSpace'))
  const profile = get('ColorSpace')
  if (profile instanceof PDFArray && nameOf(profile.lookup(0)) === 'ICCBased') {
    const stream = profile.lookup(1)
    const components = stream instanceof PDFRawStream ? numberOf(stream.dict.lookup(PDFName.of('N'))) : 0
    space = { 1: 'DeviceGray', 3: 'DeviceRGB' }[components]
    if (space) warn('colour profile ignored')
  }
  if (space !== 'DeviceGray' && space !== 'DeviceRGB') reject('the colours of its picture are unusual')
  if (filters.length === 1 && filters[0] === 'DCTDecode') {
    const bitmap = await decodeImage(contents).catch((error) => reject(`its picture cannot be read (${error.message})`))
    if (bitmap.width !== width || bitmap.height !== height) reject('its picture is not of the size it says')
    return bitmap
  }
  if (filters.length !== 1 || filters[0] !== 'FlateDecode' || get('DecodeParms')) {
    reject(`its picture is packed in an unusual way (${filters.join(', ') || 'no filter'})`)
  }
  const components = space === 'DeviceRGB' ? 3 : 1
  if (bits !== 8 && !(bits === 1 && components === 1)) reject(`its picture has ${bits} bits to a colour`)
  const stride = Math.ceil((width * components * bits) / 8)
  let rows
  try {
    rows = inflateSync(contents, { maxOutputLength: stride * height + 64 })
  } catch (error) {
    reject(`its picture cannot be unpacked (${/** @type {Error} */ (error).message})`)
  }
  if (rows.length < stride * height) reject('its picture is cut short')
  const bitmap = blank(width, height)
  if (bits === 1) {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (!(rows[y * stride + (x >> 3)] & (0x80 >> (x & 7)))) bitmap.data[y * width + x] = 0
      }
    }
  } else if (components === 1) bitmap.data.set(rows.subarray(0, width * height))
  else {
    const rgba = new Uint8Array(width * height * 4)
    for (let i = 0, p = 0; p < rgba.length; i += 3, p += 4) rgba.set([rows[i], rows[i + 1], rows[i + 2], 255], p)
    return fromRgba(rgba, width, height)
  }
  return bitmap
}
