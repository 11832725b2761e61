import { afterAll, describe, expect, test } from 'vitest'
import type { WireFile } from '../core/index.js'
import { FakeEngine } from './fakes/engine.js'
import { harness } from './fakes/harness.js'

const engine = new FakeEngine()
const { get, send, server } = harness({ limits: { fileBytes: 100_000 } }, engine)
afterAll(() => engine.dispose())

async function uploaded(body: BodyInit, headers: Record<string, string> = {}, query = ''): Promise<WireFile> {
  const answer = await send('POST', `/v1/files${query}`, headers, { body, duplex: 'half' } as RequestInit)
  expect(answer.status).toBe(201)
  const file = (await answer.json()) as WireFile
  expect(answer.headers.get('location')).toBe(`/v1/files/${file.file}`)
  return file
}

describe('upload', () => {
  test('keeps bytes, hash, type and name', async () => {
    const file = await uploaded('0123456789', {
      'content-type': 'application/pdf',
      'content-disposition': 'attachment; filename="../scan.pdf"',
    })
    expect(file).toMatchObject({
      bytes: 10,
      contentType: 'application/pdf',
      name: 'scan.pdf',
      sha256: '84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882',
    })
  })

  test('JSON is a file like any other; the name in the address wins', async () => {
    const file = await uploaded(
      '{"a":',
      { 'content-type': 'application/json', 'content-disposition': 'attachment; filename=x' },
      '?name=y.json',
    )
    expect(file).toMatchObject({ bytes: 5, contentType: 'application/json', name: 'y.json' })
  })

  test('is streamed: the engine takes the first bytes before the last are there', async () => {
    let push!: ReadableStreamDefaultController<Uint8Array>
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (push = controller) })
    const taken: number[] = []
    const add = engine.addFile.bind(engine)
    engine.addFile = (caller, source, meta) =>
      add(
        caller,
        (async function* () {
          for await (const chunk of source as AsyncIterable<Uint8Array>) {
            taken.push(chunk.byteLength)
            if (taken.length === 1) {
              push.enqueue(new Uint8Array(2))
              push.close()
            }
            yield chunk
          }
        })(),
        meta,
      )
    push.enqueue(new Uint8Array(1))
    expect((await uploaded(body)).bytes).toBe(3)
    expect(taken).toEqual([1, 2])
    engine.addFile = add
  })

  test.each([
    ['declared', { 'content-length': '200000' }, new Uint8Array(1)],
    ['found while reading', {}, new Uint8Array(100_001)],
  ])('too large, %s: 413', async (_what, headers, bytes) => {
    const body = new Blob([bytes]).stream()
    const answer = await send(
      'POST',
      '/v1/files',
      headers as Record<string, string>,
      { body, duplex: 'half' } as RequestInit,
    )
    expect(await answer.json()).toMatchObject({ code: 'payload-too-large', params: { maxBytes: 100_000 } })
  })

  test('a Content-Type that is none is refused', async () => {
    const answer = await send('POST', '/v1/files', { 'content-type': 'pdf; <script>' }, { body: 'x' })
    expect(answer.status).toBe(400)
  })
})

describe('download', () => {
  test('is never shown as a page', async () => {
    const { file, sha256 } = await uploaded(
      '<script>alert(1)</script>',
      { 'content-type': 'text/html' },
      '?name=z%C3%BC.html',
    )
    const answer = await get(`/v1/files/${file}`)
    expect(await answer.text()).toBe('<script>alert(1)</script>')
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'text/html',
      'content-length': '25',
      'content-disposition': 'attachment; filename="z_.html"; filename*=UTF-8\'\'z%C3%BC.html',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
      'accept-ranges': 'bytes',
      etag: `"${sha256}"`,
    })
    expect((await get(`/v1/files/${file}`, { 'if-none-match': `"${sha256}"` })).status).toBe(304)
  })

  test('ranges', async () => {
    const { file, sha256 } = await uploaded('0123456789')
    const part = async (headers: Record<string, string>) => {
      const answer = await get(`/v1/files/${file}`, headers)
      return [
        answer.status,
        answer.headers.get('content-range'),
        answer.headers.get('content-length'),
        await answer.text(),
      ]
    }
    expect(await part({ range: 'bytes=2-4' })).toEqual([206, 'bytes 2-4/10', '3', '234'])
    expect(await part({ range: 'bytes=-3' })).toEqual([206, 'bytes 7-9/10', '3', '789'])
    expect(await part({ range: 'bytes=8-' })).toEqual([206, 'bytes 8-9/10', '2', '89'])
    expect(await part({ range: 'bytes=0-1,3-4' })).toEqual([200, null, '10', '0123456789'])
    expect(await part({ range: 'bytes=2-4', 'if-range': `"${sha256}"` })).toEqual([206, 'bytes 2-4/10', '3', '234'])
    expect(await part({ range: 'bytes=2-4', 'if-range': '"old"' })).toEqual([200, null, '10', '0123456789'])
    const beyond = await get(`/v1/files/${file}`, { range: 'bytes=10-' })
    expect(beyond.status).toBe(416)
    expect(beyond.headers.get('content-range')).toBe('bytes */10')
    expect(await beyond.json()).toMatchObject({ code: 'malformed-request', status: 416 })
  })

  test('an empty file, HEAD, and none', async () => {
    const { file } = await uploaded('')
    expect(await (await get(`/v1/files/${file}`)).text()).toBe('')
    const full = await uploaded('abc')
    const head = await send('HEAD', `/v1/files/${full.file}`)
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3', ''])
    expect(await (await get('/v1/files/none')).json()).toMatchObject({ code: 'file-not-found' })
  })

  test('a file that is gone from the disk is an error, not half an answer', async () => {
    const { file } = await uploaded('abc')
    engine.dispose()
    expect(await (await get(`/v1/files/${file}`)).json()).toMatchObject({ code: 'file-not-found', status: 404 })
    expect(server.held).toBe(0)
  })
})
