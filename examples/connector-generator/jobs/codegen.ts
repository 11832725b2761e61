// `codegen.generateConnector`: a connector in TypeScript for the session's object classes. It is a result only once the
// compiler, in a process of its own, has found nothing wrong with it.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { defineJob, file, type JobContext, Permanent, type ProcessOptions, until } from 'untildone'
import { z } from 'zod'
import { connectorFiles, type SourceFile } from '../lib/codegen/connector.js'
import { type ObjectClass, objectClassSchema } from '../lib/digest/object-class.js'
import { type Parts, publish, sessionOf } from '../lib/parts.js'

export const generateConnector = defineJob('codegen.generateConnector', {
  title: 'Generate connector code',
  description:
    'A typed client with list, get, create and update for each digested object class, checked by the compiler.',
  input: z.object({
    /** Of the session; @default all that were digested */
    objectClasses: z.array(z.string().trim().min(1).max(100)).min(1).max(50).optional(),
  }),
  output: z.object({
    language: z.literal('typescript'),
    entry: z.string(),
    objectClasses: z.array(z.object({ name: z.string(), operations: z.array(z.string()) })),
    files: z.array(z.object({ path: z.string(), file: file(), sha256: z.string(), content: z.string() })),
    checkedWith: z.string(),
  }),
  stages: ['processing', 'finished'],
})

const digested = z.object({ objectClass: objectClassSchema, sources: z.array(z.string()) })
type Digested = z.output<typeof digested>
const finding = z.object({ typescript: z.string(), findings: z.array(z.string()) })

export const generateConnectorHandler = (parts: Parts) =>
  generateConnector.handler(
    {
      version: '1',
      concurrency: 1,
      timeout: { attempt: '15m' },
      retry: until({ within: '30m', backoff: { from: '1s', to: '1m' } }),
    },
    async (job) => {
      const classes = await job.step('classes', () => classesOf(job, parts))
      const sources = [...new Set(classes.flatMap((one) => one.sources))]
      const objectClasses = classes.map((one) => one.objectClass)
      noteDifferences(job, objectClasses)
      // One round for each class by itself, so that a finding names its class, and one for all of them together.
      const rounds = [...objectClasses.map((one) => [one]), ...(objectClasses.length > 1 ? [objectClasses] : [])]
      let checkedWith = ''
      for (const [index, round] of rounds.entries()) {
        const what = round.map(({ name }) => name).join(', ')
        job.progress('processing', {
          message: `Compiling ${what}`,
          iterations: { completed: index, total: rounds.length },
        })
        checkedWith = await check(job, connectorFiles(round, sources), what)
      }
      const files = await store(job, connectorFiles(objectClasses, sources))
      const result = {
        language: 'typescript' as const,
        entry: 'index.ts',
        objectClasses: objectClasses.map(({ name, operations }) => ({
          name,
          operations: Object.entries(operations).flatMap(([operation, how]) => (how ? [operation] : [])),
        })),
        files,
        checkedWith,
      }
      await publish(job, parts, 'connector', { ...result, files: files.map(({ content, ...rest }) => rest) })
      job.progress('finished', { message: 'completed', iterations: { completed: rounds.length, total: rounds.length } })
      return result
    },
  )

function classesOf(job: JobContext<z.output<typeof generateConnector.input>>, { sessions }: Parts): Digested[] {
  const found = new Map(
    (sessions.read(sessionOf(job))?.parts ?? [])
      .filter(({ part }) => part.startsWith('objectClass:'))
      .map(({ part, value }) => [part.slice('objectClass:'.length), digested.parse(value)]),
  )
  const asked = job.input.objectClasses ?? [...found.keys()]
  const missing = asked.filter((name) => !found.has(name))
  if (asked.length > 0 && missing.length === 0) return asked.map((name) => found.get(name)!)
  const which = missing.length > 0 ? missing.map((name) => `'${name}'`).join(', ') : 'any object class'
  throw new Permanent(`Invalid input: the session has not digested ${which}; run the digester first.`, {
    code: 'not-digested',
  })
}

/** One connector has one address and one way to say who asks. */
function noteDifferences(job: JobContext<unknown>, [first, ...others]: ObjectClass[]): void {
  for (const { name, baseUrl, auth } of others)
    if (baseUrl !== first!.baseUrl || JSON.stringify(auth) !== JSON.stringify(first!.auth))
      job.warn(
        'mixed-api',
        `'${name}' is documented with another address or authentication than '${first!.name}', whose are used.`,
      )
}

/** @throws Permanent `connector-does-not-compile`, with the compiler's words */
async function check(job: JobContext<unknown>, files: SourceFile[], what: string): Promise<string> {
  const { typescript, findings } = await job.process('check', typeCheck(files))
  if (findings.length === 0) return `TypeScript ${typescript}`
  throw new Permanent(`The connector for ${what} does not compile: ${findings[0]}`, {
    code: 'connector-does-not-compile',
    messages: ['Failed to generate connector code', ...findings],
  })
}

function typeCheck(files: SourceFile[]): ProcessOptions<z.output<typeof finding>> {
  return {
    command: process.execPath,
    args: [fileURLToPath(new URL('../engines/type-check.mjs', import.meta.url))],
    stdin: JSON.stringify(files),
    envelope: true,
    timeout: '2m',
    parse: ({ envelope }) => finding.parse(envelope),
  }
}

/** As files of the product, to be downloaded one by one. */
async function store(job: JobContext<unknown>, files: SourceFile[]) {
  const stored = []
  for (const { path, content } of files) {
    const id = await job.step('file', () =>
      job.file(Buffer.from(content), { contentType: 'text/typescript; charset=utf-8', name: path }),
    )
    stored.push({ path, file: id, sha256: createHash('sha256').update(content).digest('hex'), content })
  }
  return stored
}
