// The envelope parser: whole envelopes come through, nothing else ever does.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeEnvelope, parseEnvelope } from './protocol.js'

const NONCE = 'a1b2c3d4e5f60718'
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))
const error = (name: string) => ({ ok: false, error: name })

function handmade(header: object, body: string): Buffer {
  return Buffer.from(`${JSON.stringify(header)}\n${body}`)
}
function headerFor(body: string | Buffer, nonce = NONCE) {
  const bytes = Buffer.from(body as string)
  return { untildone: 1, nonce, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

describe('parseEnvelope', () => {
  it('reads what encodeEnvelope wrote, and undefined as null', () => {
    expect(parseEnvelope(encodeEnvelope({ pages: 3, text: 'grüße 🎉\n' }, NONCE), NONCE)).toEqual({
      ok: true,
      value: { pages: 3, text: 'grüße 🎉\n' },
    })
    expect(parseEnvelope(encodeEnvelope(undefined, NONCE), NONCE)).toEqual({ ok: true, value: null })
  })

  it('reads a header written by hand in another language, with blanks and further fields', () => {
    const body = '{"a": 1}'
    const { nonce, bytes, sha256 } = headerFor(body)
    const text = `{ "untildone": 1, "nonce": "${nonce}", "bytes": ${bytes}, "sha256": "${sha256}", "by": "python" }\n${body}`
    expect(parseEnvelope(Buffer.from(text), NONCE)).toEqual({ ok: true, value: { a: 1 } })
  })

  it('names each defect', () => {
    const whole = encodeEnvelope([1, 2, 3], NONCE)
    const body = '[1,2,3]'
    expect(parseEnvelope(Buffer.alloc(0), NONCE)).toEqual(error('missing'))
    expect(parseEnvelope(whole.subarray(0, 20), NONCE)).toEqual(error('truncated'))
    expect(parseEnvelope(whole.subarray(0, -1), NONCE)).toEqual(error('truncated'))
    expect(parseEnvelope(whole, 'ffff')).toEqual(error('nonce-mismatch'))
    expect(parseEnvelope(handmade(headerFor(body), '[1,2,4]'), NONCE)).toEqual(error('hash-mismatch'))
    expect(parseEnvelope(Buffer.concat([whole, Buffer.from('\n')]), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(Buffer.from('hello\n'), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(Buffer.from('{"untildone":1\n'), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(Buffer.alloc(5000, '{'), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(handmade({ ...headerFor(body), pad: 'x'.repeat(2000) }, body), NONCE)).toEqual(
      error('malformed'),
    )
    expect(parseEnvelope(handmade({ ...headerFor(body), untildone: 2 }, body), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(handmade({ ...headerFor(body), bytes: '7' }, body), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(handmade({ ...headerFor(body), bytes: -7 }, body), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(handmade({ ...headerFor(''), bytes: 0 }, ''), NONCE)).toEqual(error('malformed'))
    expect(parseEnvelope(handmade(headerFor('[1,2'), '[1,2'), NONCE)).toEqual(error('malformed'))
  })

  it('refuses a body that is not UTF-8 even when length and hash agree', () => {
    const body = Buffer.from([0x22, 0xff, 0x22])
    const data = Buffer.concat([Buffer.from(`${JSON.stringify(headerFor(body))}\n`), body])
    expect(parseEnvelope(data, NONCE)).toEqual(error('malformed'))
  })

  it('cannot be written for what JSON cannot carry', () => {
    expect(() => encodeEnvelope(() => 1, NONCE)).toThrow(TypeError)
    expect(() => encodeEnvelope(1n, NONCE)).toThrow(TypeError)
  })
})

describe('parseEnvelope on damaged data', () => {
  const value = fc.jsonValue({ maxDepth: 3 })

  it('gives back any JSON value', () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(parseEnvelope(encodeEnvelope(v, NONCE), NONCE)).toEqual({ ok: true, value: plain(v) })
      }),
    )
  })

  it('never accepts a truncated envelope', () => {
    fc.assert(
      fc.property(value, fc.nat(), (v, at) => {
        const whole = encodeEnvelope(v, NONCE)
        const { ok } = parseEnvelope(whole.subarray(0, at % whole.length), NONCE)
        expect(ok).toBe(false)
      }),
    )
  })

  it('never accepts a changed body', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (v, at, flip) => {
        const data = encodeEnvelope(v, NONCE)
        const start = data.indexOf(0x0a) + 1
        data[start + (at % (data.length - start))]! ^= flip
        expect(parseEnvelope(data, NONCE)).toEqual(error('hash-mismatch'))
      }),
    )
  })

  it('never gives back another value, whatever is cut out or put in anywhere', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.nat({ max: 40 }), fc.uint8Array({ maxLength: 40 }), (v, at, cut, put) => {
        const whole = encodeEnvelope(v, NONCE)
        const i = at % (whole.length + 1)
        const damaged = Buffer.concat([whole.subarray(0, i), put, whole.subarray(i + cut)])
        const parsed = parseEnvelope(damaged, NONCE)
        // A blank more in the header changes nothing; everything else must be refused.
        if (parsed.ok) expect(parsed.value).toEqual(plain(v))
        if (damaged.length < whole.length || i > whole.indexOf(0x0a)) expect(parsed.ok).toBe(damaged.equals(whole))
      }),
      { numRuns: 500 },
    )
  })

  it('never accepts arbitrary bytes or the envelope of another run', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), value, fc.string({ minLength: 1 }), (bytes, v, other) => {
        expect(parseEnvelope(bytes, NONCE).ok).toBe(false)
        if (other !== NONCE) expect(parseEnvelope(encodeEnvelope(v, other), NONCE).ok).toBe(false)
      }),
    )
  })
})
