// The build under test, imported file by file: also what the package does not export, such as the driver and the row
// texts. UNTILDONE_BENCH_DIST names another build than dist/, to compare two.
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))
export const dist = resolve(process.env.UNTILDONE_BENCH_DIST ?? join(root, 'dist'))

/** @param {string} file path inside the build @returns {Promise<any>} */
export const load = (file) => import(pathToFileURL(join(dist, file)).href)

export const { createUntildone, defineJob, sqlite, LOCAL } = await load('index.js')
export const { systemClock, systemEntropy } = await load('system/index.js')
