/** docs/guide/facades.md, curl by curl: what the page shows is what is answered. */
import { readFileSync } from 'node:fs'
import { defineJob, type JobContext, Permanent } from 'untildone'
import { createServer, type Facade } from 'untildone/server'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { analysis } from './jobs/analysis.js'
import { discovery } from './jobs/discovery.js'

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8')
const ID = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10'

/** What the page does, in order: directives in comments, requests, answers. */
const STEPS = Array.from(
  read('../../docs/guide/facades.md').matchAll(
    /<!-- page: (?<does>[^\n]+) -->|```sh\ncurl (?<curl>[\s\S]*?)\n```\n\n```http\n(?<http>[\s\S]*?)\n```/g,
  ),
  ({ groups }) => groups as { does?: string; curl?: string; http?: string },
)

interface Attempt {
  job: JobContext<any>
  finish(value: unknown): void
  fail(error: Error): void
}

/** One server at a time, whose worker does what the page says. */
class Page {
  private rig!: TestRig
  private server!: ReturnType<typeof createServer>
  private attempts: Attempt[] = []
  private id = ''

  async does(text: string): Promise<void> {
    const [verb, ...rest] = text.split(' ')
    const value = rest.join(' ')
    if (verb === 'serves') return this.serve(value)
    if (verb === 'failed') {
      await this.ask({
        method: 'POST',
        path: '/discovery/session-7/discovery',
        body: '{"pages":["https://example.com"]}',
      })
    }
    await this.rig.settle()
    const attempt = this.attempts.at(-1)!
    if (verb === 'progress') attempt.job.progress('processing', JSON.parse(value))
    if (verb === 'finished') attempt.finish(JSON.parse(value))
    if (verb === 'failed') attempt.fail(new Permanent(JSON.parse(value)))
    await this.rig.advance(verb === 'progress' ? 1 : 0)
    await this.rig.settle()
  }

  async ask({
    method,
    path,
    headers = {},
    body,
  }: {
    method: string
    path: string
    headers?: Record<string, string>
    body?: string
  }) {
    const url = `http://localhost:4884${path.replace(ID, this.id)}`
    const type = { 'content-type': 'application/json' }
    const answer = await this.server.fetch(
      new Request(url, { method, headers: body ? { ...type, ...headers } : headers, body }),
    )
    const text = await answer.text()
    if (method === 'POST') this.id = JSON.parse(text).jobId ?? this.id
    const shown = (value: string) => value.replaceAll(this.id, ID)
    return {
      status: answer.status,
      header: (name: string) => shown(answer.headers.get(name) ?? ''),
      body: JSON.parse(shown(text)),
    }
  }

  async close(): Promise<void> {
    await this.rig?.close()
  }

  private async serve(file: string): Promise<void> {
    await this.close()
    const act = (job: JobContext<any>) => new Promise((finish, fail) => this.attempts.push({ job, finish, fail }))
    const front = defineJob('front', { input: z.object({}) })
    const handlers = [analysis, discovery, front].map((type: any) => type.handler(act))
    this.rig = await createTestRig(handlers, {
      ...{ start: Date.parse('2026-03-10T12:00:00Z'), queues: { default: { concurrency: 1 } } },
    })
    this.server = createServer(this.rig.engine, { facades: JSON.parse(read(file)) as Facade[] })
    // Something else is being worked on, so that what the page submits has to wait at first.
    if (file.startsWith('connector')) await this.rig.submit(front, {})
    await this.rig.settle()
  }

  /** The other thing ends, five seconds later. */
  async begin(): Promise<void> {
    await this.rig.advance('5s')
    this.attempts.at(-1)!.finish(null)
    await this.rig.settle()
  }
}

function requestOf(curl: string) {
  const line = curl.replaceAll('\\\n', ' ')
  const url = /(?:^|[\s'])localhost:4884([^\s']*)/.exec(line)![1]!
  const body = /-d '([^']*)'/.exec(line)?.[1]
  const headers = Object.fromEntries(
    Array.from(line.matchAll(/-H '([^:]+): ([^']*)'/g), (match) => [match[1]!, match[2]!]),
  )
  return { method: body === undefined ? 'GET' : 'POST', path: url, headers, body }
}

describe('the page', () => {
  const page = new Page()
  afterAll(() => page.close())

  it('has both examples', () => {
    expect(STEPS.filter(({ does }) => does?.startsWith('serves')).map(({ does }) => does)).toEqual([
      'serves morpheus.json',
      'serves connector-generator.json',
    ])
    expect(STEPS.filter(({ curl }) => curl).length).toBeGreaterThan(12)
  })

  it.each(STEPS.map((step) => [step.does ?? step.curl!.split('\n')[0]!, step] as const))(
    '%s',
    async (_, { does, curl, http }) => {
      if (does?.startsWith('progress')) await page.begin()
      if (does !== undefined) return page.does(does)
      const [head, ...body] = http!.split('\n\n')
      const [status, ...headers] = head!.split('\n')
      const answer = await page.ask(requestOf(curl!))
      expect(`HTTP/1.1 ${answer.status}`).toBe(status)
      for (const header of headers) {
        const [name, ...value] = header.split(': ')
        expect(answer.header(name!), header).toBe(value.join(': '))
      }
      // The members in their order, as clients may show them.
      if (body.length > 0) expect(JSON.stringify(answer.body)).toBe(JSON.stringify(JSON.parse(body.join('\n\n'))))
    },
  )
})
