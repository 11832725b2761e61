// Character error rate: how many characters must be changed, added or taken out to turn the recognised text into the
// expected one, by the length of the expected one. Only white space is evened out; case and punctuation count.

/** @param {string} text */
export const normalise = (text) => text.normalize('NFKC').replace(/\s+/g, ' ').trim()

/** @param {string} a @param {string} b */
export function distance(a, b) {
  let row = Uint32Array.from({ length: b.length + 1 }, (_, i) => i)
  let next = new Uint32Array(b.length + 1)
  for (let i = 1; i <= a.length; i += 1) {
    next[0] = i
    for (let j = 1; j <= b.length; j += 1) {
      const swap = row[j - 1] + (a.charCodeAt(i - 1) === b.charCodeAt(j - 1) ? 0 : 1)
      next[j] = Math.min(swap, row[j] + 1, next[j - 1] + 1)
    }
    ;[row, next] = [next, row]
  }
  return row[b.length]
}

/** @param {string} expected @param {string} got @returns {number} 0 is the same, 1 is nothing right */
export function characterErrorRate(expected, got) {
  const want = normalise(expected)
  const have = normalise(got)
  if (!want) return have ? 1 : 0
  return distance(want, have) / want.length
}
