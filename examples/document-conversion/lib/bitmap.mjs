// Gray bitmaps (one byte a pixel, 0 black, 255 white) and the few operations a scan needs: read, write, scale,
// rotate, take the specks out, measure the skew. Plain arithmetic, so the same input gives the same bytes anywhere.
// It must never guess: bytes that are no image are an error, not an empty page.

/** @typedef {{ width: number, height: number, data: Uint8Array }} Bitmap */

/**
 * @param {number} width @param {number} height @param {number} [fill]
 * @returns {Bitmap}
 */
export function blank(width, height, fill = 255) {
  return { width, height, data: new Uint8Array(width * height).fill(fill) }
}

/** Decodes PNG, JPEG and whatever else the canvas reads. @param {Uint8Array} bytes @returns {Promise<Bitmap>} */
export async function decodeImage(bytes) {
  const { createCanvas, loadImage } = await import('@napi-rs/canvas')
  const image = await loadImage(Buffer.from(bytes))
  const { width, height } = image
  if (!width || !height) throw new Error('the image is empty')
  const context = createCanvas(width, height).getContext('2d')
  context.fillStyle = 'white'
  context.fillRect(0, 0, width, height)
  context.drawImage(image, 0, 0)
  return fromRgba(context.getImageData(0, 0, width, height).data, width, height)
}

/**
 * @param {ArrayLike<number>} rgba @param {number} width @param {number} height
 * @returns {Bitmap} luminance; the order of red and blue hardly matters for black ink on white paper
 */
export function fromRgba(rgba, width, height) {
  const bitmap = blank(width, height)
  for (let i = 0, p = 0; i < bitmap.data.length; i += 1, p += 4) {
    bitmap.data[i] = (rgba[p] * 77 + rgba[p + 1] * 150 + rgba[p + 2] * 29) >> 8
  }
  return bitmap
}

/** Bilinear scaling. @param {Bitmap} bitmap @param {number} factor @returns {Bitmap} */
export function scale(bitmap, factor) {
  const width = Math.max(1, Math.round(bitmap.width * factor))
  const height = Math.max(1, Math.round(bitmap.height * factor))
  const out = blank(width, height)
  const stepX = bitmap.width / width
  const stepY = bitmap.height / height
  for (let y = 0; y < height; y += 1) {
    const sy = Math.min(bitmap.height - 1, Math.max(0, (y + 0.5) * stepY - 0.5))
    for (let x = 0; x < width; x += 1) {
      const sx = Math.min(bitmap.width - 1, Math.max(0, (x + 0.5) * stepX - 0.5))
      out.data[y * width + x] = sample(bitmap, sx, sy)
    }
  }
  return out
}

/**
 * Turns the bitmap about its middle, clockwise as seen on the screen; what comes in from outside is white.
 * @param {Bitmap} bitmap @param {number} degrees @returns {Bitmap}
 */
export function rotate(bitmap, degrees) {
  const { width, height } = bitmap
  const out = blank(width, height)
  const cos = Math.cos((degrees * Math.PI) / 180)
  const sin = Math.sin((degrees * Math.PI) / 180)
  const cx = (width - 1) / 2
  const cy = (height - 1) / 2
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const sx = cx + (x - cx) * cos + (y - cy) * sin
      const sy = cy - (x - cx) * sin + (y - cy) * cos
      if (sx >= 0 && sy >= 0 && sx <= width - 1 && sy <= height - 1) out.data[y * width + x] = sample(bitmap, sx, sy)
    }
  }
  return out
}

/** @param {Bitmap} bitmap @param {number} x @param {number} y */
function sample({ width, height, data }, x, y) {
  const x0 = x | 0
  const y0 = y | 0
  const x1 = x0 + 1 < width ? x0 + 1 : x0
  const y1 = y0 + 1 < height ? y0 + 1 : y0
  const fx = x - x0
  const fy = y - y0
  const top = data[y0 * width + x0] * (1 - fx) + data[y0 * width + x1] * fx
  const bottom = data[y1 * width + x0] * (1 - fx) + data[y1 * width + x1] * fx
  return Math.round(top * (1 - fy) + bottom * fy)
}

/** A 3 x 3 median: takes specks out and leaves strokes. @param {Bitmap} bitmap @returns {Bitmap} */
export function median({ width, height, data }) {
  const out = { width, height, data: Uint8Array.from(data) }
  const d = data
  for (let y = 1; y < height - 1; y += 1) {
    for (let i = y * width + 1, end = y * width + width - 1; i < end; i += 1) {
      // Sort each column of three, then: the median of (largest low, middle of the middles, smallest high).
      let a = d[i - width - 1]
      let b = d[i - 1]
      let c = d[i + width - 1]
      const l0 = Math.min(a, b, c)
      const h0 = Math.max(a, b, c)
      const m0 = a + b + c - l0 - h0
      a = d[i - width]
      b = d[i]
      c = d[i + width]
      const l1 = Math.min(a, b, c)
      const h1 = Math.max(a, b, c)
      const m1 = a + b + c - l1 - h1
      a = d[i - width + 1]
      b = d[i + 1]
      c = d[i + width + 1]
      const l2 = Math.min(a, b, c)
      const h2 = Math.max(a, b, c)
      const m2 = a + b + c - l2 - h2
      a = Math.max(l0, l1, l2)
      c = Math.min(h0, h1, h2)
      b = m0 + m1 + m2 - Math.min(m0, m1, m2) - Math.max(m0, m1, m2)
      out.data[i] = a + b + c - Math.min(a, b, c) - Math.max(a, b, c)
    }
  }
  return out
}

/**
 * How uneven the bare paper is: the upper quartile of the difference between near neighbours that are both light.
 * About 0 for a clean page, with or without text; 5 and more for a grainy one.
 * @param {Bitmap} bitmap
 */
export function grain(bitmap) {
  const { width, height, data } = bitmap
  const paper = threshold(bitmap)
  const count = new Uint32Array(256)
  let seen = 0
  for (let y = 0; y < height; y += 4) {
    for (let i = y * width, end = (y + 1) * width - 3; i < end; i += 1) {
      if (data[i] <= paper || data[i + 3] <= paper) continue
      count[Math.abs(data[i] - data[i + 3])] += 1
      seen += 1
    }
  }
  let below = 0
  for (let v = 0; v < 256; v += 1) {
    below += count[v]
    if (below > seen * 0.75) return v
  }
  return 0
}

/** Otsu's threshold. @param {Bitmap} bitmap */
export function threshold({ data }) {
  const count = new Float64Array(256)
  for (let i = 0; i < data.length; i += 1) count[data[i]] += 1
  let total = 0
  for (let v = 0; v < 256; v += 1) total += v * count[v]
  let below = 0
  let sum = 0
  let best = -1
  let at = 128
  for (let v = 0; v < 256; v += 1) {
    below += count[v]
    if (!below) continue
    if (below === data.length) break
    sum += v * count[v]
    const gap = sum / below - (total - sum) / (data.length - below)
    const between = below * (data.length - below) * gap * gap
    if (between > best) {
      best = between
      at = v
    }
  }
  return at
}

/**
 * Makes what is nearly as light as the paper quite white, so that an almost empty page is not read as a page of specks.
 * @param {Bitmap} bitmap @returns {Bitmap}
 */
export function whiten({ width, height, data }) {
  const count = new Uint32Array(256)
  for (let i = 0; i < data.length; i += 1) count[data[i]] += 1
  let paper = 0
  for (let below = count[0]; below < data.length / 2; below += count[paper]) paper += 1
  const white = Math.max(1, paper * 0.7)
  return { width, height, data: data.map((value) => (value >= white ? 255 : Math.round((value * 255) / white))) }
}

/**
 * The skew in degrees (positive: the lines fall to the right), by projection profile: at the right angle the ink of a
 * line of text falls into few rows and the profile is at its sharpest. Works on a small copy; 0 if there is no ink.
 * @param {Bitmap} bitmap @param {number} [limit] the largest angle looked for
 */
export function measureSkew(bitmap, limit = 6) {
  const small = scale(bitmap, Math.min(1, 900 / Math.max(bitmap.width, bitmap.height)))
  const dark = threshold(small)
  const xs = []
  const ys = []
  const border = Math.round(small.width * 0.03)
  for (let y = border; y < small.height - border; y += 1) {
    for (let x = border; x < small.width - border; x += 1) {
      if (small.data[y * small.width + x] > dark) continue
      xs.push(x - small.width / 2)
      ys.push(y)
    }
  }
  if (xs.length < 50) return 0
  const bins = new Float64Array(small.height * 3)
  /** @param {number} degrees */
  const sharpness = (degrees) => {
    bins.fill(0)
    const slope = Math.tan((degrees * Math.PI) / 180)
    for (let i = 0; i < xs.length; i += 1) bins[Math.round(ys[i] - xs[i] * slope) + small.height] += 1
    let sum = 0
    for (let i = 1; i < bins.length; i += 1) sum += (bins[i] - bins[i - 1]) ** 2
    return sum
  }
  let angle = 0
  for (const [span, step] of [
    [limit, 0.5],
    [0.5, 0.1],
  ]) {
    let best = -1
    const middle = angle
    for (let a = middle - span; a <= middle + span + 1e-9; a += step) {
      const sharp = sharpness(a)
      if (sharp > best) {
        best = sharp
        angle = a
      }
    }
  }
  return Math.round(angle * 100) / 100
}
