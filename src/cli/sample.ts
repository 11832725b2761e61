/** The files that `init` writes. Data only; the sample must run as it is, and its first try fails on purpose. */

export const HELLO = `import { defineJob, Transient, until } from 'untildone'
import { z } from 'zod'

// What callers see: the name is a permanent address, input and output are checked.
export const hello = defineJob('hello', {
  input: z.object({ name: z.string().default('Ada') }),
  output: z.object({ text: z.string() }),
  stages: ['fetch', 'convert', 'publish'],
})

// What your worker runs. Edit it and save: it is loaded again.
export const helloHandler = hello.handler(
  { retry: until({ within: '30m', backoff: { from: '2s', to: '30s' } }) },
  async (job) => {
    job.progress('fetch')
    // A step runs once and is remembered: when the job is tried again, its value comes from the record.
    const name = await job.step('fetch', async () => job.input.name)

    job.progress('convert')
    const text = await job.step('convert', async () => {
      await pause(1000)
      // The first try fails on purpose, so that you can see what happens then. Take this line out.
      if (job.attempt === 1) throw new Transient('the engine crashed (on purpose, in the first try)')
      return \`Hello \${name}\`
    })

    job.progress('publish')
    await job.step('publish', () => pause(500))
    return { text }
  },
)

function pause(ms: number) {
  return new Promise<void>((resolve) => setTimeout(resolve, ms))
}
`

export const GITIGNORE = `node_modules/
.untildone/
`

/** package.json of a new project. */
export function packageJson(name: string, version: string): string {
  const content = {
    name,
    private: true,
    type: 'module',
    scripts: { dev: 'untildone dev', start: 'untildone serve' },
    dependencies: { untildone: `^${version}`, zod: '^4.0.0' },
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
