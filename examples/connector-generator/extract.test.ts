// What is read out of documentation in text, sentence by sentence and table by table; and what is left alone.
import { describe, expect, test } from 'vitest'
import { assemble } from './lib/digest/assemble.js'
import { mergeFacts } from './lib/digest/merge.js'
import { toMarkdown } from './lib/docs/blocks.js'
import { chunksOf } from './lib/docs/chunks.js'
import { fromHtml } from './lib/docs/from-html.js'
import { fromMarkdown } from './lib/docs/from-markdown.js'
import { resolveRefs } from './lib/docs/openapi-refs.js'
import { readDocument } from './lib/docs/read-document.js'
import { deterministic, factsOf } from './lib/extract/extractor.js'
import { countFacts } from './lib/extract/facts.js'
import { firstPageOf } from './lib/extract/paging.js'
import { purposeOf, tidyPath } from './lib/extract/paths.js'
import { factsOfProse } from './lib/extract/prose.js'
import { itemsOf, typeOf, valuesOf } from './lib/extract/types.js'
import { className, normal } from './lib/extract/words.js'

const facts = (markdown: string) => factsOfProse(fromMarkdown(markdown))
const fields = (markdown: string) =>
  facts(markdown).objectClasses.flatMap(({ name, attributes }) =>
    attributes.map((one) => [name, one.name, one.type, one.required, one.readonly].join(' ')),
  )

describe('pages', () => {
  test('HTML: the main part in blocks, without menus and scripts, and its links', () => {
    const page = fromHtml(
      `<title>T</title><nav>menu</nav><main>loose <b>text</b><h1>A</h1><p>one <code>x</code><br>two</p><div><ul><li>i</li></ul></div>
       <h2>B</h2><pre>\n  code\n</pre><dl><dt>name</dt><dd>string</dd></dl><table><tr><th>F</th></tr><tr><td>v</td></tr></table>
       <script>bad()</script></main><a href="/a#x">A</a><a href="a">again</a><a href="javascript:x">no</a>`,
      'https://host.example/docs/',
    )
    expect(page.blocks).toEqual([
      { kind: 'text', path: [], text: 'loose text' },
      { kind: 'text', path: ['A'], text: 'one `x` two' },
      { kind: 'item', path: ['A'], text: 'i' },
      { kind: 'code', path: ['A', 'B'], text: '  code' },
      { kind: 'item', path: ['A', 'B'], text: 'name — string' },
      { kind: 'table', path: ['A', 'B'], rows: [['F'], ['v']] },
    ])
    expect(page.links.map(({ url }) => url)).toEqual(['https://host.example/a', 'https://host.example/docs/a'])
  })

  test('Markdown there and back', () => {
    const text =
      '# A\n\none `x`\n\n## B\n\n- item\n\n```\ncode | x\n```\n\n| F | G |\n| --- | --- |\n| v \\| w | u |\n\n# C\n\nend'
    const blocks = fromMarkdown(text)
    expect(toMarkdown(blocks)).toBe(text)
    expect(fromMarkdown(toMarkdown(blocks))).toEqual(blocks)
    expect(fromMarkdown('~~~\nnever closed')).toEqual([{ kind: 'code', path: [], text: 'never closed' }])
    expect(fromMarkdown('a [link](x) and **bold**')).toMatchObject([{ text: 'a link and bold' }])
  })

  test('chunks are of bearable size, lose nothing, and have the same name every time', async () => {
    const body = Array.from({ length: 30 }, (_, i) => `## S${i}\n\n${'word '.repeat(100 + 30 * (i % 7))}`).join('\n\n')
    const { documentation } = readDocument({ url: 'u', contentType: '', body })
    const chunks = chunksOf(documentation)
    expect(chunks.length).toBeGreaterThan(3)
    expect(chunks.flatMap((chunk) => (chunk.kind === 'text' ? chunk.blocks : []))).toEqual(
      (documentation as any).blocks,
    )
    for (const chunk of chunks) expect(JSON.stringify(chunk).length).toBeLessThan(8000)
    expect(chunksOf(documentation)).toEqual(chunks)
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(chunks.length)
    expect(await deterministic.extract(chunks[0]!, new AbortController().signal)).toEqual(factsOf(chunks[0]!))
  })

  test('references: put in place, named, and ended where they would run in circles', () => {
    const spec = {
      components: {
        schemas: {
          'A/B': {
            type: 'object',
            properties: { next: { $ref: '#/components/schemas/A~1B' }, x: { $ref: '#/nowhere' } },
          },
        },
      },
    }
    expect(resolveRefs(spec, { $ref: '#/components/schemas/A~1B' })).toEqual({
      'x-schema-name': 'A/B',
      type: 'object',
      properties: { next: { 'x-schema-name': 'A/B', type: 'object' }, x: {} },
    })
    expect(resolveRefs(spec, { $ref: 'https://elsewhere.example/x.json' })).toEqual({})
  })

  test('schemas that all refer to each other end in good time', () => {
    const names = Array.from({ length: 40 }, (_, i) => `S${i}`)
    const properties = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/schemas/${name}` }]))
    const schemas = Object.fromEntries(names.map((name) => [name, { type: 'object', properties }]))
    const resolved = resolveRefs({ components: { schemas } }, { $ref: '#/components/schemas/S0' }) as any
    expect(Object.keys(resolved.properties)).toEqual(names)
    expect(JSON.stringify(resolved).length).toBeLessThan(5_000_000)
  })
})

describe('fields', () => {
  test('tables, whatever their columns are called', () => {
    expect(
      fields(
        '# Crate object\n\n| Attribute | Data type | Mandatory | Access |\n|---|---|---|---|\n| id | UUID | | read only |\n| kind | enum | yes | read/write |',
      ),
    ).toEqual(['Crate id string false true', 'Crate kind string true false'])
    expect(
      fields(
        '# Fields of a crate\n\n| Name | Optional | Writable | Type |\n|---|---|---|---|\n| a | yes | no | int |\n| b | no | yes | list of strings |',
      ),
    ).toEqual(['Crate a integer false true', 'Crate b array true false'])
    expect(
      fields(
        '# Crates\n\n| Field | Description |\n|---|---|\n| `size.height` required | decimal, in metres |\n| when | A date. Set by the server |',
      ),
    ).toEqual(['Crate size object true ', 'Crate when date false true'])
  })

  test('lists and sentences', () => {
    const text = `# Ships

- \`name\` (string, required): what is painted on it
- \`built\` — date, optional. When
- flag: string
- Note: this is not a field

Every ship has \`tonnage\` (number) and \`imo\` (string, read-only).`
    expect(fields(text)).toEqual([
      'Ship name string true ',
      'Ship built date false ',
      'Ship flag string  ',
      'Ship tonnage number  ',
      'Ship imo string false true',
    ])
  })

  test('the class is where it is named: sentence, heading, address', () => {
    const table = '| Field | Type |\n|---|---|\n| a | string |'
    expect(fields(`# Reference\n\nA sales order has these fields:\n\n${table}`)).toEqual(['SalesOrder a string  '])
    expect(fields(`# Sales orders\n\n## Fields\n\n${table}`)).toEqual(['SalesOrder a string  '])
    expect(fields(`# Reference\n\n## Create\n\n\`POST /sales-orders\`\n\n${table}`)).toEqual(['SalesOrder a string  '])
  })

  test('what is no field: errors, prices, parameters, examples of requests', () => {
    const table = '| Name | Type |\n|---|---|\n| a | string |'
    for (const heading of ['Errors', 'Rate limits', 'Pagination', 'Authentication', 'Changelog'])
      expect(fields(`# Crates\n\n## ${heading}\n\n${table}`)).toEqual([])
    expect(fields(`# Crates\n\n\`GET /crates\`\n\n## Query parameters\n\n${table}`)).toEqual([])
    expect(fields('# Crates\n\nSend `POST /crates` with this body:\n\n```\n{"a": 1}\n```')).toEqual([])
    expect(fields('# Crates\n\nThe answer of `GET /crates/{id}`:\n\n```\n{"a": 1.5, "b": "2026-01-01"}\n```')).toEqual([
      'Crate a number  ',
      'Crate b date  ',
    ])
  })
})

describe('endpoints', () => {
  test.each([
    ['GET', '/v2/customers', 'Customer', 'list'],
    ['POST', '/v2/customers/', 'Customer', 'create'],
    ['GET', '/v2/customers/:id', 'Customer', 'get'],
    ['PATCH', '/v2/sales_orders/<no>', 'SalesOrder', 'update'],
    ['DELETE', '/boxes/{id}', 'Box', 'delete'],
    ['GET', '/customers/{id}/invoices', null, null],
    ['PUT', '/customers', 'Customer', null],
    ['GET', '/docs/openapi.json', null, null],
  ] as const)('%s %s', (method, path, objectClass, operation) => {
    expect(purposeOf(method, path)).toEqual({ objectClass, operation })
  })

  test('as they are written in prose, headings, tables and commands', () => {
    const text = `# GET /a/{id}

Call \`POST /b\`. Then see the table.

| Method | Path |
|---|---|
| DELETE | /c/{id} |

\`\`\`
curl -X GET https://host.example/v1/d?limit=2&cursor=x -H "X-Token: 1"
\`\`\`
`
    const { endpoints, auth, baseUrls } = facts(text)
    expect(endpoints.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /a/{id}',
      'POST /b',
      'DELETE /c/{id}',
      'GET /v1/d',
    ])
    expect(endpoints[3]!.parameters.map(({ name }) => name)).toEqual(['limit', 'cursor'])
    expect([auth, baseUrls]).toEqual([[{ kind: 'header', name: 'X-Token' }], ['https://host.example']])
    expect(tidyPath('/a/:b/<c>/?x=1')).toBe('/a/{b}/{c}')
  })
})

describe('words', () => {
  test('types', () => {
    const said =
      'int64, varchar(20), ISO 8601 date-time, Date, decimal(10,2), yes/no flag, string[], array of integers, JSON object, gibberish'
    expect(said.split(/, (?![^(]*\))/).map(typeOf)).toEqual(
      'integer string datetime date number boolean array array object unknown'.split(' '),
    )
    expect(['array of integers', 'string[]', 'list<number>', 'string'].map(itemsOf)).toEqual([
      'integer',
      'string',
      'number',
      null,
    ])
    expect(valuesOf('One of `a`, `b` or `c`')).toEqual(['a', 'b', 'c'])
    expect(valuesOf('one of the best')).toBeNull()
  })

  test('one noun and many are the same', () => {
    for (const [one, many] of [
      ['address', 'addresses'],
      ['warehouse', 'warehouses'],
      ['status', 'statuses'],
      ['category', 'categories'],
      ['cache', 'caches'],
      ['bus', 'buses'],
      ['movie', 'movies'],
    ] as const)
      expect(normal(many)).toBe(normal(one))
    expect(['sales_orders', 'Sales orders', 'policies', 'boxes', 'statuses'].map(className)).toEqual([
      'SalesOrder',
      'SalesOrder',
      'Policy',
      'Box',
      'Status',
    ])
    expect(normal('SalesOrder')).toBe(normal('sales-orders'))
  })

  test('the first page', () => {
    expect(
      ['The first page is 0.', 'Pages are numbered from 1', 'zero-based', 'starts with page 1', 'a page'].map(
        firstPageOf,
      ),
    ).toEqual([0, 1, 0, 1, null])
  })
})

describe('putting together', () => {
  const openapi = (more: object) => JSON.stringify({ openapi: '3.1.0', info: {}, ...more })
  const assembled = (...bodies: string[]) => {
    const all = bodies.flatMap((body) =>
      chunksOf(readDocument({ url: 'https://docs.example/x', contentType: '', body }).documentation).map(factsOf),
    )
    return assemble(mergeFacts(all), 'Thing')
  }

  test('says what is missing, and what there is instead', () => {
    expect(assembled('# Crates\n\n`GET /crates`\n\n- `a` (string)\n- `b` (string)')).toEqual({
      ok: false,
      missing: ["fields of 'Thing'", "an endpoint that reads 'Thing'"],
      known: ['Crate'],
    })
    expect(assembled('# The thing object\n\n- `id` (string)\n\n`GET /things`')).toMatchObject({
      missing: ["fields of 'Thing'"],
    })
    expect(assembled('# The thing object\n\n- `a` (string)')).toMatchObject({
      missing: ["an endpoint that reads 'Thing'"],
    })
  })

  test('says what it does without', () => {
    const result = assembled('# The thing object\n\n- `a` (string)\n\n`GET /things`')
    expect(result).toMatchObject({
      ok: true,
      objectClass: { baseUrl: null, auth: { kind: 'none' }, paging: { kind: 'none' } },
      notes: [
        "No endpoint is documented to get, to create, to update 'Thing'; the connector will not have it.",
        'No authentication is documented; the connector will send no credentials.',
        'No base URL is documented; the connector must be told one.',
        'No paging is documented; one answer is taken for the whole list.',
      ],
    })
  })

  test('an OpenAPI document counts for more than prose; the server may be relative', () => {
    const list = {
      responses: {
        200: {
          content: {
            'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/ThingView' } } },
          },
        },
      },
    }
    const spec = openapi({
      servers: [{ url: '/{v}/', variables: { v: { default: 'v9' } } }],
      paths: { '/items': { get: list } },
      components: {
        schemas: {
          ThingView: {
            type: 'object',
            properties: { a: { type: ['integer', 'null'] }, when: { type: 'string', format: 'date-time' } },
          },
        },
      },
    })
    expect(assembled(spec, '# The thing object\n\n- `a` (string): prose')).toMatchObject({
      ok: true,
      objectClass: {
        baseUrl: 'https://docs.example/v9',
        attributes: [
          { name: 'a', type: 'integer', description: 'prose' },
          { name: 'when', type: 'datetime' },
        ],
        operations: { list: { path: '/items', answerPath: [] } },
      },
    })
  })

  test('a page without any of this is no documentation', () => {
    expect(countFacts(facts('# About us\n\nWe have been here since 1987. Call us!'))).toBe(0)
    expect(countFacts(facts('# Pricing\n\n| Plan | Price |\n|---|---|\n| Basic | 9 |'))).toBe(0)
  })
})
