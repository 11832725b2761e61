/** What the examples of single calls talk to. Each does a thing once per key, and fails as often as it is told to. */
import { FarSide } from '../far-side.js'

class Keyed extends FarSide {
  private readonly answers = new Map<string, string>()
  /** What was done, once per key, in order. */
  readonly done: string[] = []

  protected once(call: string, what: string, key: string): string {
    this.called(call)
    const before = this.answers.get(key)
    if (before !== undefined) return before
    this.done.push(what)
    this.answers.set(key, what)
    return what
  }

  /** What was done under this key, if anything. */
  find(key: string): string | undefined {
    return this.answers.get(key)
  }

  override reset(): void {
    super.reset()
    this.answers.clear()
    this.done.length = 0
  }
}

class Printer extends Keyed {
  /** Sheets under way now, and the most there ever were. */
  printing = 0
  most = 0
  async print(text: string, key: string): Promise<number> {
    this.most = Math.max(this.most, ++this.printing)
    await new Promise((resolve) => setImmediate(resolve))
    this.printing--
    this.once('print', text, key)
    return Math.ceil(text.length / 10)
  }
}

class Carrier extends Keyed {
  async send(address: string, pages: number, key: string): Promise<string> {
    return this.once('send', `${pages} pages to ${address}`, key)
  }
}

class Mail extends Keyed {
  async send(text: string, key: string): Promise<void> {
    this.once('send', text, key)
  }
}

class Bank extends Keyed {
  async pay(cents: number, key: string): Promise<string> {
    return this.once('pay', `paid ${cents}`, key)
  }
  async payBack(receipt: string, key: string): Promise<void> {
    this.once('payBack', `took back: ${receipt}`, key)
  }
}

class Desk extends Keyed {
  async book(what: string, key: string): Promise<string> {
    return this.once('book', `booked ${what}`, key)
  }
  async cancel(booking: string, key: string): Promise<void> {
    this.once('cancel', `cancelled: ${booking}`, key)
  }
}

/** A recogniser in another house: it takes a page and a URL, and calls back when it is done. */
class Recogniser extends Keyed {
  /** Where it will call back, by page. */
  readonly waiting = new Map<string, string>()
  async begin(page: string, url: string, key: string): Promise<void> {
    this.once('begin', page, key)
    this.waiting.set(page, url)
  }
}

/** What people may do, as their company says now. */
class Directory extends FarSide {
  permissions = ['payments.write']
  async permissionsOf(_person: string): Promise<string[]> {
    this.called('permissionsOf')
    return this.permissions
  }
}

/** A language model whose answer is always the same. */
class Model extends FarSide {
  readonly name = 'triage-large'
  readonly version = '2026-11'
  async classify(text: string): Promise<{ label: string; score: number }> {
    this.called('classify')
    return { label: text.includes('refund') ? 'refund' : 'question', score: 0.93 }
  }
}

export const printer = new Printer()
export const carrier = new Carrier()
export const mail = new Mail()
export const bank = new Bank()
export const desk = new Desk()
export const recogniser = new Recogniser()
export const directory = new Directory()
export const model = new Model()

export function resetAll(): void {
  for (const side of [printer, carrier, mail, bank, desk, recogniser, directory, model]) side.reset()
  printer.most = 0
  recogniser.waiting.clear()
  directory.permissions = ['payments.write']
}
