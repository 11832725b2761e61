// For the tests and the demos of this example: `serve.mjs` as people start it, as a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Program {
  readonly pid: number
  /** What it has printed when it is ready, or by its end when it never is. */
  said: Promise<string>
  /** Where it answers. @throws Error with what it said instead */
  url(): Promise<string>
  /** When it has ended, however: everything that it has printed. */
  ended: Promise<string>
  /** At once, as a machine that fails. */
  kill(): Promise<void>
  /** In good order. */
  end(): Promise<{ code: number | null; printed: string }>
}

const SERVE = fileURLToPath(new URL('serve.mjs', import.meta.url))

/** @param cwd where it keeps its data @param entry another way in than the one that people start */
export function program(
  args: readonly string[],
  { cwd, env = {}, entry = SERVE }: { cwd: string; env?: Record<string, string>; entry?: string },
): Program {
  const child = spawn(process.execPath, [entry, ...args], {
    ...{ cwd, env: { ...process.env, ...OWN, ...env } },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (printed += text))
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      printed += `${line}\n`
      if (/^(gateway|api only|worker) /.test(line)) resolve()
    })
  })
  const closed = once(child, 'close')
  const said = Promise.race([ready, closed]).then(() => printed)
  return {
    pid: child.pid!,
    said,
    ended: closed.then(() => printed),
    async url() {
      const [, url] = /^(?:gateway|api only) +(http:\S+)\/api\/v1\/analysis /m.exec(await said) ?? []
      if (!url) throw new Error(`The gateway did not start:\n${printed}`)
      return url
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
    async end() {
      child.kill('SIGTERM')
      const [code] = await closed
      return { code, printed }
    },
  }
}

/** What the shell of whoever starts a test happens to have set is none of its business. */
const OWN = {
  OPENAI_BASE_URL: '',
  OPENAI_MODEL: '',
  OPENAI_API_KEY: '',
  DATABASE_URL: '',
  REDIS_URL: '',
  REDIS_PLAINTEXT: '',
}
