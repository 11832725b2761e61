// What `untildone dev --jobs` and `untildone serve --jobs` find: all job types, with settings from the environment, which
// ../lib/parts.ts names.
import { handlersFor } from '../handlers.js'
import { openParts, settingsFrom } from '../lib/parts.js'

export const handlers = handlersFor(openParts(settingsFrom(process.env)))
