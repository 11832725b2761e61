// APIs that the generator was not written for. Each is drawn, documented and run; the connector that comes out of the
// documentation has to list, create and update at the API itself.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { createUntildone, defineJob, sqlite } from 'untildone'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { describeApi } from './fixtures/describe-api.js'
import { type Drawn, drawnApi, sampleOf } from './fixtures/random-api.js'
import { connectorFiles } from './lib/codegen/connector.js'
import { typeCheck } from './lib/codegen/type-check.js'
import { assemble } from './lib/digest/assemble.js'
import { mergeFacts } from './lib/digest/merge.js'
import { chunksOf } from './lib/docs/chunks.js'
import { readDocument } from './lib/docs/read-document.js'
import { factsOf } from './lib/extract/extractor.js'
import { RecordApi } from './sites/record-api.js'
import { importConnector, all as listed } from './support.js'

const ORIGIN = 'https://api.drawn.example'
let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone-general-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function digested(drawn: Drawn) {
  const body = describeApi(drawn, ORIGIN)
  const { documentation } = readDocument({ url: 'upload:drawn', contentType: '', body })
  const assembled = assemble(mergeFacts(chunksOf(documentation).map(factsOf)), drawn.noun)
  if (!assembled.ok) throw new Error(`missing: ${assembled.missing.join(', ')}\n${body}`)
  return assembled.objectClass
}

/** The API as a fetch, so that a hundred of them need no port. */
function fetchOf(api: RecordApi): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    const answer = api.answer({
      method: request.method,
      url: new URL(request.url),
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    })
    if (!answer || new URL(request.url).origin !== ORIGIN) return new Response('nothing here', { status: 404 })
    return Response.json(answer.body, { status: answer.status, headers: answer.headers })
  }
}

const credentials = ({ auth }: RecordApi['shape']) =>
  ({
    header: () => ({ apiKey: (auth as any).value }),
    query: () => ({ apiKey: (auth as any).value }),
    bearer: () => ({ token: (auth as any).value }),
    basic: () => ({ username: (auth as any).user, password: (auth as any).password }),
  })[auth.kind]()

test('whatever its names, credentials, paging and envelopes are', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(drawnApi, async (drawn) => {
      const api = new RecordApi(structuredClone(drawn.shape))
      const { createConnector } = await importConnector(connectorFiles([digested(drawn)], []), dir)
      const connector = createConnector({ ...credentials(api.shape), fetch: fetchOf(api) })
      const [objects] = Object.values<any>(connector)
      const before = structuredClone(api.records(drawn.collection))
      const { id, fields } = api.shape.collections[drawn.collection]!

      expect(await listed(objects.list())).toEqual(before)
      expect(await listed(objects.list({ pageSize: 3 }))).toEqual(before)

      const writable = Object.entries(fields).filter(([, { readonly }]) => !readonly)
      const wanted = Object.fromEntries(writable.map(([name, { type }]) => [name, sampleOf(type, 77)]))
      const created = await objects.create(wanted)
      expect(api.records(drawn.collection).at(-1)).toEqual({ ...wanted, [id]: created[id] })

      const [name, { type }] = writable[0]!
      await objects.update(created[id], { [name]: sampleOf(type, 78) })
      expect(await objects.get(created[id])).toEqual({ ...wanted, [id]: created[id], [name]: sampleOf(type, 78) })
      expect(api.records(drawn.collection).slice(0, -1)).toEqual(before)
    }),
    { numRuns: Number(process.env.CONNECTOR_DRAWS ?? 40) },
  )
})

test('the compiler has nothing to say, whatever the documentation calls its things', { timeout: 120_000 }, async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '*/ globalThis.broken = 1 /*',
      '\nglobalThis.broken = 1\n',
      "'+(globalThis.broken=1)+'",
      '`$' + '{x}`',
      "'",
      '\\',
      '\u2028',
      '__proto__',
      'class',
    ),
  )
  const hostile = fc.record({
    name: text,
    description: text,
    attributes: fc.uniqueArray(text, { minLength: 1, maxLength: 5 }),
    path: text,
  })
  const drawn = fc.sample(drawnApi, 5).map((one) => [digested(one)])
  const [harmless] = drawn[0]!
  const odd = fc.sample(hostile, 8).map(({ name, description, attributes, path }, index) => {
    const [pattern] = harmless!.attributes
    return {
      ...harmless!,
      name,
      description,
      baseUrl: `https://host.example/${encodeURIComponent(path)}`,
      idAttribute: attributes[0]!,
      attributes: attributes.map((one) => ({
        ...pattern!,
        name: one,
        description,
        values: index % 2 ? [description] : null,
      })),
      operations: {
        ...harmless!.operations,
        get: { method: 'GET' as const, path: `/${path}/{id}`, answerPath: [name], bodyPath: [] },
      },
    }
  })
  // A folder for each, in one program: to compile them one by one would take a minute.
  const files = [...drawn, odd, ...odd.map((one) => [one])].flatMap((classes, index) =>
    connectorFiles(classes, ['https://host.example/\nlet x = 1']).map(({ path, content }) => ({
      path: `${index}/${path}`,
      content,
    })),
  )
  const compile = defineJob('compile', { input: z.object({}), output: z.object({ findings: z.array(z.string()) }) })
  const app = await createUntildone({
    store: sqlite(':memory:'),
    handlers: [compile.handler((job) => typeCheck(job, [files], () => {}))],
  })
  await app.start()
  try {
    expect((await (await app.submit(compile, {})).result()).findings).toEqual([])
    // It compiles because a text stays a text, not because it was a program.
    for (const one of odd) await importConnector(connectorFiles([one], [one.description]), dir)
    expect(globalThis).not.toHaveProperty('broken')
  } finally {
    await app.stop()
  }
})
