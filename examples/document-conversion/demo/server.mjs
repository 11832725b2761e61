// Starts `untildone serve` with the jobs of this example, as anybody would on a command line, and stops it again.
// It must never leave the server running, however the demo ends.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const STOP_WITHIN_MS = 10_000

/**
 * @param {string} data folder for the database and the files
 * @param {(message: string) => void} onTrouble
 * @returns {Promise<{ url: string, pid: number, stop(): Promise<void> }>}
 */
export async function startServer(data, onTrouble) {
  const args = ['serve', '--json', '--port', '0', '--jobs', here('../jobs'), '--data', data]
  const child = spawn(process.execPath, [here('../../../bin/untildone.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // The loader of the job file would keep its compiled form in the temporary folder of the machine.
    // The demo shows the engines that are the same everywhere.
    env: { ...process.env, JITI_FS_CACHE: 'false', OCR_ENGINES: 'fast,robust' },
  })
  const killed = () => child.kill('SIGKILL')
  // Before the folder that it writes to is removed.
  process.prependListener('exit', killed)
  const ended = new Promise((resolve) => child.on('close', resolve)).then(() => process.off('exit', killed))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4000)
  })
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = parse(line)
      if (event.event === 'ready') resolve(event.url)
      if (event.event === 'trouble') onTrouble(event.message)
    })
    child.on('error', reject)
    ended.then(() => reject(new Error(`The server did not start.\n${said.trim()}`)))
  })
  return {
    url,
    pid: /** @type {number} */ (child.pid),
    async stop() {
      child.kill('SIGTERM')
      const last = setTimeout(killed, STOP_WITHIN_MS)
      await ended
      clearTimeout(last)
    },
  }
}

/** @param {string} line */
function parse(line) {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
