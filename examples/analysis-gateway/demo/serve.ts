// The example to look around in, and the form in which it would be run: arguments and environment become settings, and a
// mistake in them is said before anything is opened.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { modelFrom } from '../lib/model.js'
import { ROLES, type Role, type Running, start } from '../start.js'
import { storeFrom } from '../store.js'

const USAGE = 'serve.mjs [port] [--roles api,worker] [--tenants acme,globex]'

export interface Asked {
  port: number
  roles: Role[]
  tenants: string[]
}

/** @throws Error that says what can be asked */
export function asked(args: readonly string[]): Asked {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { roles: { type: 'string', default: ROLES.join(',') }, tenants: { type: 'string', default: '' } },
    allowPositionals: true,
  })
  const list = (text: string) => text.split(/[\s,]+/).filter(Boolean)
  const roles = list(values.roles)
  const other = roles.find((role) => !ROLES.includes(role as Role))
  if (other !== undefined || roles.length === 0)
    throw new Error(
      `--roles is ${ROLES.join(', ')}, or both with a comma${other === undefined ? '' : `, not "${other}"`}`,
    )
  const port = Number(positionals[0] ?? 8000)
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || positionals.length > 1)
    throw new Error(`"${positionals.join(' ')}" is no port; a port is a number up to 65535`)
  return { port, roles: roles as Role[], tenants: list(values.tenants) }
}

export async function serve(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return console.log(`Usage: ${USAGE}`)
  let running: Running
  try {
    const { port, roles, tenants } = asked(args)
    const dataDir = resolve('.untildone/analysis-gateway')
    const { description, shared, ...stored } = storeFrom(process.env, dataDir)
    const model = modelFrom(process.env)
    running = await start({ ...stored, roles, port, model, tenants })
    const say = (what: string, value: string) => console.log(`${what.padEnd(10)} ${value}`)
    say('store', description)
    say('summaries', model ? `${model.name} at ${model.baseUrl}` : 'none: OPENAI_BASE_URL and OPENAI_MODEL are not set')
    if (!shared && roles.length < ROLES.length)
      say('note', `one process owns the store: a ${roles.includes('api') ? 'worker' : 'gateway'} can follow this one`)
    for (const file of keep(running.keys, dataDir)) say('keys', file)
    if (!running.url) say('worker', 'ready')
    else say(roles.includes('worker') ? 'gateway' : 'api only', `${running.url}/api/v1/analysis  (${running.url}/docs)`)
  } catch (error) {
    console.error((error as Error).message)
    const { fix } = error as { fix?: string }
    console.error(fix ?? `Usage: ${USAGE}`)
    process.exitCode = 1
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void running.stop())
}

/** A key is shown once, so it is kept, in a file for its owner alone that a shell can source: `ACME='ud_…'`. */
function keep(keys: Record<string, string>, dataDir: string): string[] {
  mkdirSync(dataDir, { recursive: true })
  return Object.entries(keys).map(([tenant, key]) => {
    const path = join(dataDir, `${tenant}.env`)
    writeFileSync(path, `${tenant.toUpperCase().replaceAll('-', '_')}='${key}'\n`, { mode: 0o600 })
    return path
  })
}
