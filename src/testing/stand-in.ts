/**
 * A value for what a dry run does not know: whatever is read from it, called on it or taken out of it is another one. It
 * is an empty list, a text and not a number, so that most code runs through it without an error.
 */
export function standIn(): any {
  // A function, so that it can be called.
  return new Proxy(function unknown() {}, {
    get(_, member) {
      // Awaiting one must end.
      if (member === 'then') return undefined
      if (member === Symbol.toPrimitive) return (hint: string) => (hint === 'number' ? Number.NaN : 'unknown')
      if (member === Symbol.iterator) return function* () {}
      if (member === 'toJSON') return () => null
      if (member === 'toString') return () => 'unknown'
      if (member === 'length') return 0
      return standIn()
    },
    apply: () => standIn(),
    construct: () => standIn(),
    has: () => true,
    set: () => true,
  })
}
