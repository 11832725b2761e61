// `node inspect.mjs <file.pdf>`: how many pages there are, how large, what is on them, is there a text layer. It must
// never be the program that changes anything.
import { parameters, run } from '../lib/child.mjs'
import { openWithPdfium, readPdf } from '../lib/pdf.mjs'

await run(async () => {
  const [path] = parameters('inspect.mjs <file.pdf>', 1, 1)
  const bytes = readPdf(path)
  const document = await openWithPdfium(bytes)
  const pages = []
  for (const page of document.pages()) {
    const { originalWidth, originalHeight } = page.getOriginalSize()
    const characters = page.getText().replace(/\s/g, '').length
    let images = 0
    for (const object of page.objects()) if (object.type === 'image') images += 1
    const round = (/** @type {number} */ value) => Math.round(value * 100) / 100
    pages.push({
      page: pages.length + 1,
      width: round(originalWidth),
      height: round(originalHeight),
      images,
      characters,
    })
  }
  return {
    pageCount: document.getPageCount(),
    textLayer: pages.some((page) => page.characters > 0),
    encrypted: /\/Encrypt\s*(\d+\s+\d+\s+R|<<)/.test(bytes.toString('latin1')),
    pages,
  }
})
