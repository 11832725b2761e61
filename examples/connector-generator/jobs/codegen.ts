// `codegen.generateConnector`: a connector in TypeScript for the session's object classes. It is a result only once the
// compiler, in a process of its own, has found nothing wrong with it.
import { createHash } from 'node:crypto'
import { defineJob, file, type JobContext, Permanent, until } from 'untildone'
import { z } from 'zod'
import { connectorFiles, type SourceFile } from '../lib/codegen/connector.js'
import { typeCheck } from '../lib/codegen/type-check.js'
import { type ObjectClass, objectClassSchema } from '../lib/digest/object-class.js'
import { failure } from '../lib/failure.js'
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

export const generateConnectorHandler = (parts: Parts) =>
  generateConnector.handler(
    {
      version: '1',
      concurrency: 1,
      target: { p95: '5m' },
      timeout: { attempt: '15m' },
      retry: until({ within: '30m', backoff: { from: '1s', to: '1m' } }),
    },
    async (job) => {
      const classes = await job.step('classes', () => classesOf(job, parts))
      const sources = [...new Set(classes.flatMap((one) => one.sources))]
      const objectClasses = classes.map((one) => one.objectClass)
      noteDifferences(job, objectClasses)
      const { checkedWith, rounds } = await check(job, objectClasses, sources)
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
      const kept = { ...result, files: files.map(({ content, ...rest }) => rest) }
      await publish(job, parts, 'connector', kept, { iterations: { completed: rounds, total: rounds } })
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

/**
 * One round for each class by itself, and one for all of them together.
 * @throws Permanent `connector-does-not-compile`, with the compiler's words
 */
async function check(job: JobContext<unknown>, classes: ObjectClass[], sources: string[]) {
  const rounds = [...classes.map((one) => [one]), ...(classes.length > 1 ? [classes] : [])]
  const total = rounds.length
  const say = (completed: number) => {
    const what = rounds[completed]?.map(({ name }) => name).join(', ')
    const message = what ? `Compiling ${what}` : 'Keeping the files'
    job.progress('processing', { message, iterations: { completed, total } })
  }
  say(0)
  const files = rounds.map((round) => connectorFiles(round, sources))
  const { typescript, findings } = await typeCheck(job, files, say)
  say(total)
  if (findings.length === 0) return { checkedWith: `TypeScript ${typescript}`, rounds: total }
  throw failure('connector-does-not-compile', ['Failed to generate connector code', ...findings.slice(0, 20)])
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
