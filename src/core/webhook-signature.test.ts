import { createHmac, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkWebhook, publicKeyOf, signWebhook } from './webhook-signature.js'

const NOW = Date.UTC(2026, 10, 22, 9, 1, 44, 980)
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const EVENT = { id: 'job-1:9', type: 'job.completed', data: { jobId: 'job-1', version: 9 } }
const BODY = JSON.stringify(EVENT)

/** A key pair of node:crypto, and the same in the texts of the specification. */
function pair() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url')
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url')
  return {
    ...{ privateKey, publicKey, seed, point },
    secret: `whsk_${seed.toString('base64')}`,
    public: `whpk_${point.toString('base64')}`,
  }
}

const signed = (more: Partial<Parameters<typeof signWebhook>[0]> = {}, keys = [SECRET]) =>
  signWebhook({ id: EVENT.id, sentAt: NOW, body: BODY, ...more }, keys)
const check = (headers: unknown, more: Partial<Parameters<typeof checkWebhook>[0]> = {}) =>
  checkWebhook({ headers, body: BODY, keys: [SECRET], toleranceMs: 300_000, now: NOW, ...more })
const code = async (...args: Parameters<typeof check>) => {
  const checked = await check(...args)
  return checked.ok ? 'ok' : checked.code
}

describe('signing', () => {
  it('is HMAC-SHA256 of id, seconds and body', async () => {
    const key = Buffer.from(SECRET.slice(6), 'base64')
    const expected = createHmac('sha256', key).update(`job-1:9.1795338104.${BODY}`).digest('base64')
    expect(await signed()).toEqual({
      'webhook-id': 'job-1:9',
      'webhook-timestamp': '1795338104',
      'webhook-signature': `v1,${expected}`,
    })
  })

  it('is ed25519 with a whsk_ key, with or without its public half', async () => {
    const key = pair()
    const content = Buffer.from(`job-1:9.1795338104.${BODY}`)
    const expected = `v1a,${sign(null, content, key.privateKey).toString('base64')}`
    const long = `whsk_${Buffer.concat([key.seed, key.point]).toString('base64')}`
    expect((await signed({}, [key.secret]))['webhook-signature']).toBe(expected)
    expect((await signed({}, [long]))['webhook-signature']).toBe(expected)
    expect(await publicKeyOf(key.secret)).toBe(key.public)
    expect(await publicKeyOf(long)).toBe(key.public)
  })

  it('gives one signature for each key, in their order', async () => {
    const key = pair()
    const headers = await signed({}, [OTHER, key.secret, SECRET])
    const parts = headers['webhook-signature'].split(' ')
    expect(parts.map((part) => part.split(',')[0])).toEqual(['v1', 'v1a', 'v1'])
    expect(parts[0]).toBe((await signed({}, [OTHER]))['webhook-signature'])
    for (const keys of [[OTHER], [SECRET], [key.public], ['whsec_' + 'A'.repeat(32), SECRET]])
      expect(await check(headers, { keys })).toEqual({ ok: true, event: EVENT })
  })

  it.each(['', 'a.b', 'a b', 'a\n', 'ü', 'a'.repeat(257)])('refuses the id %j', async (id) => {
    await expect(signed({ id })).rejects.toThrow(/id of a webhook/)
  })

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('refuses the instant %s', async (sentAt) => {
    await expect(signed({ sentAt })).rejects.toThrow(/sentAt/)
  })

  const bytes = (n: number) => Buffer.alloc(n, 1).toString('base64')
  it.each([
    ['', /begins with/],
    [undefined, /begins with/],
    [SECRET.slice(6), /begins with/],
    ['WHSEC_' + bytes(32), /begins with/],
    ['whsec_', /not base64/],
    ['whsec_' + 'A'.repeat(31) + '!', /not base64/],
    [`whsec_${bytes(32)}\n`, /not base64/],
    [`whsec_${bytes(32)}=`, /not base64/],
    [`whsec_${bytes(32).slice(0, -1)}A==`, /not base64/],
    // The last character has bits that say nothing: another text for the same bytes.
    [`whsec_${bytes(32).slice(0, -2)}F=`, /not base64/],
    [`whsec_${bytes(23)}`, /24 to 64 bytes, not 23/],
    [`whsec_${bytes(65)}`, /24 to 64 bytes, not 65/],
    [`whsk_${bytes(31)}`, /32 or 64 bytes, not 31/],
    [`whsk_${bytes(64)}`, /do not belong together/],
    [`whpk_${bytes(32)}`, /cannot sign/],
  ])('refuses the key %j', async (key, message) => {
    const error = await signed({}, [key as string]).catch((error) => error)
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(message)
    if (key && key.length > 12) expect(error.message).not.toContain(key.slice(6, 40))
  })

  it('takes secrets of 24 and 64 bytes, and base64 without padding', async () => {
    for (const n of [24, 64]) await signed({}, [`whsec_${bytes(n)}`])
    const bare = `whsec_${bytes(32).replace('=', '')}`
    expect(await signed({}, [bare])).toEqual(await signed({}, [`whsec_${bytes(32)}`]))
  })

  it('needs a key, and one that has a public half for publicKeyOf', async () => {
    await expect(signed({}, [])).rejects.toThrow(/needs a key/)
    await expect(publicKeyOf(SECRET)).rejects.toThrow(/Only a key that begins with whsk_/)
    await expect(publicKeyOf('whsk_!')).rejects.toThrow(/not base64/)
  })
})

describe('what is believed', () => {
  it.each([
    ['Headers', (headers: Record<string, string>) => new Headers(headers)],
    ['a plain object', (headers: Record<string, string>) => headers],
    [
      'names in another case',
      (headers: Record<string, string>) =>
        Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value])),
    ],
    [
      'lists of one, beside others',
      (headers: Record<string, string>) => ({
        ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
        'set-cookie': ['a', 'b'],
        accept: undefined,
      }),
    ],
  ])('headers as %s', async (_, form) => {
    expect(await check(form({ ...(await signed()) }))).toEqual({ ok: true, event: EVENT })
  })

  it.each([
    ['text', BODY],
    ['a Buffer', Buffer.from(BODY)],
    ['a part of a larger buffer', Buffer.from(`xx${BODY}yy`).subarray(2, -2)],
    ['an ArrayBuffer', new TextEncoder().encode(BODY).buffer],
    ['a DataView', new DataView(new TextEncoder().encode(BODY).buffer)],
  ])('a body as %s', async (_, body) => {
    expect(await check(await signed(), { body })).toEqual({ ok: true, event: EVENT })
  })

  it('a member called __proto__ is not', async () => {
    const body = '{"type":"x","__proto__":{"admin":true}}'
    const checked = await check(await signed({ body }), { body })
    expect(checked).toEqual({ ok: true, event: { type: 'x' } })
    expect(Object.getPrototypeOf(checked.ok && checked.event)).toBe(Object.prototype)
  })

  it.each([
    [0, 'ok'],
    [300_000, 'ok'],
    [300_001, 'webhook-too-old'],
    [-300_000, 'ok'],
    [-300_001, 'webhook-too-new'],
  ])('a delivery whose second began %i ms ago: %s', async (ageMs, expected) => {
    expect(await code(await signed(), { now: Math.floor(NOW / 1000) * 1000 + ageMs })).toBe(expected)
  })
})

describe('attacks', () => {
  it('an altered body', async () => {
    const headers = await signed()
    for (const body of [
      BODY.replace('9}', '8}'),
      `${BODY} `,
      ` ${BODY}`,
      BODY.slice(0, -1),
      JSON.stringify(EVENT, null, 1),
      '',
    ])
      expect(await code(headers, { body })).toBe('webhook-signature-mismatch')
  })

  it('another id, another time', async () => {
    const headers = await signed()
    expect(await code({ ...headers, 'webhook-id': 'job-1:8' })).toBe('webhook-signature-mismatch')
    expect(await code({ ...headers, 'webhook-timestamp': '1795338105' })).toBe('webhook-signature-mismatch')
    expect(await code({ ...headers, 'webhook-timestamp': '01795338104' })).toBe('webhook-signature-mismatch')
  })

  it('an old delivery played back, with its own time and with a new one', async () => {
    const headers = await signed({ sentAt: NOW - 3_600_000 })
    expect(await code(headers)).toBe('webhook-too-old')
    expect(await code({ ...headers, 'webhook-timestamp': '1795338104' })).toBe('webhook-signature-mismatch')
  })

  it('a delivery of the future', async () => {
    expect(await code(await signed({ sentAt: NOW + 3_600_000 }))).toBe('webhook-too-new')
  })

  it('a tolerance or a clock that is no number lets nothing through', async () => {
    for (const more of [{ toleranceMs: Number.NaN }, { now: Number.NaN }, { toleranceMs: undefined as never }])
      expect(await code(await signed(), more)).toBe('webhook-too-old')
  })

  it('a wrong secret, and the old one after a rotation', async () => {
    expect(await code(await signed({}, [OTHER]))).toBe('webhook-signature-mismatch')
    const during = await signed({}, [SECRET, OTHER])
    expect(await code(during, { keys: [OTHER] })).toBe('ok')
    expect(await code(during, { keys: [SECRET] })).toBe('ok')
    expect(await code(await signed({}, [SECRET]), { keys: [OTHER] })).toBe('webhook-signature-mismatch')
  })

  it('a wrong ed25519 key, and a signature of one scheme under the name of the other', async () => {
    const [own, foreign] = [pair(), pair()]
    expect(await code(await signed({}, [own.secret]), { keys: [own.public] })).toBe('ok')
    expect(await code(await signed({}, [foreign.secret]), { keys: [own.public] })).toBe('webhook-signature-mismatch')
    // The public key is public: an HMAC under it must prove nothing.
    const content = `${EVENT.id}.1795338104.${BODY}`
    const forged = createHmac('sha256', own.point).update(content).digest('base64')
    const headers = await signed()
    for (const signature of [`v1,${forged}`, `v1a,${forged}`])
      expect(await code({ ...headers, 'webhook-signature': signature }, { keys: [own.public] })).toBe(
        'webhook-signature-mismatch',
      )
  })

  it('an id with a full stop, that takes a part of the content for the time', async () => {
    // Signed as id "a", body "1795338104.{}"; shown as id "a.<time>", body "{}".
    const headers = await signed({ id: 'a', body: '1795338104.{}' })
    expect(await code({ ...headers, 'webhook-id': 'a.1795338104' }, { body: '{}' })).toBe('webhook-header-invalid')
  })

  it('signatures that are cut, empty, of another kind, not base64, or more than can be meant', async () => {
    const headers = await signed()
    const good = headers['webhook-signature']
    const other = `v1,${Buffer.alloc(32, 1).toString('base64')}`
    const given = (signature: string) => code({ ...headers, 'webhook-signature': signature })
    for (const signature of [
      ...[good.slice(0, -1), good.slice(0, -8), good.slice(0, 10), 'v1,', 'v1', ',', ' ', 'v1,=', good.slice(3)],
      ...[good.replace('v1,', 'v2,'), good.replace('v1,', 'V1,'), good.replace('v1,', 'v1a,'), good.replace(',', ';')],
      ...[
        good.replace('v1,', 'v1, '),
        `v1,${good}`,
        `${good},${good}`,
        good.replace(/=$/, '!'),
        `${good}\n`,
        `x${good}`,
      ],
      ...[`v1,${'A'.repeat(44)}`, `v1,${'A'.repeat(8000)}`, 'v1,undefined', 'v1,null'],
    ])
      expect(await given(signature), signature).toBe('webhook-signature-mismatch')
    expect(await given(`v2,abc  ${other} v1a,AAAA ${good}`)).toBe('ok')
    expect(await given(`${Array(15).fill(other).join(' ')} ${good}`)).toBe('ok')
    expect(await given(`${Array(16).fill(other).join(' ')} ${good}`)).toBe('webhook-signature-mismatch')
  })

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const)('%s missing or twice', async (name) => {
    const headers = await signed()
    const { [name]: value, ...rest } = headers
    for (const missing of [rest, { ...rest, [name]: '' }, { ...rest, [name]: undefined }, { ...rest, [name]: [] }])
      expect(await check(missing)).toMatchObject({
        code: 'webhook-header-missing',
        message: expect.stringContaining(name),
      })
    for (const twice of [
      { ...rest, [name]: [value, value] },
      { ...headers, [name.toUpperCase()]: value },
    ])
      expect(await code(twice)).toBe('webhook-header-invalid')
    // Headers joins them with a comma. A list of signatures that holds a good one is still good.
    if (name === 'webhook-signature') return
    const joined = new Headers(Object.entries(headers))
    joined.append(name, value)
    expect(await code(joined)).not.toBe('ok')
  })

  it.each([undefined, null, 'webhook-id: x', 7, []])('headers that are none: %j', async (headers) => {
    expect(await code(headers)).toBe('webhook-header-missing')
  })

  it.each(['1795338104.5', '-1', '1e9', 'now', '0x10', ' 1795338104', '1795338104000000'])(
    'the time %j',
    async (timestamp) => {
      expect(await code({ ...(await signed()), 'webhook-timestamp': timestamp })).toBe('webhook-header-invalid')
    },
  )

  it('a body that was parsed is named as that', async () => {
    const headers = await signed()
    expect(await check(headers, { body: EVENT })).toMatchObject({
      code: 'webhook-body-parsed',
      message: expect.stringContaining('an object that somebody has parsed'),
    })
    for (const body of [undefined, null, 7, true, [1]])
      expect(await code(headers, { body })).toBe('webhook-body-parsed')
  })

  it.each(['', 'x', '"text"', '[1]', 'null', '7', '{"a":1', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])])(
    'a signed body that is no JSON object: %j',
    async (body) => {
      expect(await code(await signed({ body }), { body })).toBe('webhook-body-not-json')
    },
  )

  it('keys that are none, or the secret key of the sender', async () => {
    const headers = await signed()
    const key = pair()
    for (const keys of [[], ['secret'], [undefined as never], [SECRET, 'whsec_short'], [key.secret], ['whpk_AAAA']])
      expect(await code(headers, { keys })).toBe('webhook-key-invalid')
    expect(await check(headers, { keys: [key.secret] })).toMatchObject({ message: expect.stringContaining('whpk_') })
  })
})

describe('held against others', () => {
  // The other library reads the clock by itself.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW }))
  afterEach(() => void vi.useRealTimers())

  const secrets = fc
    .uint8Array({ minLength: 24, maxLength: 64 })
    .map((bytes) => `whsec_${Buffer.from(bytes).toString('base64')}`)
  const ids = fc.stringMatching(/^[\x21-\x2d\x2f-\x7e]{1,60}$/)
  const objects = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ stringUnit: 'binary' }))

  it('standardwebhooks verifies what is signed here', async () => {
    await fc.assert(
      fc.asyncProperty(secrets, secrets, ids, objects, async (old, secret, id, object) => {
        const body = JSON.stringify(object)
        const headers = await signWebhook({ id, sentAt: NOW, body }, [old, secret])
        expect(new Webhook(secret).verify(body, { ...headers })).toEqual(JSON.parse(body))
      }),
    )
  })

  it('what standardwebhooks signs is verified here, and a changed byte is not', async () => {
    await fc.assert(
      fc.asyncProperty(
        secrets,
        ids,
        objects,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (secret, id, object, at, bits) => {
          const body = Buffer.from(JSON.stringify(object))
          const signature = new Webhook(secret).sign(id, new Date(NOW), body)
          const headers = {
            'webhook-id': id,
            'webhook-timestamp': `${Math.floor(NOW / 1000)}`,
            'webhook-signature': signature,
          }
          expect(await code(headers, { body, keys: [secret] })).toBe('ok')
          body[at % body.length]! ^= bits
          expect(await code(headers, { body, keys: [secret] })).toBe('webhook-signature-mismatch')
        },
      ),
    )
  })

  it('node:crypto verifies ed25519 signatures of here, and the other way round', async () => {
    await fc.assert(
      fc.asyncProperty(ids, objects, async (id, object) => {
        const key = pair()
        const body = JSON.stringify(object)
        const headers = await signWebhook({ id, sentAt: NOW, body }, [key.secret])
        const content = Buffer.from(`${id}.${headers['webhook-timestamp']}.${body}`)
        const signature = Buffer.from(headers['webhook-signature'].slice(4), 'base64')
        expect(verify(null, content, createPublicKey(key.privateKey), signature)).toBe(true)
        const theirs = `v1a,${sign(null, content, key.privateKey).toString('base64')}`
        expect(await code({ ...headers, 'webhook-signature': theirs }, { body, keys: [key.public] })).toBe('ok')
      }),
      { numRuns: 30 },
    )
  })

  it('random headers and bodies never pass and never throw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        fc.string(),
        fc.oneof(fc.string(), fc.constant(`v1,${randomBytes(32).toString('base64')}`)),
        fc.anything(),
        async (id, timestamp, signature, body) => {
          const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
          expect(await code(headers, { body })).not.toBe('ok')
        },
      ),
    )
  })
})
