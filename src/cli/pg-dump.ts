/**
 * A copy of a PostgreSQL schema by its own tools. The password goes over the environment, never over the command line,
 * which everybody on a machine sees.
 */
import { spawn } from 'node:child_process'
import { renameSync, rmSync, statSync } from 'node:fs'
import { readAddress } from '../stores/postgres/address.js'
import { CliError, EXIT } from './failure.js'

/** @throws CliError `no-pg-dump`, `backup-failed`; nothing is left behind then */
export async function dump(
  { url, schema }: { url: string; schema: string },
  file: string,
  signal: AbortSignal,
): Promise<{ file: string; bytes: number }> {
  const part = `${file}.part`
  const { shown, password } = readAddress(url)
  const env = password === null ? {} : { PGPASSWORD: password }
  try {
    await tool(
      'pg_dump',
      ['--format=custom', `--schema=${schema}`, `--file=${part}`, `--dbname=${forLibpq(shown)}`],
      env,
      signal,
    )
    // It reads the whole table of contents, which stands at the end of what must be there.
    const contents = await tool('pg_restore', ['--list', part], env, signal)
    if (!contents.includes(`TABLE DATA ${schema} jobs `))
      throw new CliError('backup-failed', `The database has no tables in the schema ${schema}, so there is no copy.`, {
        fix: 'Name the schema with --schema, and the database with --database.',
        exit: EXIT.unexpected,
      })
    renameSync(part, file)
    return { file, bytes: statSync(file).size }
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
}

function tool(name: string, args: string[], env: { PGPASSWORD?: string }, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err = (err + chunk).slice(-4000)
    })
    const stop = () => child.kill()
    signal.addEventListener('abort', stop, { once: true })
    child.on('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', stop)
      if (error.code !== 'ENOENT') return reject(error)
      reject(
        new CliError('no-pg-dump', `${name} is not on the PATH. Nothing was copied.`, {
          fix: 'Install the client programs of the same version as the server, or a newer one (Debian: apt-get install postgresql-client), or run this on the host of the database.',
          exit: EXIT.unexpected,
        }),
      )
    })
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) return reject(signal.reason)
      if (code === 0) return resolve(out)
      const fix = /server version/i.test(err)
        ? 'Install the client programs of the same version as the server, or a newer one.'
        : 'What it said is above. Check the address, and that this role may read all tables of the schema.'
      const details = err.trim().split('\n').slice(0, 6)
      reject(
        new CliError('backup-failed', `${name} ended with ${code}. Nothing was copied.`, {
          ...{ fix, details },
          exit: EXIT.unexpected,
        }),
      )
    })
  })
}

/** Words of `pg` that `pg_dump` does not know, in words that it does. */
const forLibpq = (address: string): string =>
  address
    .replace(/([?&])sslmode=no-verify(?=&|$)/, '$1sslmode=require')
    .replace(/([?&])uselibpqcompat=\w*(?:&|$)/, '$1')
    .replace(/[?&]$/, '')
