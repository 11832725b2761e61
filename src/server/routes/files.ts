/** POST /v1/files and GET /v1/files/{id}: bytes in and out, streamed both ways, never shown as a page. */
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { UntildoneError } from '../../core/index.js'
import { byteStream, declaredLength, tooLarge } from '../body.js'
import { attachment, byteRange, dispositionName, matches, safeName } from '../headers.js'
import { problemReply } from '../problem.js'
import { text } from '../query.js'
import { empty, json, PRIVATE, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { READERS } from './shared.js'

const MEDIA_TYPE =
  /^[\w!#$&^.+-]{1,60}\/[\w!#$&^.+-]{1,60}(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\\r\n]{0,100}"))*$/

const uploadQuery = { name: text('Name of the file; wins over Content-Disposition.', 255, { example: 'scan.pdf' }) }

export const fileRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/files',
    id: 'uploadFile',
    tag: 'Files',
    scope: ['jobs:submit'],
    summary: 'Upload a file',
    description:
      'The body is the file; it is streamed to disk, hashed and synced before the 201. Put the id into an input. A file that ' +
      'no job refers to is removed after 24 h.',
    query: uploadQuery,
    headers: ['Content-Disposition'],
    rawBody: { description: 'The bytes, with their `Content-Type`.' },
    responses: { 201: { description: 'Stored durably.', schema: 'StoredFile', headers: ['Location'] } },
    problems: ['payload-too-large', 'outcome-unknown'],
    handler: upload,
  }),
  route({
    method: 'GET',
    path: '/v1/files/{id}',
    id: 'downloadFile',
    tag: 'Files',
    scope: READERS,
    summary: 'Download a file',
    description: 'The bytes as they were stored, as a download. One `Range` is honoured.',
    params: { id: { description: 'Id of the file.', example: 'file_7Qm2VxkT' } },
    headers: ['Range', 'If-Range', 'If-None-Match'],
    responses: {
      200: {
        description: 'The file.',
        contentType: 'application/octet-stream',
        schema: {},
        headers: ['ETag', 'Content-Disposition'],
      },
      206: {
        description: 'The range.',
        contentType: 'application/octet-stream',
        schema: {},
        headers: ['ETag', 'Content-Range', 'Content-Disposition'],
      },
      304: { description: 'You have it.', headers: ['ETag'] },
      416: {
        description: 'The range begins after the end of the file.',
        contentType: 'application/problem+json',
        schema: 'Problem',
        headers: ['Content-Range'],
      },
    },
    problems: ['file-not-found'],
    handler: download,
  }),
]

async function upload(call: Call<typeof uploadQuery>): Promise<Reply> {
  const { engine, settings } = call.server
  const { headers } = call.request
  const maxBytes = settings.limits.fileBytes
  const declared = declaredLength(call.request)
  if (declared !== null && declared > maxBytes) throw tooLarge(maxBytes, 'The file')
  const given = headers.get('content-type')
  if (given !== null && !MEDIA_TYPE.test(given)) {
    throw new UntildoneError('malformed-request', 'The Content-Type is not a media type.', {
      params: { header: 'Content-Type' },
    })
  }
  const name = safeName(call.query.name ?? dispositionName(headers.get('content-disposition')))
  const file = await engine.addFile(call.caller, byteStream(call.request, call.env), {
    contentType: given ?? 'application/octet-stream',
    name,
    maxBytes,
  })
  return json(file, 201, { Location: `${settings.base}/v1/files/${encodeURIComponent(file.file)}` })
}

async function download(call: Call<any>): Promise<Reply> {
  const { meta, file } = await call.server.engine.openFile(call.caller, call.params.id!)
  const { headers } = call.request
  const etag = `"${meta.sha256}"`
  const common = { ETag: etag, 'Cache-Control': PRIVATE, Vary: 'Authorization', 'Accept-Ranges': 'bytes' }
  if (matches(headers.get('if-none-match'), etag)) return empty(304, common)

  const condition = headers.get('if-range')
  const range = condition !== null && condition !== etag ? null : byteRange(headers.get('range'), meta.bytes)
  if (range === 'unsatisfiable') return outOfRange(call, meta.bytes)

  const first = range?.start ?? 0
  const last = range?.end ?? meta.bytes - 1
  const answer: Record<string, string> = {
    ...common,
    'Content-Type': meta.contentType,
    'Content-Length': String(last - first + 1),
    'Content-Disposition': attachment(meta.name),
    // Bytes of strangers: should a browser render them after all, then without scripts and without an origin.
    'Content-Security-Policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
  }
  if (range) answer['Content-Range'] = `bytes ${first}-${last}/${meta.bytes}`
  const wanted = call.request.method !== 'HEAD' && meta.bytes > 0
  return { status: range ? 206 : 200, headers: answer, body: wanted ? await bytesOf(file.path, first, last) : null }
}

/** Opened before the headers leave, so that a file swept in between is an error and not half an answer. */
async function bytesOf(path: string, start: number, end: number): Promise<ReadableStream<Uint8Array>> {
  try {
    const handle = await open(path, 'r')
    return Readable.toWeb(
      handle.createReadStream({ start, end, highWaterMark: 256 << 10 }),
    ) as ReadableStream<Uint8Array>
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new UntildoneError('file-not-found', undefined, { cause })
    throw new UntildoneError('store-unavailable', 'The file cannot be read right now.', { cause })
  }
}

/** 416 has no code of its own: the request asked for bytes that are not there. */
function outOfRange(call: Call, bytes: number): Reply {
  const { base, random } = call.server.settings
  const error = new UntildoneError('malformed-request', `The file has ${bytes} bytes; the range begins after them.`, {
    params: { bytes },
  })
  return problemReply(
    error,
    { requestId: call.requestId, base, random },
    { status: 416, headers: { 'Content-Range': `bytes */${bytes}` } },
  )
}
