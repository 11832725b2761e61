// Makes the sample scans and their expected text: `node make-scans.mjs`. Text is drawn with a standard PDF font,
// rendered to pixels, spoiled with a seeded generator and put into an image-only PDF, so no system font is needed and
// the same arguments give the same pages. A page made here must never hold a text layer.
import { createHash } from 'node:crypto'
import { realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { deflateSync } from 'node:zlib'
import { PDFiumLibrary } from '@hyzyla/pdfium'
import { createCanvas } from '@napi-rs/canvas'
import { PDFDocument, PDFHexString, PDFRawStream, PDFString, rgb, StandardFonts } from 'pdf-lib'
import { rotate } from '../lib/bitmap.mjs'
import * as texts from './texts.mjs'

/** @typedef {import('../lib/bitmap.mjs').Bitmap} Bitmap */
/**
 * @typedef {object} ScanOptions
 * @property {string[]} pages the text of each page; long lines are broken
 * @property {number | number[]} [dpi] pixels to the inch, of all pages or of each
 * @property {number} [skewDegrees] pages lean by this much, to the right and to the left in turn
 * @property {number} [noise] 0 (none) to 1 (a bad copy of a copy): grain, specks, uneven light
 * @property {number} [seed]
 * @property {'jpeg' | 'gray' | 'bilevel'} [format] how the picture is kept in the PDF
 * @property {number} [quality] of the JPEG, 1 to 100
 * @property {number[]} [strips] for each page, of how many pictures, one below the other, it is made up; 1 unless told
 * @property {number} [fontSize] in points
 * @property {'Helvetica' | 'TimesRoman'} [font]
 * @property {[number, number]} [pageSize] in points; A5 unless told
 */

const A5 = /** @type {[number, number]} */ ([420, 595])

/** A small seeded generator (mulberry32). @param {number} seed */
export function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** @param {ScanOptions} options @returns {Promise<Uint8Array>} an image-only PDF */
export async function makeScan(options) {
  return (await scanDocument(options)).save({ useObjectStreams: false })
}

/** @param {ScanOptions} options */
async function scanDocument({
  pages,
  dpi = 300,
  skewDegrees = 0,
  noise = 0,
  seed = 1,
  format = 'jpeg',
  quality = 60,
  strips = [],
  fontSize = 12,
  font = 'Helvetica',
  pageSize = A5,
}) {
  const next = random(seed)
  const document = await PDFDocument.create({ updateMetadata: false })
  document.setTitle('A scanned document')
  document.setProducer('make-scans.mjs')
  const dpis = pages.map((_, index) => (Array.isArray(dpi) ? dpi[index] : dpi))
  for (const [index, bitmap] of (await render(pages, { dpis, fontSize, font, pageSize })).entries()) {
    const turned = skewDegrees ? rotate(bitmap, index % 2 ? -skewDegrees : skewDegrees) : bitmap
    if (noise) spoil(turned, noise, dpis[index], next)
    const page = document.addPage(pageSize)
    const parts = strips[index] ?? 1
    let top = 0
    for (let strip = 1; strip <= parts; strip += 1) {
      const bottom = Math.round((turned.height * strip) / parts)
      const part = {
        width: turned.width,
        height: bottom - top,
        data: turned.data.subarray(top * turned.width, bottom * turned.width),
      }
      const height = (pageSize[1] * part.height) / turned.height
      const y = pageSize[1] * (1 - bottom / turned.height)
      await place(document, page, part, { x: 0, y, width: pageSize[0], height }, format, quality)
      top = bottom
    }
  }
  return document
}

/**
 * Draws the text and turns it into pixels.
 * @param {string[]} pages
 * @param {{ dpis: number[], fontSize: number, font: 'Helvetica' | 'TimesRoman', pageSize: [number, number] }} look
 * @returns {Promise<Bitmap[]>}
 */
async function render(pages, { dpis, fontSize, font, pageSize }) {
  const document = await PDFDocument.create()
  const face = await document.embedFont(StandardFonts[font])
  const margin = 45
  for (const text of pages) {
    const page = document.addPage(pageSize)
    let y = pageSize[1] - margin - fontSize
    for (const line of wrap(text, (part) => face.widthOfTextAtSize(part, fontSize), pageSize[0] - 2 * margin)) {
      if (y < margin) throw new Error('the text does not fit on the page')
      page.drawText(line, { x: margin, y, size: fontSize, font: face, color: rgb(0.06, 0.06, 0.06) })
      y -= fontSize * 1.45
    }
  }
  const library = await PDFiumLibrary.init()
  try {
    const opened = await library.loadDocument(await document.save())
    const bitmaps = []
    for (const [index, dpi] of dpis.entries()) {
      const page = opened.getPage(index)
      const { width, height, data } = await page.render({ scale: dpi / 72, render: 'bitmap', colorSpace: 'Gray' })
      bitmaps.push({ width, height, data: Uint8Array.from(data) })
    }
    opened.destroy()
    return bitmaps
  } finally {
    library.destroy()
  }
}

/** @param {string} text @param {(part: string) => number} measure @param {number} limit */
function wrap(text, measure, limit) {
  const lines = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of paragraph.split(' ')) {
      const longer = line ? line + ' ' + word : word
      if (line && measure(longer) > limit) {
        lines.push(line)
        line = word
      } else line = longer
    }
    lines.push(line)
  }
  return lines
}

/** Grain, specks and uneven light. @param {Bitmap} bitmap @param {number} noise @param {number} dpi @param {() => number} next */
function spoil({ width, height, data }, noise, dpi, next) {
  for (let y = 0; y < height; y += 1) {
    const shade = noise * 45 * (y / height)
    for (let x = 0; x < width; x += 1) {
      const grain = (next() + next() + next() - 1.5) * 70 * noise
      const speck = next() < 0.012 * noise ? (next() < 0.7 ? -200 : 200) : 0
      const value = data[y * width + x] * (1 - 0.1 * noise) - shade * (x / width) + grain + speck
      data[y * width + x] = Math.max(0, Math.min(255, Math.round(value)))
    }
  }
  const blots = Math.round(noise * 60)
  for (let i = 0; i < blots; i += 1) {
    const radius = 1 + next() * (dpi / 150)
    const cx = next() * width
    const cy = next() * height
    for (let y = Math.max(0, Math.floor(cy - radius)); y < Math.min(height, cy + radius); y += 1) {
      for (let x = Math.max(0, Math.floor(cx - radius)); x < Math.min(width, cx + radius); x += 1) {
        if ((x - cx) ** 2 + (y - cy) ** 2 <= radius * radius) data[y * width + x] = 40
      }
    }
  }
}

/**
 * @param {PDFDocument} document @param {import('pdf-lib').PDFPage} page @param {Bitmap} bitmap
 * @param {{ x: number, y: number, width: number, height: number }} box
 * @param {'jpeg' | 'gray' | 'bilevel'} format @param {number} quality
 */
async function place(document, page, bitmap, box, format, quality) {
  const { width, height, data } = bitmap
  if (format === 'jpeg') {
    const canvas = createCanvas(width, height)
    const image = canvas.getContext('2d').createImageData(width, height)
    for (let i = 0, p = 0; i < data.length; i += 1, p += 4) {
      image.data[p] = image.data[p + 1] = image.data[p + 2] = data[i]
      image.data[p + 3] = 255
    }
    canvas.getContext('2d').putImageData(image, 0, 0)
    // Not `canvas.encode`: until 1.0.6 its thread read pixels that might have been collected (Brooooooklyn/canvas#1312).
    page.drawImage(await document.embedJpg(canvas.toBuffer('image/jpeg', quality)), box)
    return
  }
  const bits = format === 'bilevel' ? 1 : 8
  const stride = bits === 1 ? (width + 7) >> 3 : width
  const rows = bits === 1 ? new Uint8Array(stride * height) : data
  if (bits === 1) {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (data[y * width + x] >= 128) rows[y * stride + (x >> 3)] |= 0x80 >> (x & 7)
      }
    }
  }
  const stream = PDFRawStream.of(
    document.context.obj({
      Type: 'XObject',
      Subtype: 'Image',
      Width: width,
      Height: height,
      ColorSpace: 'DeviceGray',
      BitsPerComponent: bits,
      Filter: 'FlateDecode',
    }),
    deflateSync(rows, { level: 9 }),
  )
  const name = page.node.newXObject('Image', document.context.register(stream))
  const { x, y, width: w, height: h } = box
  const drawing = `q ${w} 0 0 ${h} ${x} ${y} cm ${name} Do Q\n`
  page.node.addContentStream(document.context.register(document.context.stream(drawing)))
}

const PAD = Buffer.from('28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a', 'hex')

/**
 * Locks a scan with a password, by the PDF standard's first handler (RC4, 40 bits): old and weak, and enough to make
 * any reader ask for the password.
 * @param {ScanOptions} options @param {string} password @returns {Promise<Uint8Array>}
 */
export async function makeLockedScan(options, password) {
  const document = await scanDocument(options)
  await document.flush()
  const { context } = document
  const id = md5(Buffer.from(password + JSON.stringify(options)))
  const user = Buffer.concat([Buffer.from(password, 'latin1'), PAD]).subarray(0, 32)
  const owner = rc4(md5(user).subarray(0, 5), user)
  const permissions = -4
  const flags = Buffer.alloc(4)
  flags.writeInt32LE(permissions)
  const key = md5(Buffer.concat([user, owner, flags, id])).subarray(0, 5)
  for (const [ref, object] of context.enumerateIndirectObjects()) {
    const number = Buffer.alloc(5)
    number.writeUIntLE(ref.objectNumber, 0, 3)
    number.writeUIntLE(ref.generationNumber, 3, 2)
    const lock = (/** @type {Uint8Array} */ bytes) => rc4(md5(Buffer.concat([key, number])).subarray(0, 10), bytes)
    if (object instanceof PDFRawStream) {
      context.assign(ref, PDFRawStream.of(object.dict, lock(object.contents)))
    } else if ('entries' in object && typeof object.entries === 'function') {
      for (const [name, value] of object.entries()) {
        if (!(value instanceof PDFString) && !(value instanceof PDFHexString)) continue
        object.set(name, PDFHexString.of(lock(value.asBytes()).toString('hex')))
      }
    }
  }
  context.trailerInfo.ID = context.obj([hex(id), hex(id)])
  context.trailerInfo.Encrypt = context.register(
    context.obj({ Filter: 'Standard', V: 1, R: 2, O: hex(owner), U: hex(rc4(key, PAD)), P: permissions }),
  )
  return document.save({ useObjectStreams: false, addDefaultPage: false })
}

/** @param {Uint8Array} bytes */
const hex = (bytes) => PDFHexString.of(Buffer.from(bytes).toString('hex'))

/** @param {Uint8Array} bytes */
const md5 = (bytes) => createHash('md5').update(bytes).digest()

/** @param {Uint8Array} key @param {Uint8Array} bytes */
function rc4(key, bytes) {
  const s = Uint8Array.from({ length: 256 }, (_, i) => i)
  for (let i = 0, j = 0; i < 256; i += 1) {
    j = (j + s[i] + key[i % key.length]) & 255
    ;[s[i], s[j]] = [s[j], s[i]]
  }
  const out = Buffer.alloc(bytes.length)
  for (let n = 0, i = 0, j = 0; n < bytes.length; n += 1) {
    i = (i + 1) & 255
    j = (j + s[i]) & 255
    ;[s[i], s[j]] = [s[j], s[i]]
    out[n] = bytes[n] ^ s[(s[i] + s[j]) & 255]
  }
  return out
}

/** The samples of this folder: the options of each scan, under its file name. @returns {Record<string, ScanOptions>} */
export const samples = () => ({
  // What `npm run demo` reads: page 2 in two strips, page 4 by fax, all of it a little askew.
  letters: {
    pages: texts.letters,
    dpi: [200, 200, 200, 130, 200],
    strips: [1, 2, 1, 1, 1],
    skewDegrees: 0.8,
    noise: 0.03,
    quality: 35,
    font: 'TimesRoman',
    fontSize: 15,
    seed: 3,
  },
  clean: { pages: texts.clean, dpi: 300, format: 'jpeg', quality: 50 },
  'skewed-noisy': { pages: texts.skewedNoisy, dpi: 200, skewDegrees: 2.5, noise: 0.6, quality: 40, seed: 7 },
  'many-pages': {
    pages: texts.ledger(8, random(1907)),
    dpi: 200,
    format: 'bilevel',
    font: 'TimesRoman',
    fontSize: 13,
  },
  'two-strips': { pages: texts.twoStrips, dpi: 200, format: 'gray', strips: [1, 2] },
  'low-resolution': { pages: texts.lowResolution, dpi: 110, format: 'jpeg', quality: 75, fontSize: 14 },
})

async function main() {
  const write = (/** @type {string} */ name, /** @type {string | Uint8Array} */ content) => {
    writeFileSync(new URL(name, import.meta.url), content)
    process.stdout.write(`${name} ${content.length}\n`)
  }
  for (const [name, options] of Object.entries(samples())) {
    write(`${name}.pdf`, await makeScan(options))
    write(`${name}.expected.txt`, options.pages.join('\f') + '\n')
  }
  write('password.pdf', await makeLockedScan({ pages: texts.locked, dpi: 200, format: 'bilevel' }, 'open sesame'))
  write('not-a-pdf.pdf', texts.notAPdf)
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()
