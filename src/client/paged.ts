/**
 * Lists that come in pages: iterate over the items, over the pages, or take one page. Fetches a page only when it is
 * asked for, and never more than one ahead.
 */

export interface Page<T> {
  items: T[]
  /** Give it as `cursor` to get what follows; null at the end. */
  nextCursor: string | null
}

/** `for await (const item of list)` goes over all pages. */
export interface Paged<T> extends AsyncIterable<T> {
  /** One page: the first, or the one that `cursor` of the call names. */
  page(): Promise<Page<T>>
  pages(): AsyncIterable<Page<T>>
}

export function paged<T>(load: (cursor: string | undefined) => Promise<Page<T>>, first: string | undefined): Paged<T> {
  async function* pages(): AsyncGenerator<Page<T>, void> {
    let cursor: string | undefined = first
    do {
      const page: Page<T> = await load(cursor)
      yield page
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
  }
  return {
    page: () => load(first),
    pages,
    async *[Symbol.asyncIterator]() {
      for await (const page of pages()) yield* page.items
    },
  }
}
