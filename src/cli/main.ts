/** Entry of the binary: runs the command line of this process and ends with its exit code. */
import { processIo } from './io.js'
import { run } from './program.js'

/** For what ends by itself a moment after the command: lines to a server, a browser that is being opened. */
const LINGER_MS = 1000

process.exitCode = await run(process.argv.slice(2), processIo())
// A job file may hold something open (a pool, a timer) that nobody closes. The timer alone keeps no process.
setTimeout(() => {
  // What was written may still be on its way to a slow reader.
  process.stdout.write('', () => process.stderr.write('', () => process.exit()))
}, LINGER_MS).unref()
