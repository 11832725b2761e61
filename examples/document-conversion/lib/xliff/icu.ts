// Messages with plural and other forms, as in `{count, plural, one {# file} other {# files}}`: what is syntax in them and
// what is text. It must never call half a message whole.

export interface IcuArgument {
  name: string
  kind: string
  /** The forms in their order: `one`, `other`, `=0`. */
  forms: string[]
}
export interface IcuMessage {
  arguments: IcuArgument[]
  /** Where the syntax stands; everything else is text for people. */
  syntax: [start: number, end: number][]
}

const COMPLEX = /\{\s*[\w.-]+\s*,\s*(?:plural|select|selectordinal)\s*,/
const HEAD = /\{\s*([\w.-]+)\s*,\s*(plural|select|selectordinal)\s*,\s*(?:offset:\s*\d+\s*)?/y
const SIMPLE = /\{\s*[\w.-]+\s*(?:,[^{}]*)?\}/y
const FORM = /\s*(=\d+|[\w-]+)\s*\{/y
const CLOSE = /\s*\}/y

export const hasForms = (text: string): boolean => COMPLEX.test(text)

/** Null: there are forms in it, but it is not whole. */
export function readIcu(text: string): IcuMessage | null {
  const reader = new Reader(text)
  return reader.message(0, false) === text.length ? { arguments: reader.found, syntax: reader.syntax } : null
}

class Reader {
  readonly found: IcuArgument[] = []
  readonly syntax: [number, number][] = []
  constructor(private readonly text: string) {}

  /** Up to the end, or inside of a form up to its bracket. -1: it is not whole. */
  message(at: number, inForm: boolean): number {
    while (at < this.text.length) {
      const c = this.text[at]
      if (c === "'" && /['{}#|]/.test(this.text[at + 1] ?? '')) at = this.quoted(at)
      else if (c === '{') at = this.argument(at)
      else if (c === '}') return inForm ? at : -1
      else {
        if (c === '#' && inForm) this.syntax.push([at, at + 1])
        at++
      }
      if (at < 0) return -1
    }
    return inForm ? -1 : at
  }

  private quoted(at: number): number {
    const end = this.text[at + 1] === "'" ? at + 1 : this.text.indexOf("'", at + 1)
    if (end < 0) return -1
    this.syntax.push([at, end + 1])
    return end + 1
  }

  private argument(start: number): number {
    const head = this.match(HEAD, start)
    if (!head) {
      const simple = this.match(SIMPLE, start)
      if (!simple) return -1
      this.syntax.push([start, start + simple[0].length])
      return start + simple[0].length
    }
    const argument: IcuArgument = { name: head[1]!, kind: head[2]!, forms: [] }
    this.found.push(argument)
    let at = start + head[0].length
    let from = start
    for (let form = this.match(FORM, at); form; form = this.match(FORM, at)) {
      argument.forms.push(form[1]!)
      const inside = at + form[0].length
      this.syntax.push([from, inside])
      from = this.message(inside, true)
      if (from < 0) return -1
      at = from + 1
    }
    const close = this.match(CLOSE, at)
    if (!close || !argument.forms.includes('other')) return -1
    this.syntax.push([from, at + close[0].length])
    return at + close[0].length
  }

  private match(pattern: RegExp, at: number): RegExpExecArray | null {
    pattern.lastIndex = at
    return pattern.exec(this.text)
  }
}
