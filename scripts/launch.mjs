// Installs and builds when that is due, then runs one script of this repository in the same terminal:
// node scripts/launch.mjs <script> [arguments]
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureReady, root } from './lib/ensure.mjs'

/** Runs it with the terminal as its own and ends this process as it ended. */
export async function launch(script, args) {
  await ensureReady()
  if (!existsSync(join(root, script))) {
    console.error(`${script} does not exist.`)
    process.exit(1)
  }
  const child = spawn(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' })
  // A terminal signals the whole group; a signal sent to this process alone is handed on.
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  })
  child.on('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [script, ...args] = process.argv.slice(2)
  await launch(script, args)
}
