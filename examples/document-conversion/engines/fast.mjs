// `node fast.mjs <file.pdf> <page>`: the text of one page whose scan can be lifted out as it is. It refuses every other
// page with exit code 6.
import { liftPage } from '../lib/lift-page.mjs'
import { readOnePage } from '../lib/page-engine.mjs'

await readOnePage('fast', liftPage)
