// A language model behind an OpenAI-compatible endpoint: what it adds, what is not believed, and what becomes of answers
// that are late, busy or no use. The endpoint is a server of this test.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LOCAL } from 'untildone'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Bench, bench } from './support.js'

interface Reply {
  status?: number
  headers?: Record<string, string>
  /** What the model says. */
  says?: unknown
  /** The whole body, where it is no answer of a model. */
  body?: string
}

let server: Server
let asked: { authorization: string | undefined; body: any }[] = []
let replies: Reply[] = []
let jobs: Bench
beforeEach(async () => {
  asked = []
  replies = []
  server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    asked.push({ authorization: request.headers.authorization, body: JSON.parse(Buffer.concat(parts).toString()) })
    const { status = 200, headers = {}, says, body } = replies.shift() ?? { says: {} }
    const content = typeof says === 'string' ? says : JSON.stringify(says)
    response.writeHead(status, headers).end(body ?? JSON.stringify({ choices: [{ message: { content } }] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  jobs = await bench([], { model: { baseUrl, apiKey: 'secret', name: 'reader-1' } })
})
afterEach(async () => {
  await jobs.stop()
  server.closeAllConnections()
  server.close()
})

const TEXT = `# Crate service

The base URL is https://crates.example/api. Send your token as \`Authorization: Bearer <token>\`.

## The crate object

- \`id\` (string, read-only)
- \`label\` (string, required)

Apart from that one may say how heavy a crate is: a decimal, called grossWeight, which is optional.

\`GET /crates\` lists crates and \`GET /crates/{id}\` gives one.
`
async function digest() {
  await jobs.run('s', 'documentation', { name: 'crates.md', text: TEXT })
  return jobs.run('s', 'digester', { objectClass: 'Crate' })
}
const names = (body: any) => body.result.objectClass.attributes.map(({ name }: any) => name)
const crate = (...attributes: object[]) => ({ objectClasses: [{ name: 'Crate', attributes }] })

test('what the text says in words only is added, with its model on record', async () => {
  replies = [
    { says: crate({ name: 'grossWeight', type: 'number', required: false }, { name: 'label', type: 'integer' }) },
  ]
  const body = await digest()
  expect(names(body)).toEqual(['id', 'label', 'grossWeight'])
  // What the deterministic extractor has read holds.
  expect(body.result.objectClass.attributes[1]).toMatchObject({ name: 'label', type: 'string', required: true })
  expect(body.result.extractors).toEqual(['deterministic', 'reader-1'])
  expect(asked).toHaveLength(1)
  expect(asked[0]).toMatchObject({
    authorization: 'Bearer secret',
    body: { model: 'reader-1', temperature: 0, response_format: { type: 'json_object' } },
  })
  expect(asked[0]!.body.messages[1].content).toContain('called grossWeight')
})

test('what stands nowhere in the text is not believed', async () => {
  replies = [
    {
      says: {
        baseUrls: ['https://evil.example/api'],
        endpoints: [{ method: 'DELETE', path: '/everything/{id}', objectClass: 'Crate', operation: 'delete' }],
        paging: { parameters: [{ name: 'cursor' }], members: [{ path: ['next_cursor'] }] },
        ...crate({ name: 'colour', type: 'string' }),
      },
    },
  ]
  const body = await digest()
  expect(names(body)).toEqual(['id', 'label'])
  expect(body.result.objectClass).toMatchObject({
    baseUrl: 'https://crates.example/api',
    paging: { kind: 'none' },
    operations: { delete: null },
  })
})

test.each<[string, Reply, string]>([
  ['no JSON', { says: 'I am sorry, but' }, 'the answer is not JSON'],
  ['another form', { says: { objectClasses: [{ name: 7 }] } }, 'the answer does not fit: objectClasses.0.name'],
  ['no answer of a model', { body: '<html>' }, 'the answer is not JSON'],
  ['a piece that is too long for it', { status: 413, body: '{}' }, 'the endpoint answered 413'],
])('%s: a warning, and the job completes without it', async (_, reply, why) => {
  replies = [reply]
  const body = await digest()
  expect(names(body)).toEqual(['id', 'label'])
  expect(body.result.chunks).toEqual({ total: 1, failed: 1 })
  const { warnings } = await jobs.job(body.jobId)
  expect(warnings[0]!.code).toBe('chunk-failed')
  expect(warnings[0]!.message).toMatch(/^LLM processing failed for chunk [0-9a-f]{16} of Crate service: /)
  expect(warnings[0]!.message).toContain(why)
})

test('a fence around the JSON is taken off', async () => {
  replies = [{ says: `\`\`\`json\n${JSON.stringify(crate({ name: 'grossWeight', type: 'number' }))}\n\`\`\`` }]
  expect(names(await digest())).toContain('grossWeight')
})

test('a busy endpoint: the job tries again by itself, and reads no chunk twice', async () => {
  replies = [{ status: 503 }, { status: 429 }, { says: crate({ name: 'grossWeight', type: 'number' }) }]
  const body = await digest()
  expect(body.status).toBe('finished')
  expect(names(body)).toContain('grossWeight')
  expect(await jobs.attempts(body.jobId)).toEqual(['error transient', 'error transient', 'ok'])
  expect(asked).toHaveLength(3)
  const steps = await jobs.app.engine.steps(LOCAL, body.jobId)
  expect(steps.filter(({ name }) => name.startsWith('chunk-')).map(({ attempt }) => attempt)).toEqual([1])
})
