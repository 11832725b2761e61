/** Entry of the binary: runs the command line of this process and ends with its exit code. */
import { processIo } from './io.js'
import { run } from './program.js'

process.exitCode = await run(process.argv.slice(2), processIo())
