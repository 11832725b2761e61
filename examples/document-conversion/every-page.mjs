// `npm run scans`: every page of every committed scan, read by the engines and compared with its expected text. `npm test`
// reads each kind of page once.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const args = ['run', '--project=examples', 'examples/document-conversion/engines.test.ts', '-t', 'the committed scans']
const env = { ...process.env, SCANS: 'every page' }
spawn(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], { cwd: root, env, stdio: 'inherit' }).on(
  'close',
  (code) => {
    process.exitCode = code ?? 1
  },
)
