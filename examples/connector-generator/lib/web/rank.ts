// Which links are worth following, and which pages are documentation of an API. Words that documentation everywhere uses;
// what a page really teaches counts for more than what it is called.

const WORTH: [RegExp, number][] = [
  [/\b(openapi|swagger)\b/, 6],
  [/\b(api|apis|developers?|docs?|documentation|reference)\b/, 4],
  [/\b(endpoints?|resources?|objects?|schemas?|rest)\b/, 3],
  [/\b(auth\w*|pagination|paging|conventions|getting started|quickstart)\b/, 2],
  [/\b(guides?|tutorials?|integrations?)\b/, 1],
  [
    /\b(blog|news|press|pricing|plans|careers|jobs|about|legal|terms|privacy|imprint|login|signup|contact|events)\b/,
    -5,
  ],
]
const NOT_TEXT = /\.(png|jpe?g|gif|svg|ico|webp|css|m?js|map|woff2?|ttf|mp4|mp3|pdf|zip|gz|tgz|exe|dmg)$/i

/** How promising a link looks; below 0 it is followed only when nothing better is left. */
export function linkScore(url: string, text: string, terms: readonly string[]): number {
  const { pathname, host } = new URL(url)
  const words = `${host.split('.')[0]} ${pathname} ${text}`.toLowerCase().replace(/[^a-z0-9]+/g, ' ')
  const known = WORTH.reduce((sum, [pattern, worth]) => sum + (pattern.test(words) ? worth : 0), 0)
  const named = terms.filter((term) => words.includes(term)).length
  return known + named - Math.max(0, pathname.split('/').length - 5)
}

export function isReadable(url: string): boolean {
  return !NOT_TEXT.test(new URL(url).pathname)
}

/** @param facts what the page taught; a page that taught nothing is no candidate, whatever it is called */
export function pageScore(url: string, title: string, facts: number, terms: readonly string[]): number {
  return facts === 0 ? 0 : Math.min(30, facts) + Math.max(0, linkScore(url, title, terms))
}

/** `Harbor Desk API documentation` → the words to look for. */
export function termsOf(query: string): string[] {
  return [...new Set(query.toLowerCase().split(/[^a-z0-9]+/))].filter(
    (word) => word.length > 2 && !/^(the|and|for)$/.test(word),
  )
}
