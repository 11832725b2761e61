// `node robust.mjs <file.pdf> <page>`: the text of one page, whatever it is made of. The page is drawn by PDFium, which
// shares no code with the fast engine's way.
import { drawPage } from '../lib/draw-page.mjs'
import { readOnePage } from '../lib/page-engine.mjs'

await readOnePage('robust', drawPage)
