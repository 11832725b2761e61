// What a page engine does: one page of a PDF in, its text out, all in memory and in one process. The engines differ only
// in how they get from page to pixels. It must never leave a file behind: a killed engine costs its page and no more.
import { parameters, run, wholeNumber } from './child.mjs'
import { recognise } from './recognise.mjs'

/** @param {string} engine @param {(path: string, page: number) => Promise<import('./pdf.mjs').PagePicture>} rasterise */
export async function readOnePage(engine, rasterise) {
  await run(async () => {
    const [path, number] = parameters(`${engine}.mjs <file.pdf> <page>`, 2, 2)
    const page = wholeNumber(number, 'the page', 1, 1_000_000)
    const { bitmap, dpi, scanDpi } = await rasterise(path, page)
    return { engine, page, ...(await recognise(bitmap, dpi)), dpi, scanDpi }
  })
}
